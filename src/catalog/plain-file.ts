/**
 * How rcc writes a file of a catalog that is no link and has no relocations, which most are: where each is read as one, with
 * its key, a catalog takes little more than half the time in a process that has just started.
 */

import type { JsonReader } from './json-reader.ts'

const BLANK = '[ \\t\\n\\r]*'
const INTEGER = '(0|[1-9]\\d{0,14})'
/** Printable ASCII without quote and backslash, which JSON escapes, and without the slash, which no name contains. */
const NAME = '([ !#-.0-\\[\\]-~]+)'
const FIELDS = [
  // The key once more: what calls itself otherwise is refused, by whoever reads it field by field.
  `"name":${BLANK}"\\2"`,
  `"size":${BLANK}${INTEGER}`,
  `"mode":${BLANK}${INTEGER}`,
  `"digest":${BLANK}"([0-9a-f]*)`,
]
const REST = `("${BLANK},${BLANK}"rewrite":${BLANK}(?:null|\\[${BLANK}\\])${BLANK}\\})`

/** Its groups: what stands before the key, key, size, mode, digest, what stands behind that. */
const PLAIN_FILE = new RegExp(
  `(${BLANK}")${NAME}"${BLANK}:${BLANK}\\{${FIELDS.map((field) => BLANK + field).join(`${BLANK},`)}${REST}`,
  'y',
)
type Groups = [all: string, before: string, name: string, size: string, mode: string, digest: string, rest: string]

export interface PlainFile {
  /** ASCII. */
  readonly name: string
  readonly sizeBytes: number
  readonly goMode: number
  /** Hex digits in lower case, however many. */
  readonly digest: string
}

/** @param reader where a key of an object is next @returns undefined where something else is; nothing is consumed then */
export function readPlainFile(reader: JsonReader): PlainFile | undefined {
  const found = reader.match(PLAIN_FILE) as Groups | undefined
  if (found === undefined) return undefined
  const [all, before, name, size, mode, digest, rest] = found
  // Texts of their own: parts of one keep all of that in memory.
  const nameAt = reader.offset - all.length + before.length
  const digestEnd = reader.offset - rest.length
  return {
    name: reader.passed(nameAt, nameAt + name.length),
    sizeBytes: Number(size),
    goMode: Number(mode),
    digest: reader.passed(digestEnd - digest.length, digestEnd),
  }
}
