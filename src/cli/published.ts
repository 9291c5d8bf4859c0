/** The lines of a report on whose word an environment is used: who, when, by which key, and from where it came. */
import type { PublishedView } from '../app/published-view.ts'
import { printable } from './output.ts'

/** @returns lines of at most 80 columns, but for the names of sources; none where there is nothing to say */
export function publishedLines({ grounds, signer, signers, origin }: PublishedView): string[] {
  const lines: string[] = []
  if (signer === null) {
    const unsigned = UNSIGNED[grounds]
    if (unsigned !== undefined) lines.push(`  signed   ${unsigned}`)
  } else {
    const date = `${signer.time.slice(0, 16).replace('T', ' ')} UTC`
    const others = signers.length > 1 ? `, and ${signers.length - 1} more` : ''
    lines.push(`  signed   by ${signer.name} as its ${signer.role}, ${date}${others}`)
    const why = WHY[grounds]
    if (why !== undefined) lines.push(`           ${why}`)
  }
  if (origin !== null) {
    lines.push(`  came     from ${printable(origin.source)}, ${origin.time.slice(0, 16).replace('T', ' ')} UTC`)
  }
  return lines
}

const UNSIGNED: Partial<Record<PublishedView['grounds'], string>> = {
  'proved-member': 'by nobody: the word of that machine, a member of the fleet',
  'trusted-source': 'by nobody: its source is trusted by settings.yaml',
}

const WHY: Partial<Record<PublishedView['grounds'], string>> = {
  'trusted-key': 'a key that this machine trusts by name',
  member: 'a member of the fleet',
}
