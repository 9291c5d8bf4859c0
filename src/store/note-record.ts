/**
 * One note of a verified blob as 18 words, in the file of notes and between threads: eight of digest (a SipHash fills
 * four), eight of stamp, one of kind and form, one of checksum.
 *
 * Knows nothing of where records are kept.
 */
import { type FileStamp, STAMP_LENGTH } from '../base/file-stamp.ts'
import { type Digest, isSha256 } from '../blob/digest.ts'
import type { BlobForm } from '../blob/notes.ts'

export const NOTE_WORDS = 18
export const NOTE_BYTES = NOTE_WORDS * 4
/** Where the stamp begins. */
export const STAMP_WORD = 8
const KIND_WORD = 16
const CHECKSUM_WORD = 17
/** The kind word: what made the digest, and the form of the file. Zero is no record. */
const KINDS: readonly (readonly [sha256: boolean, form: BlobForm])[] = [
  [true, 'identity'],
  [true, 'gzip'],
  [false, 'identity'],
  [false, 'gzip'],
]
const SHA256_KIND_MAX = 2

/** Fill `record`, of `NOTE_WORDS`, from the stamp that begins at word `at` of `stamp`. */
export function writeNote(record: Uint32Array, digest: Digest, form: BlobForm, stamp: FileStamp, at: number): void {
  writeDigest(record, digest)
  record.set(stamp.subarray(at, at + STAMP_LENGTH), STAMP_WORD)
  record[KIND_WORD] = 1 + KINDS.findIndex(([sha256, each]) => sha256 === isSha256(digest) && each === form)
  record[CHECKSUM_WORD] = checksumOf(record, 0)
}

/** The first eight words of a record of `digest`. @param bytes from `digestBytes`, for those who write many */
export function writeDigest(record: Uint32Array, digest: Digest, bytes = digestBytes(record)): void {
  if (!isSha256(digest)) record.fill(0, 0, STAMP_WORD)
  bytes.write(digest, 'hex')
}

/** The bytes in which a record has its digest. */
export function digestBytes(record: Uint32Array): Buffer {
  return Buffer.from(record.buffer, record.byteOffset, 4 * STAMP_WORD)
}

/** Whether a whole record, as it was written, begins at word `at`. */
export function isIntact(words: Uint32Array, at: number): boolean {
  const kind = words[at + KIND_WORD] ?? 0
  return kind !== 0 && kind <= KINDS.length && words[at + CHECKSUM_WORD] === checksumOf(words, at)
}

export function formOf(words: Uint32Array, at: number): BlobForm | undefined {
  return KINDS[(words[at + KIND_WORD] ?? 0) - 1]?.[1]
}

export function isSha256Record(words: Uint32Array, at: number): boolean {
  return (words[at + KIND_WORD] ?? 0) <= SHA256_KIND_MAX
}

/** Against torn records, not against intent: FNV-1a over words. */
function checksumOf(words: Uint32Array, at: number): number {
  let sum = 0x811c9dc5
  for (let word = 0; word < CHECKSUM_WORD; word++) sum = Math.imul(sum ^ (words[at + word] ?? 0), 0x01000193)
  return sum >>> 0
}
