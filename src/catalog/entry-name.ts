/**
 * Which names a catalog may give to a file or directory, so that restoring it cannot leave the space, on the file
 * system of the platform that recorded it. Pure; the reasons are half sentences for an error.
 */
import { NAME_BYTES_MAX } from '../base/limits.ts'
import type { Platform } from './names.ts'

const WINDOWS_DEVICE = /^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?:\.|$)/i
// Besides `/`: rcc on windows could not have recorded any of these, and `:` names a stream of another file.
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const WINDOWS_FORBIDDEN = /[\\:*?"<>|\u0000-\u001f]/

/** @returns why `name` is refused, or undefined where it is fine */
export function entryNameProblem(name: string, os: Platform['os']): string | undefined {
  if (name === '') return 'an entry has an empty name'
  if (name === '.' || name === '..') return `an entry is named ${JSON.stringify(name)}`
  if (name.includes('/')) return `the name ${JSON.stringify(name)} contains a slash`
  if (name.includes('\0')) return `the name ${JSON.stringify(name)} contains a NUL`
  // A unit of a text takes at most three bytes.
  if (3 * name.length > NAME_BYTES_MAX && Buffer.byteLength(name) > NAME_BYTES_MAX) {
    return `a name is longer than ${NAME_BYTES_MAX} bytes`
  }
  if (os !== 'windows') return undefined
  if (WINDOWS_FORBIDDEN.test(name)) return `the name ${JSON.stringify(name)} has a character that Windows forbids`
  if (WINDOWS_DEVICE.test(name)) return `the name ${JSON.stringify(name)} is that of a Windows device`
  if (name.endsWith('.') || name.endsWith(' ')) return `the name ${JSON.stringify(name)} ends with a dot or blank`
  return undefined
}

/**
 * What a file system takes for the same name: case and, on darwin, composition do not count.
 *
 * @returns undefined where every name is a name of its own
 */
export function foldedName(name: string, os: Platform['os']): string | undefined {
  return os === 'linux' ? undefined : name.normalize('NFC').toLowerCase()
}

/** @returns why these cannot stand in one directory, or undefined where they can */
export function collisionProblem(
  subdirs: ReadonlyMap<string, unknown>,
  files: ReadonlyMap<string, unknown>,
  os: Platform['os'],
): string | undefined {
  for (const name of subdirs.keys()) {
    if (files.has(name)) return `${JSON.stringify(name)} is both a file and a directory`
  }
  if (os === 'linux') return undefined
  const seen = new Map<string | undefined, string>()
  for (const name of [...subdirs.keys(), ...files.keys()]) {
    const folded = foldedName(name, os)
    const other = seen.get(folded)
    if (other !== undefined) return `${JSON.stringify(other)} and ${JSON.stringify(name)} are the same name on ${os}`
    seen.set(folded, name)
  }
  return undefined
}
