/** The lines of a report on whose word an environment is used: who, when, by which key, and from where it came. */
import type { PublishedView } from '../app/published-view.ts'
import { printable } from './output.ts'

/**
 * @param indent columns in front of the labels
 * @returns lines of at most 80 columns, but for the names of sources; none where there is nothing to say
 */
export function publishedLines({ grounds, signer, signers, origin }: PublishedView, indent = 2): string[] {
  const row = (label: string, text: string) => `${' '.repeat(indent)}${label.padEnd(9)}${text}`
  const lines: string[] = []
  if (signer === null) {
    const unsigned = UNSIGNED[grounds]
    if (unsigned !== undefined) lines.push(row('signed', unsigned))
  } else {
    const others = signers.length > 1 ? `, and ${signers.length - 1} more` : ''
    lines.push(row('signed', `by ${signer.name} as its ${signer.role}, ${minuteOf(signer.time)}${others}`))
    const why = WHY[grounds]
    if (why !== undefined) lines.push(row('', why))
  }
  if (origin !== null) lines.push(row('came', `from ${printable(origin.source)}, ${minuteOf(origin.time)}`))
  return lines
}

/** `2026-11-25 14:00 UTC` */
function minuteOf(time: string): string {
  return `${time.slice(0, 16).replace('T', ' ')} UTC`
}

const UNSIGNED: Partial<Record<PublishedView['grounds'], string>> = {
  'proved-member': 'by nobody: the word of that machine, a member of the fleet',
  'trusted-source': 'by nobody: its source is trusted by settings.yaml',
}

const WHY: Partial<Record<PublishedView['grounds'], string>> = {
  'trusted-key': 'a key that this machine trusts by name',
  member: 'a member of the fleet',
}
