/**
 * Notes of verified blobs in one file: records of 72 bytes, the later one of a digest counts.
 *
 * Appended by one write each time, so that processes that note at once do not mix their records; each record has a
 * checksum, and what is torn or altered is passed over. When more than half of it is old, the file is written anew
 * (by rename); notes that another process appends in that moment are lost, which costs one more hashing.
 */
import * as fs from 'node:fs'
import { dirname } from 'node:path'
import { threadId } from 'node:worker_threads'
import { messageOf } from '../base/errors.ts'
import { type FileStamp, STAMP_LENGTH } from '../base/file-stamp.ts'
import { NOTES_BYTES_MAX } from '../base/limits.ts'
import { roomLogger } from '../base/log.ts'
import { type Digest, isSha256 } from '../blob/digest.ts'
import type { BlobForm, BlobNotes } from '../blob/notes.ts'
import { STATE_DIRECTORY_MODE, TEMPORARY_PREFIX } from '../catalog/layout.ts'
import {
  NOTE_BYTES as BYTES,
  digestBytes,
  formOf,
  isIntact,
  isSha256Record,
  STAMP_WORD,
  NOTE_WORDS as WORDS,
  writeDigest,
  writeNote,
} from './note-record.ts'
import { readOwn } from './read-own.ts'

const log = roomLogger('store')
const COMPACT_RECORDS_MIN = 4096
/** A record that is made or looked for. */
const scratch = new Uint32Array(WORDS)
const scratchDigest = digestBytes(scratch)

export class VerifiedNotes implements BlobNotes {
  readonly #added: Uint32Array[] = []
  #read: Records | undefined

  /** @param path of the file, which need not exist; it is read at the first question */
  constructor(private readonly path: string) {}

  find(digest: Digest, target: FileStamp, at: number): BlobForm | undefined {
    const read = this.#records()
    writeDigest(scratch, digest, scratchDigest)
    const record = read.find(isSha256(digest))
    if (record === undefined) return undefined
    const { words } = read
    for (let word = 0; word < STAMP_LENGTH; word++) target[at + word] = words[record + STAMP_WORD + word] ?? 0
    return formOf(words, record)
  }

  add(digest: Digest, form: BlobForm, stamp: FileStamp, at: number): void {
    writeNote(scratch, digest, form, stamp, at)
    this.addRecords(scratch.slice())
  }

  /** As `add` for each of the records that another thread has made with `NoteRecords`; they are kept, not copied. */
  addRecords(records: Uint32Array): void {
    this.#added.push(records)
    // Whoever adds many asks for them at the end, when somebody waits for it: so they are entered as they come.
    const read = this.#records()
    for (let at = 0; at < records.length; at += WORDS) read.add(records.subarray(at, at + WORDS))
  }

  flush(): void {
    // A killed process may have left half a record at the end.
    if (this.#added.length === 0 && this.#read?.isTorn !== true) return
    const bytes = Buffer.concat(
      this.#added.splice(0).map((record) => new Uint8Array(record.buffer, record.byteOffset, record.byteLength)),
    )
    try {
      fs.mkdirSync(dirname(this.path), { recursive: true, mode: STATE_DIRECTORY_MODE })
      const whole = wholeSize(this.path)
      if (whole === undefined) this.#writeAnew(this.#read?.distinct() ?? bytes)
      else if (whole + bytes.byteLength > NOTES_BYTES_MAX) this.#writeAnew(bytes)
      else fs.appendFileSync(this.path, bytes, { mode: 0o600 })
      if (this.#read?.isMostlyOld === true) this.#writeAnew(this.#read.distinct())
    } catch (error) {
      log.warning`verified blobs could not be noted in ${this.path}, they will be hashed again: ${messageOf(error)}`
    }
  }

  #records(): Records {
    this.#read ??= new Records(readOwn(this.path, NOTES_BYTES_MAX) ?? new Uint8Array(0))
    return this.#read
  }

  #writeAnew(bytes: Uint8Array): void {
    const temporary = `${dirname(this.path)}/${TEMPORARY_PREFIX}${process.pid}-${threadId}-notes`
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
  words: Uint32Array
  /** Where in `words` the record of a slot begins, or -1. */
  #table: Int32Array
  #count: number
  #distinct = 0
  /** Whether the file that they were read from ends within a record. */
  readonly isTorn: boolean

  constructor(bytes: Uint8Array) {
    this.isTorn = bytes.byteLength % BYTES !== 0
    this.#count = Math.floor(bytes.byteLength / BYTES)
    this.words = new Uint32Array(this.#count * WORDS)
    new Uint8Array(this.words.buffer).set(bytes.subarray(0, this.#count * BYTES))
    this.#table = emptyTable(this.#count)
    for (let record = 0; record < this.words.length; record += WORDS) {
      if (isIntact(this.words, record)) this.#enter(record)
    }
  }

  get isMostlyOld(): boolean {
    return this.#count > COMPACT_RECORDS_MIN && this.#count > 2 * this.#distinct
  }

  /** Look for the digest in `scratch`. @returns where in `words` its record begins */
  find(sha256: boolean): number | undefined {
    const record = this.#table[this.#slot(scratch, 0, sha256)] ?? -1
    return record < 0 ? undefined : record
  }

  add(added: Uint32Array): void {
    const record = this.#count++ * WORDS
    if (record + WORDS > this.words.length) {
      const grown = new Uint32Array(Math.max(1024 * WORDS, 2 * this.words.length))
      grown.set(this.words)
      this.words = grown
    }
    this.words.set(added, record)
    this.#enter(record)
    if (2 * this.#distinct > this.#table.length) this.#rehash()
  }

  /** One record for each digest. */
  distinct(): Uint8Array {
    const kept = [...this.#table].filter((record) => record >= 0)
    return Buffer.concat(kept.map((record) => new Uint8Array(this.words.buffer, 4 * record, BYTES)))
  }

  #enter(record: number): void {
    const slot = this.#slot(this.words, record, isSha256Record(this.words, record))
    if (this.#table[slot] === -1) this.#distinct++
    this.#table[slot] = record
  }

  #rehash(): void {
    const live = this.#table.filter((record) => record >= 0)
    this.#table = emptyTable(2 * live.length)
    for (const record of live) this.#table[this.#slot(this.words, record, isSha256Record(this.words, record))] = record
  }

  /** Where the digest at `at` of `wanted` stands, or the free place where it would. */
  #slot(wanted: Uint32Array, at: number, sha256: boolean): number {
    const mask = this.#table.length - 1
    for (let slot = (wanted[at] ?? 0) & mask; ; slot = (slot + 1) & mask) {
      const record = this.#table[slot] ?? -1
      if (record < 0) return slot
      if (isSha256Record(this.words, record) === sha256 && this.#sameDigest(record, wanted, at)) return slot
    }
  }

  #sameDigest(record: number, wanted: Uint32Array, at: number): boolean {
    for (let word = 0; word < STAMP_WORD; word++) if (this.words[record + word] !== wanted[at + word]) return false
    return true
  }
}

function emptyTable(records: number): Int32Array {
  return new Int32Array(2 ** Math.ceil(Math.log2(Math.max(16, 4 * records)))).fill(-1)
}
