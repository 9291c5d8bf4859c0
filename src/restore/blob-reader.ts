/**
 * Blobs of a library by system calls: open one, see whether it is right, read its content. One value per thread.
 *
 * What it finds out about a blob it notes in the shared placements. Verification is by the file that is open, so a
 * blob that is replaced meanwhile does no harm.
 */
import { type Pointer, ptr } from 'bun:ffi'
import { hostError } from '../base/errors.ts'
import { type FileStamp, STAMP_LENGTH, sameStamp } from '../base/file-stamp.ts'
import { freeNow } from '../base/free-now.ts'
import { errnoError, libc, O_CLOEXEC, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, Status } from '../base/libc.ts'
import { BLOB_DECODED_BYTES_MAX, CHUNK_BYTES } from '../base/limits.ts'
import { type Digest, isSha256 } from '../blob/digest.ts'
import {
  beginsLikeGzip,
  GZIP_HEADER_BYTES_MAX,
  GzipError,
  gunzipExactly,
  gunzipVerified,
  isGzip,
} from '../blob/gzip.ts'
import { digestLike, hasherFor } from '../catalog/hasher.ts'
import type { Verification } from '../catalog/strategies.ts'
import {
  BLOB_ABSENT,
  BLOB_CORRUPT,
  BLOB_NOTED,
  BLOB_RENEWED,
  FORM_GZIP,
  FORM_RAW,
  type PlacementTexts,
  type SharedPlacements,
} from './placements.ts'

// Non-blocking, so that a named pipe planted at a blob's place does not stop us.
const OPEN_FLAGS = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC
/** Almost every gzip header is the ten bytes of rcc's own. */
const SNIFFED_BYTES = 10

/** What became of a look at a blob. `streamed`: it is too large to be decoded at once, and was not verified yet. */
export type Verdict = 'right' | 'streamed' | 'absent' | 'corrupt'

export class BlobReader implements Disposable {
  readonly #libc = libc()
  /** Of the blob that was looked at last. */
  readonly status = new Status()
  readonly #buffer = new Uint8Array(CHUNK_BYTES)
  readonly #address = ptr(this.#buffer)
  readonly #stamp = new Uint32Array(STAMP_LENGTH)
  /** The decoded content of the blob that was examined last, where that was read at once; valid until the next one. */
  content: Uint8Array | undefined

  constructor(
    private readonly placements: SharedPlacements,
    private readonly texts: PlacementTexts,
    readonly directory: number,
    private readonly places: { readonly library: string; readonly verification: Verification },
  ) {}

  /** @returns a descriptor to be closed by the caller, or undefined where no file stands there */
  open(blob: number): number | undefined {
    const descriptor = this.#libc.openat(this.directory, this.texts.pointer(this.#nameAt(blob)), OPEN_FLAGS, 0)
    if (descriptor >= 0) return descriptor
    const error = errnoError(this.#libc.errno())
    if (!['ENOENT', 'ENOTDIR', 'ELOOP'].includes(error.code))
      throw hostError(`open the blob ${this.#pathOf(blob)}`, error)
    this.placements.blobState[blob] = BLOB_ABSENT
    return undefined
  }

  /** Path relative to the library. */
  nameOf(blob: number): string {
    return this.texts.string(this.#nameAt(blob))
  }

  /** For errors. */
  #pathOf(blob: number): string {
    return `${this.places.library}/${this.nameOf(blob)}`
  }

  /** Its path ends with it. */
  digestOf(blob: number): Digest {
    const name = this.nameOf(blob)
    return name.slice(name.lastIndexOf('/') + 1) as Digest
  }

  /** Whether a blob is known to be right without opening it: its file bears the stamp that it was verified with. */
  isTrusted(blob: number): boolean {
    if (this.places.verification === 'always' || !this.#hasStamp(blob)) return false
    if (!this.status.at(this.directory, this.texts.pointer(this.#nameAt(blob)))) return false
    return this.status.isFile && this.#bearsStamp(blob)
  }

  /**
   * See whether an open file is the blob, and decode it where it is gzip.
   *
   * @param sizeBytes what the catalog says
   */
  examine(descriptor: number, blob: number, sizeBytes: number): Verdict {
    const { blobForm } = this.placements
    this.#forget()
    if (!this.status.of(descriptor)) throw this.#failed('look at', blob)
    if (!this.status.isFile) return this.#verdict(blob, 'absent')
    // By stamp, also within one run: `optimize` may replace a file by its other form at any time.
    const trusted = this.places.verification !== 'always' && this.#hasStamp(blob) && this.#bearsStamp(blob)
    if (trusted) return this.#decodeTrusted(descriptor, blob, sizeBytes)
    const storedBytes = this.status.sizeBytes
    const digest = this.digestOf(blob)
    blobForm[blob] = this.#sniff(descriptor, digest, blob)
    if (this.places.verification === 'skip') return this.#decodeTrusted(descriptor, blob, sizeBytes)
    const stamp = this.stamp()
    const verdict =
      blobForm[blob] === FORM_GZIP
        ? this.#verifyGzip(descriptor, blob, digest, storedBytes, sizeBytes)
        : this.#verifyRaw(descriptor, blob, digest, storedBytes, sizeBytes)
    if (verdict === 'right') this.accept(blob, stamp)
    return this.#verdict(blob, verdict)
  }

  /** Of the file that was examined last. */
  stamp(): FileStamp {
    const stamp = new Uint32Array(STAMP_LENGTH)
    this.status.copyStamp(stamp, 0)
    return stamp
  }

  /** Note that a blob was verified elsewhere than in `examine`. @param stamp taken before its first byte was read */
  accept(blob: number, stamp: FileStamp): void {
    this.placements.blobStamp.set(stamp, blob * STAMP_LENGTH)
    this.placements.blobState[blob] = BLOB_RENEWED
  }

  /** Hand over a raw blob piece by piece; `bytes` are valid during the call. @throws {HoloError} blame `host` */
  each(descriptor: number, blob: number, use: (bytes: Uint8Array, at: number) => void): void {
    for (let at = 0; ; ) {
      const count = this.#read(descriptor, blob, at)
      if (count === 0) return
      use(this.#buffer.subarray(0, count), at)
      at += count
    }
  }

  /** Chunks of the file as it is at rest, each one's memory the caller's. @throws {HoloError} blame `host` */
  async *chunks(descriptor: number, blob: number): AsyncGenerator<Uint8Array> {
    for (let at = 0; ; ) {
      const count = this.#read(descriptor, blob, at)
      if (count === 0) return
      at += count
      yield this.#buffer.slice(0, count)
    }
  }

  #verdict(blob: number, verdict: Verdict): Verdict {
    if (verdict === 'absent') this.placements.blobState[blob] = BLOB_ABSENT
    if (verdict === 'corrupt') this.placements.blobState[blob] = BLOB_CORRUPT
    return verdict
  }

  /** No hashing; but what is not of the right size is not the blob. */
  #decodeTrusted(descriptor: number, blob: number, sizeBytes: number): Verdict {
    const storedBytes = this.status.sizeBytes
    if (this.placements.blobForm[blob] !== FORM_GZIP) {
      return this.#verdict(blob, storedBytes === sizeBytes ? 'right' : 'corrupt')
    }
    if (sizeBytes > BLOB_DECODED_BYTES_MAX || storedBytes > BLOB_DECODED_BYTES_MAX) return 'streamed'
    const stored = this.#whole(descriptor, blob, storedBytes)
    return this.#decode(blob, stored, () => gunzipVerified(stored, sizeBytes))
  }

  #verifyGzip(descriptor: number, blob: number, digest: Digest, storedBytes: number, sizeBytes: number): Verdict {
    if (sizeBytes > BLOB_DECODED_BYTES_MAX || storedBytes > BLOB_DECODED_BYTES_MAX) return 'streamed'
    const stored = this.#whole(descriptor, blob, storedBytes)
    const verdict = this.#decode(blob, stored, () => gunzipExactly(stored, sizeBytes))
    if (this.content === undefined) return verdict
    return digestLike(digest, this.content) === digest ? 'right' : 'corrupt'
  }

  #decode(blob: number, stored: Uint8Array, work: () => Uint8Array): Verdict {
    try {
      this.content = work()
      if (stored.buffer !== this.#buffer.buffer) freeNow(stored)
      return 'right'
    } catch (error) {
      if (error instanceof GzipError) return this.#verdict(blob, 'corrupt')
      throw error
    }
  }

  #verifyRaw(descriptor: number, blob: number, digest: Digest, storedBytes: number, sizeBytes: number): Verdict {
    if (storedBytes !== sizeBytes) return 'corrupt'
    if (sizeBytes <= this.#buffer.byteLength) {
      if (this.#read(descriptor, blob, 0) !== sizeBytes) return 'corrupt'
      this.content = this.#buffer.subarray(0, sizeBytes)
      return digestLike(digest, this.content) === digest ? 'right' : 'corrupt'
    }
    const hasher = hasherFor(digest)
    for (let at = 0; at < sizeBytes; ) {
      const count = this.#read(descriptor, blob, at)
      if (count === 0) return 'corrupt'
      hasher.update(this.#buffer.subarray(0, count))
      at += count
    }
    return hasher.digest() === digest ? 'right' : 'corrupt'
  }

  #whole(descriptor: number, blob: number, storedBytes: number): Uint8Array {
    if (storedBytes <= this.#buffer.byteLength) return this.#buffer.subarray(0, this.#read(descriptor, blob, 0))
    const whole = new Uint8Array(storedBytes)
    let at = 0
    while (at < storedBytes) {
      const count = this.#read(descriptor, blob, at)
      if (count === 0) break
      whole.set(this.#buffer.subarray(0, Math.min(count, storedBytes - at)), at)
      at += count
    }
    return whole.subarray(0, Math.min(at, storedBytes))
  }

  /** As much as fits the buffer, from `at` on. @returns bytes read; 0 at the end */
  #read(descriptor: number, blob: number, at: number): number {
    let total = 0
    const room = this.#buffer.byteLength
    // A short read is not the end of a file on every file system.
    for (;;) {
      const count = this.#libc.pread(descriptor, (this.#address + total) as Pointer, room - total, at + total)
      if (Number(count) < 0) throw this.#failed('read', blob)
      total += Number(count)
      if (Number(count) === 0 || total === room) return total
    }
  }

  /** Form of an open file, as rcc sees it. */
  #sniff(descriptor: number, digest: Digest, blob: number): number {
    if (!isSha256(digest)) return FORM_RAW
    const count = Number(this.#libc.pread(descriptor, this.#address, SNIFFED_BYTES, 0))
    if (count < 0) throw this.#failed('read', blob)
    const short = this.#buffer.subarray(0, count)
    if (!beginsLikeGzip(short)) return FORM_RAW
    if (isGzip(short)) return FORM_GZIP
    const head = this.#buffer.subarray(0, Math.min(GZIP_HEADER_BYTES_MAX, this.#read(descriptor, blob, 0)))
    return isGzip(head) ? FORM_GZIP : FORM_RAW
  }

  /** Free the content of the blob before: the collector would let megabytes pile up. */
  #forget(): void {
    if (this.content !== undefined && this.content.buffer !== this.#buffer.buffer) freeNow(this.content)
    this.content = undefined
  }

  #hasStamp(blob: number): boolean {
    const state = this.placements.blobState[blob]
    return state === BLOB_NOTED || state === BLOB_RENEWED
  }

  #bearsStamp(blob: number): boolean {
    this.status.copyStamp(this.#stamp, 0)
    return sameStamp(this.#stamp, 0, this.placements.blobStamp, blob * STAMP_LENGTH)
  }

  #nameAt(blob: number): number {
    return this.placements.blobName[blob] ?? 0
  }

  #failed(doing: string, blob: number): Error {
    return hostError(`${doing} the blob ${this.#pathOf(blob)}`, errnoError(this.#libc.errno()))
  }

  [Symbol.dispose](): void {
    this.#libc.close(this.directory)
  }
}
