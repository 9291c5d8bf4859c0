/**
 * Signatures as they are kept and passed on: one line of JSON each (docs/protocol.md §8).
 *
 * The same bytes lie in `signatures/<catalog>/<key>.json` of the state folder, travel between peers, and stand, line
 * after line, in the `.sig` file of a substituter. Decoding is strict and bounded: a line has exactly these fields, each
 * in the one form that encoding gives it. It proves nothing: `verifySignature` does.
 */
import { FLEETS_MAX, PATH_BYTES_MAX, SIGNATURE_BYTES_MAX, SIGNATURES_MAX } from '../base/limits.ts'
import { parseSha256 } from '../blob/digest.ts'
import { parseCatalogName } from '../catalog/names.ts'
import type { CatalogSignature, CatalogStatement, SignerRole } from './catalog-signature.ts'
import { formatKey, keyHex, parseBase64, parseKey } from './key-text.ts'

const FIELDS = [
  'version',
  'catalog',
  'base',
  'sha256',
  'pieceTable',
  'serial',
  'time',
  'role',
  'key',
  'signature',
  'memberTags',
] as const

/** @returns UTF-8, one line with its end */
export function encodeSignature({ statement, key, signature, memberTags }: CatalogSignature): Uint8Array {
  const { catalog, base, sha256, pieceTable, serial, timeMs, role } = statement
  const line: Readonly<Record<(typeof FIELDS)[number], unknown>> = {
    version: 1,
    catalog,
    base,
    sha256,
    pieceTable,
    serial,
    time: new Date(timeMs).toISOString(),
    role,
    key: formatKey(key),
    signature: Uint8Array.from(signature).toBase64(),
    memberTags: memberTags.map((tag) => Uint8Array.from(tag).toBase64()),
  }
  return new TextEncoder().encode(`${JSON.stringify(line)}\n`)
}

/** @returns undefined where `line` is not a signature, or one of a version that is not known here */
export function decodeSignature(line: Uint8Array): CatalogSignature | undefined {
  if (line.byteLength > SIGNATURE_BYTES_MAX) return undefined
  let fields: unknown
  try {
    fields = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(line))
  } catch {
    return undefined
  }
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) return undefined
  if (Object.keys(fields).length !== FIELDS.length || !FIELDS.every((field) => Object.hasOwn(fields, field))) {
    return undefined
  }
  return signatureOf(fields as Record<(typeof FIELDS)[number], unknown>)
}

/** The `.sig` file of a catalog: its signatures, each on a line. */
export function encodeSignatures(signatures: readonly CatalogSignature[]): Uint8Array {
  return Buffer.concat(signatures.slice(0, SIGNATURES_MAX).map(encodeSignature))
}

/**
 * Lines that are no signatures are passed over: a later version may have others. Of two by one key the later serial
 * stays, since only one of them can be its last word.
 *
 * @returns at most `SIGNATURES_MAX`
 */
export function decodeSignatures(lines: Iterable<Uint8Array>): CatalogSignature[] {
  const byKey = new Map<string, CatalogSignature>()
  let left = SIGNATURES_MAX
  for (const line of lines) {
    if (left-- === 0) break
    const signature = decodeSignature(line)
    if (signature === undefined) continue
    const key = keyHex(signature.key.publicKey)
    const other = byKey.get(key)
    if (other === undefined || other.statement.serial < signature.statement.serial) byKey.set(key, signature)
  }
  return [...byKey.values()]
}

/** @param file as `encodeSignatures` writes it; no more than `SIGNATURES_MAX` lines are looked at */
export function signatureLines(file: Uint8Array): Uint8Array[] {
  const lines: Uint8Array[] = []
  for (let from = 0; from < file.byteLength && lines.length < SIGNATURES_MAX; ) {
    const end = file.indexOf(0x0a, from)
    const to = end < 0 ? file.byteLength : end
    if (to > from) lines.push(file.subarray(from, to))
    from = to + 1
  }
  return lines
}

function signatureOf(fields: Readonly<Record<(typeof FIELDS)[number], unknown>>): CatalogSignature | undefined {
  const statement = statementOf(fields)
  const key = typeof fields.key === 'string' ? parseKey(fields.key) : undefined
  const signature = bytesOf(fields.signature, 64)
  const { memberTags } = fields
  if (statement === undefined || key === undefined || signature === undefined) return undefined
  if (!Array.isArray(memberTags) || memberTags.length > FLEETS_MAX) return undefined
  const tags = memberTags.map((tag) => bytesOf(tag, 32)).filter((tag) => tag !== undefined)
  return tags.length === memberTags.length ? { statement, key, signature, memberTags: tags } : undefined
}

function statementOf(fields: Readonly<Record<(typeof FIELDS)[number], unknown>>): CatalogStatement | undefined {
  const { version, base, serial, role } = fields
  const catalog = parseCatalogName(textOf(fields.catalog))
  const sha256 = parseSha256(textOf(fields.sha256))
  const pieceTable = parseSha256(textOf(fields.pieceTable))
  const timeMs = timeOf(textOf(fields.time))
  const isBase =
    typeof base === 'string' && base !== '' && base.isWellFormed() && Buffer.byteLength(base) <= PATH_BYTES_MAX
  if (version !== 1 || !isBase || catalog === undefined || sha256 === undefined) return undefined
  if (pieceTable === undefined || timeMs === undefined || !isRole(role)) return undefined
  if (typeof serial !== 'number' || !Number.isSafeInteger(serial) || serial < 1) return undefined
  return { catalog, base, sha256, pieceTable, serial, timeMs, role }
}

function isRole(value: unknown): value is SignerRole {
  return value === 'builder' || value === 'holder'
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function bytesOf(value: unknown, length: number): Uint8Array | undefined {
  return typeof value === 'string' ? parseBase64(value, length) : undefined
}

/** ISO 8601 in UTC with milliseconds, as `toISOString` writes it, from 1970 on. */
function timeOf(text: string): number | undefined {
  const timeMs = Date.parse(text)
  if (!Number.isSafeInteger(timeMs) || timeMs < 0) return undefined
  return new Date(timeMs).toISOString() === text ? timeMs : undefined
}
