/**
 * Decoded copies of large blobs that are gzip at rest, for who reads them in ranges: decoding each range from the start
 * would cost the square of their number.
 *
 * A copy is verified while it is made. Its file has no name, so nothing is left of it whatever happens, and the
 * least recently used ones go beyond `DECODED_COPIES_BYTES_MAX`.
 */
import * as fs from 'node:fs'
import { hostError } from '../base/errors.ts'
import { DECODED_COPIES_BYTES_MAX } from '../base/limits.ts'
import { type Digest, sha256Hasher } from '../blob/digest.ts'
import { GzipError, gunzipStream } from '../blob/gzip.ts'
import type { BlobRef } from '../blob/source.ts'
import type { OpenBlob } from './blob-file.ts'
import { removeQuietly, writeAll } from './library-files.ts'
import { temporaryIn } from './temporary.ts'

interface Copy {
  readonly descriptor: number
  readonly bytes: number
}

export class DecodedCopies implements Disposable {
  /** Least recently used first. */
  readonly #copies = new Map<Digest, Copy>()
  #bytes = 0

  /** @param directory of ours, made here where it lacks */
  constructor(
    private readonly directory: string,
    private readonly bytesMax = DECODED_COPIES_BYTES_MAX,
  ) {}

  /**
   * Fill `target` from the content of `ref` at `offset`.
   *
   * @param blob its gzip file, read where there is no copy yet
   * @returns false where the file does not hold that blob
   * @throws {HoloError} blame `host`; `signal.reason`
   */
  async readAt(
    ref: BlobRef,
    blob: OpenBlob,
    target: Uint8Array,
    offset: number,
    signal: AbortSignal,
  ): Promise<boolean> {
    const copy = this.#copies.get(ref.digest) ?? (await this.#make(ref, blob, signal))
    if (copy === undefined) return false
    this.#copies.delete(ref.digest)
    this.#copies.set(ref.digest, copy)
    try {
      for (let at = 0; at < target.byteLength; ) {
        const count = fs.readSync(copy.descriptor, target, at, target.byteLength - at, offset + at)
        if (count === 0) throw new Error('it has become shorter')
        at += count
      }
    } catch (error) {
      throw hostError(`read a decoded copy in ${this.directory}`, error)
    }
    return true
  }

  async #make(ref: BlobRef, blob: OpenBlob, signal: AbortSignal): Promise<Copy | undefined> {
    const path = temporaryIn(this.directory)
    let descriptor: number
    try {
      fs.mkdirSync(this.directory, { recursive: true, mode: 0o700 })
      descriptor = fs.openSync(path, 'wx+', 0o600)
    } catch (error) {
      throw hostError(`write ${path}`, error)
    }
    removeQuietly(path)
    let kept = false
    try {
      const hasher = sha256Hasher()
      let bytes = 0
      for await (const chunk of gunzipStream(blob.bytes(), ref.sizeBytes)) {
        signal.throwIfAborted()
        hasher.update(chunk)
        writeAll(descriptor, chunk, path)
        bytes += chunk.byteLength
      }
      kept = bytes === ref.sizeBytes && hasher.digest() === ref.digest
      if (!kept) return undefined
    } catch (error) {
      if (error instanceof GzipError) return undefined
      throw error
    } finally {
      if (!kept) fs.closeSync(descriptor)
    }
    const copy = { descriptor, bytes: ref.sizeBytes }
    this.#copies.set(ref.digest, copy)
    this.#bytes += copy.bytes
    this.#prune(ref.digest)
    return copy
  }

  #prune(kept: Digest): void {
    for (const [digest, { descriptor, bytes }] of this.#copies) {
      if (this.#bytes <= this.bytesMax) return
      if (digest === kept) continue
      fs.closeSync(descriptor)
      this.#copies.delete(digest)
      this.#bytes -= bytes
    }
  }

  [Symbol.dispose](): void {
    for (const { descriptor } of this.#copies.values()) fs.closeSync(descriptor)
    this.#copies.clear()
  }
}
