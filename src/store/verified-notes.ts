/**
 * Notes of verified blobs in one file: records of 72 bytes, the later one of a digest counts.
 *
 * Appended by one write each time, so that processes that note at once do not mix their records; each record has a
 * checksum, and what is torn or altered is passed over. When more than half of it is old, the file is written anew
 * (by rename); notes that another process appends in that moment are lost, which costs one more hashing.
 */
import * as fs from 'node:fs'
import { dirname } from 'node:path'
import { messageOf } from '../base/errors.ts'
import { type FileStamp, STAMP_LENGTH } from '../base/file-stamp.ts'
import { NOTES_BYTES_MAX } from '../base/limits.ts'
import { roomLogger } from '../base/log.ts'
import { type Digest, isSha256 } from '../blob/digest.ts'
import type { BlobForm, BlobNotes } from '../blob/notes.ts'
import { STATE_DIRECTORY_MODE, TEMPORARY_PREFIX } from '../catalog/layout.ts'
import { readOwn } from './read-own.ts'

const log = roomLogger('store')

/** Eight words of digest (a SipHash fills four), eight of stamp, one of kind and form, one of checksum. */
const WORDS = 18
const KIND_WORD = 16
const CHECKSUM_WORD = 17
const BYTES = WORDS * 4
/** The kind word: what made the digest, and the form of the file. Zero is no record. */
const KINDS: readonly (readonly [sha256: boolean, form: BlobForm])[] = [
  [true, 'identity'],
  [true, 'gzip'],
  [false, 'identity'],
  [false, 'gzip'],
]
const COMPACT_RECORDS_MIN = 4096

export class VerifiedNotes implements BlobNotes {
  readonly #added: Uint32Array[] = []
  readonly #wanted = new Uint32Array(WORDS)
  #read: Records | undefined

  /** @param path of the file, which need not exist; it is read at the first question */
  constructor(private readonly path: string) {}

  find(digest: Digest, target: FileStamp, at: number): BlobForm | undefined {
    this.#read ??= new Records(readOwn(this.path, NOTES_BYTES_MAX) ?? new Uint8Array(0))
    writeDigest(digest, this.#wanted)
    const record = this.#read.find(this.#wanted, isSha256(digest))
    if (record === undefined) return undefined
    target.set(record.subarray(8, 8 + STAMP_LENGTH), at)
    return KINDS[(record[KIND_WORD] ?? 0) - 1]?.[1]
  }

  add(digest: Digest, form: BlobForm, stamp: FileStamp, at: number): void {
    const record = new Uint32Array(WORDS)
    writeDigest(digest, record)
    record.set(stamp.subarray(at, at + STAMP_LENGTH), 8)
    record[KIND_WORD] = 1 + KINDS.findIndex(([sha256, each]) => sha256 === isSha256(digest) && each === form)
    record[CHECKSUM_WORD] = checksumOf(record)
    this.#added.push(record)
    this.#read?.add(record)
  }

  flush(): void {
    if (this.#added.length === 0) return
    const bytes = Buffer.concat(this.#added.splice(0).map((record) => Buffer.from(record.buffer)))
    try {
      fs.mkdirSync(dirname(this.path), { recursive: true, mode: STATE_DIRECTORY_MODE })
      const whole = wholeSize(this.path)
      if (whole === undefined || whole + bytes.byteLength > NOTES_BYTES_MAX) this.#writeAnew(bytes)
      else fs.appendFileSync(this.path, bytes, { mode: 0o600 })
      if (this.#read?.isMostlyOld === true) this.#writeAnew(this.#read.distinct())
    } catch (error) {
      log.warning`verified blobs could not be noted in ${this.path}, they will be hashed again: ${messageOf(error)}`
    }
  }

  #writeAnew(bytes: Uint8Array): void {
    const temporary = `${dirname(this.path)}/${TEMPORARY_PREFIX}${process.pid}-notes`
    fs.writeFileSync(temporary, bytes, { mode: 0o600 })
    fs.renameSync(temporary, this.path)
    this.#read = undefined
  }
}

/** @returns bytes of the file; undefined where it ends within a record, as after a crash: later ones would be misread */
function wholeSize(path: string): number | undefined {
  const sizeBytes = fs.statSync(path, { throwIfNoEntry: false })?.size ?? 0
  return sizeBytes % BYTES === 0 ? sizeBytes : undefined
}

/** The records of one file in an open hash table: the first word of a digest is as good as any hash of it. */
class Records {
  #words: Uint32Array
  #table: Int32Array
  #count: number
  #distinct = 0

  constructor(bytes: Uint8Array) {
    this.#count = Math.floor(bytes.byteLength / BYTES)
    this.#words = new Uint32Array(this.#count * WORDS)
    new Uint8Array(this.#words.buffer).set(bytes.subarray(0, this.#count * BYTES))
    this.#table = emptyTable(this.#count)
    for (let index = 0; index < this.#count; index++) {
      const record = this.#record(index)
      const kind = record[KIND_WORD] ?? 0
      if (kind > 0 && kind <= KINDS.length && record[CHECKSUM_WORD] === checksumOf(record)) this.#enter(index)
    }
  }

  get isMostlyOld(): boolean {
    return this.#count > COMPACT_RECORDS_MIN && this.#count > 2 * this.#distinct
  }

  find(wanted: Uint32Array, sha256: boolean): Uint32Array | undefined {
    const index = this.#table[this.#slot(wanted, sha256)] ?? -1
    return index < 0 ? undefined : this.#record(index)
  }

  add(record: Uint32Array): void {
    if ((this.#count + 1) * WORDS > this.#words.length) {
      const grown = new Uint32Array(Math.max(1024, 2 * this.#words.length))
      grown.set(this.#words)
      this.#words = grown
    }
    this.#words.set(record, this.#count * WORDS)
    this.#enter(this.#count++)
    if (2 * this.#distinct > this.#table.length) this.#rehash()
  }

  /** One record for each digest. */
  distinct(): Uint8Array {
    return Buffer.concat([...this.#table].filter((index) => index >= 0).map((index) => bytesOf(this.#record(index))))
  }

  #record(index: number): Uint32Array {
    return this.#words.subarray(index * WORDS, (index + 1) * WORDS)
  }

  #enter(index: number): void {
    const record = this.#record(index)
    const slot = this.#slot(record, isSha256Record(record))
    if (this.#table[slot] === -1) this.#distinct++
    this.#table[slot] = index
  }

  #rehash(): void {
    const live = this.#table.filter((index) => index >= 0)
    this.#table = emptyTable(2 * live.length)
    for (const index of live) this.#table[this.#slot(this.#record(index), isSha256Record(this.#record(index)))] = index
  }

  /** Where this digest stands, or the free place where it would. */
  #slot(wanted: Uint32Array, sha256: boolean): number {
    const mask = this.#table.length - 1
    for (let slot = (wanted[0] ?? 0) & mask; ; slot = (slot + 1) & mask) {
      const index = this.#table[slot] ?? -1
      if (index < 0) return slot
      const record = this.#record(index)
      if (isSha256Record(record) === sha256 && sameDigest(record, wanted)) return slot
    }
  }
}

function emptyTable(records: number): Int32Array {
  return new Int32Array(2 ** Math.ceil(Math.log2(Math.max(16, 4 * records)))).fill(-1)
}

function sameDigest(left: Uint32Array, right: Uint32Array): boolean {
  for (let word = 0; word < 8; word++) if (left[word] !== right[word]) return false
  return true
}

function isSha256Record(record: Uint32Array): boolean {
  return KINDS[(record[KIND_WORD] ?? 0) - 1]?.[0] === true
}

function writeDigest(digest: Digest, record: Uint32Array): void {
  record.fill(0, 0, 8)
  Buffer.from(record.buffer, record.byteOffset, 32).write(digest, 'hex')
}

function checksumOf(record: Uint32Array): number {
  return Bun.hash.xxHash32(bytesOf(record).subarray(0, CHECKSUM_WORD * 4))
}

function bytesOf(record: Uint32Array): Uint8Array {
  return new Uint8Array(record.buffer, record.byteOffset, BYTES)
}
