/**
 * The index at the head of a pack: which bytes are which piece (docs/substituters.md, "Packs"). Pure.
 *
 * A pack is one object with all pieces of one catalog in their order, back to back, so that lengths say all about
 * offsets and nothing can overlap. How many pieces there are, and how large, follows from the catalog: whoever reads an
 * index knows its length before the first byte, and what each entry may say.
 */
import { PIECE_WIRE_BYTES_MAX } from '../base/limits.ts'
import type { Sha256Digest } from '../blob/digest.ts'
import type { PieceOnWire } from '../blob/pieces.ts'

const MAGIC = 'HOLOPACK'
const VERSION = 1
const HEADER_BYTES = 48
const ENTRY_BYTES = 36
const SHA256_BYTES = 32
/** Set in the length of a piece that stands in the pack as it is. */
const IDENTITY_FLAG = 0x8000_0000

/** Where a piece stands in its pack. */
export interface PackedPiece {
  readonly offset: number
  readonly bytes: number
  readonly encoding: PieceOnWire['encoding']
}

export interface PackIndex {
  readonly pieces: readonly PackedPiece[]
  /** The SHA-256 of the content of each piece, back to back: the piece table. */
  readonly table: Uint8Array
  /** Of the whole pack. */
  readonly packBytes: number
}

/** The index is not that of a pack of this catalog. The message ends the sentence `it …`. */
export class PackIndexError extends Error {
  override readonly name = 'PackIndexError'
}

/** Length of the index of a pack with so many pieces. */
export function packIndexBytes(pieces: number): number {
  return HEADER_BYTES + pieces * ENTRY_BYTES
}

/** What an index says of a piece besides its hash. */
export type PackEntry = Pick<PackedPiece, 'bytes' | 'encoding'>

/**
 * @param entries of all pieces, in order
 * @param table SHA-256 of the content of each, back to back
 */
export function encodePackIndex(catalog: Sha256Digest, entries: readonly PackEntry[], table: Uint8Array): Uint8Array {
  return Buffer.concat([encodePackHeader(catalog, entries.length), encodePackEntries(entries, table)])
}

/** What an index begins with. */
export function encodePackHeader(catalog: Sha256Digest, pieces: number): Uint8Array {
  const header = Buffer.alloc(HEADER_BYTES)
  header.write(MAGIC, 0, 'latin1')
  header.writeUInt32LE(VERSION, 8)
  header.writeUInt32LE(pieces, 12)
  header.write(catalog, 16, 'hex')
  return header
}

/** Some entries in a row. @param hashes of the content of each, back to back */
export function encodePackEntries(entries: readonly PackEntry[], hashes: Uint8Array): Uint8Array {
  const records = Buffer.alloc(entries.length * ENTRY_BYTES)
  for (const [number, { bytes, encoding }] of entries.entries()) {
    const at = number * ENTRY_BYTES
    records.set(hashes.subarray(number * SHA256_BYTES, (number + 1) * SHA256_BYTES), at)
    records.writeUInt32LE(encoding === 'identity' ? (bytes | IDENTITY_FLAG) >>> 0 : bytes, at + SHA256_BYTES)
  }
  return records
}

/**
 * @param bytes the first `packIndexBytes(contentBytes.length)` bytes of the pack
 * @param contentBytes size of the content of each piece, as the catalog says
 * @throws {PackIndexError} it is none, of another version, of another catalog, or says what cannot be
 */
export function decodePackIndex(bytes: Uint8Array, catalog: Sha256Digest, contentBytes: readonly number[]): PackIndex {
  const index = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const wanted = packIndexBytes(contentBytes.length)
  if (index.byteLength !== wanted)
    throw new PackIndexError(`has ${index.byteLength} bytes of index instead of ${wanted}`)
  if (index.toString('latin1', 0, 8) !== MAGIC) throw new PackIndexError('does not begin like one')
  const version = index.readUInt32LE(8)
  if (version !== VERSION) throw new PackIndexError(`is of version ${version}, not ${VERSION}`)
  const of = index.toString('hex', 16, HEADER_BYTES)
  if (of !== catalog) throw new PackIndexError(`is that of another catalog (SHA-256 ${of}, not ${catalog})`)
  const count = index.readUInt32LE(12)
  if (count !== contentBytes.length) throw new PackIndexError(`has ${count} pieces instead of ${contentBytes.length}`)
  const table = Buffer.alloc(count * SHA256_BYTES)
  const pieces: PackedPiece[] = []
  let offset = wanted
  for (const [piece, content] of contentBytes.entries()) {
    const at = HEADER_BYTES + piece * ENTRY_BYTES
    table.set(index.subarray(at, at + SHA256_BYTES), piece * SHA256_BYTES)
    const word = index.readUInt32LE(at + SHA256_BYTES)
    const identity = word >= IDENTITY_FLAG
    const length = identity ? word - IDENTITY_FLAG : word
    if (identity ? length !== content : length === 0 || length >= content || length > PIECE_WIRE_BYTES_MAX) {
      throw new PackIndexError(`gives piece ${piece}, which has ${content} bytes, a length of ${length}`)
    }
    pieces.push({ offset, bytes: length, encoding: identity ? 'identity' : 'zstd' })
    offset += length
  }
  return { pieces, table, packBytes: offset }
}
