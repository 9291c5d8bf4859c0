/**
 * The content of a piece, read from the library and held against digests: what is not right is as good as not held.
 *
 * A blob whose file bears the stamp under which it was verified is not hashed again; one that is hashed is noted. Works
 * in a Worker; knows nothing of wire forms and of who asks.
 */
import * as fs from 'node:fs'
import { hostError, systemCodeOf } from '../base/errors.ts'
import { type FileStamp, STAMP_LENGTH, sameStamp } from '../base/file-stamp.ts'
import { sha256Hasher, sha256Of } from '../blob/digest.ts'
import { GzipError } from '../blob/gzip.ts'
import type { BlobNotes } from '../blob/notes.ts'
import type { BlobRef } from '../blob/source.ts'
import { blobPath, type Roots, statePaths } from '../catalog/layout.ts'
import { type OpenBlob, openBlobFile, readBlobInto } from './blob-file.ts'
import { DecodedCopies } from './decoded-copies.ts'
import { contentFault } from './ingest.ts'
import { membersOf, type PackedPieces, rangeOf, refOf } from './packed-pieces.ts'
import type { PiecePlace } from './piece-sink.ts'

export class PieceReader implements Disposable {
  readonly #copies: DecodedCopies
  readonly #noted = new Uint32Array(STAMP_LENGTH)

  constructor(
    private readonly roots: Roots,
    private readonly notes: BlobNotes,
  ) {
    this.#copies = new DecodedCopies(statePaths(roots).pieces)
  }

  /**
   * Fill `target`, which is as long as the content, with it.
   *
   * @returns false where a blob is not here, or not right
   * @throws {HoloError} blame `host` when a file cannot be read; `signal.reason`
   */
  async readInto(target: Uint8Array, pieces: PackedPieces, piece: number, signal: AbortSignal): Promise<boolean> {
    const range = rangeOf(pieces, piece)
    try {
      if (range === undefined) return this.#groupInto(target, pieces, piece)
      return await this.#rangeInto(target, refOf(pieces, range.blob), pieces.offsets[piece] ?? 0, signal)
    } catch (error) {
      if (error instanceof GzipError) return false
      throw error
    }
  }

  /** The same for a range of a blob that is not whole. @returns also false where it has got its name meanwhile */
  readUnfinishedInto(
    target: Uint8Array,
    { path, offset, bytes, sha256 }: Extract<PiecePlace, { kind: 'temporary' }>,
  ): boolean {
    try {
      const descriptor = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW)
      try {
        const count = fs.readSync(descriptor, target, 0, target.byteLength, offset)
        return count === bytes && count === target.byteLength && sha256Of(target) === sha256
      } finally {
        fs.closeSync(descriptor)
      }
    } catch (error) {
      if (systemCodeOf(error) === 'ENOENT') return false
      throw hostError(`read ${path}`, error)
    }
  }

  #groupInto(target: Uint8Array, pieces: PackedPieces, piece: number): boolean {
    let at = 0
    for (const blob of membersOf(pieces, piece)) {
      const ref = refOf(pieces, blob)
      const content = target.subarray(at, at + ref.sizeBytes)
      const read = readBlobInto(content, blobPath(this.roots, ref.digest), ref)
      if (read === undefined) return false
      if (!this.#isNoted(ref, read.stamp)) {
        if (contentFault(ref, content) !== undefined) return false
        this.notes.add(ref.digest, read.form, read.stamp, 0)
      }
      at += ref.sizeBytes
    }
    return at === target.byteLength
  }

  async #rangeInto(target: Uint8Array, ref: BlobRef, offset: number, signal: AbortSignal): Promise<boolean> {
    using blob = openBlobFile(blobPath(this.roots, ref.digest), ref.digest)
    if (blob === undefined) return false
    if (blob.form === 'gzip') return await this.#copies.readAt(ref, blob, target, offset, signal)
    if (blob.storedBytes !== ref.sizeBytes) return false
    if (!this.#isNoted(ref, blob.stamp)) {
      if (!(await isRight(ref, blob, signal))) return false
      this.notes.add(ref.digest, 'identity', blob.stamp, 0)
    }
    blob.readAt(target, offset)
    return true
  }

  #isNoted({ digest }: BlobRef, stamp: FileStamp): boolean {
    return this.notes.find(digest, this.#noted, 0) !== undefined && sameStamp(this.#noted, 0, stamp, 0)
  }

  [Symbol.dispose](): void {
    this.#copies[Symbol.dispose]()
  }
}

async function isRight(ref: BlobRef, blob: OpenBlob, signal: AbortSignal): Promise<boolean> {
  const hasher = sha256Hasher()
  for await (const chunk of blob.bytes()) {
    signal.throwIfAborted()
    hasher.update(chunk)
  }
  return hasher.digest() === ref.digest
}
