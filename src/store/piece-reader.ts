/**
 * The content of a piece, read from the library and held against digests: what is not right is as good as not held.
 *
 * A blob whose file bears the stamp under which it was verified is not hashed again; one that is hashed is noted. Works
 * in a Worker; knows nothing of wire forms and of who asks.
 */
import * as fs from 'node:fs'
import { hostError, systemCodeOf } from '../base/errors.ts'
import { type FileStamp, STAMP_LENGTH, sameStamp } from '../base/file-stamp.ts'
import { freeNow } from '../base/free-now.ts'
import { sha256Hasher, sha256Of } from '../blob/digest.ts'
import { GzipError } from '../blob/gzip.ts'
import type { BlobNotes } from '../blob/notes.ts'
import type { BlobRef } from '../blob/source.ts'
import { blobPath, type Roots, statePaths } from '../catalog/layout.ts'
import { type OpenBlob, openBlobFile, readBlobFile } from './blob-file.ts'
import { DecodedCopies } from './decoded-copies.ts'
import { contentFault } from './ingest.ts'
import { contentBytes, membersOf, type PackedPieces, type RangePlace, rangeOf, refOf } from './packed-pieces.ts'
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
   * @returns the content, whose memory is the caller's; undefined where a blob is not here, or not right
   * @throws {HoloError} blame `host` when a file cannot be read; `signal.reason`
   */
  async read(pieces: PackedPieces, piece: number, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const range = rangeOf(pieces, piece)
    try {
      if (range === undefined) return this.#group(pieces, piece)
      return await this.#range(refOf(pieces, range.blob), range, pieces.offsets[piece] ?? 0, signal)
    } catch (error) {
      if (error instanceof GzipError) return undefined
      throw error
    }
  }

  /** The same for a range of a blob that is not whole. @returns also undefined where it has got its name meanwhile */
  readUnfinished({ path, offset, bytes, sha256 }: Extract<PiecePlace, { kind: 'temporary' }>) {
    const content = new Uint8Array(bytes)
    try {
      const descriptor = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW)
      try {
        const count = fs.readSync(descriptor, content, 0, bytes, offset)
        return count === bytes && sha256Of(content) === sha256 ? content : undefined
      } finally {
        fs.closeSync(descriptor)
      }
    } catch (error) {
      if (systemCodeOf(error) === 'ENOENT') return undefined
      throw hostError(`read ${path}`, error)
    }
  }

  #group(pieces: PackedPieces, piece: number): Uint8Array<ArrayBuffer> | undefined {
    const members = membersOf(pieces, piece)
    const content = new Uint8Array(contentBytes(pieces, piece))
    let at = 0
    for (const blob of members) {
      const ref = refOf(pieces, blob)
      const read = readBlobFile(blobPath(this.roots, ref.digest), ref)
      if (read === undefined) return undefined
      if (!this.#isNoted(ref, read.stamp)) {
        if (contentFault(ref, read.content) !== undefined) return undefined
        this.notes.add(ref.digest, read.form, read.stamp, 0)
      }
      content.set(read.content, at)
      freeNow(read.content)
      at += ref.sizeBytes
    }
    return content
  }

  async #range(
    ref: BlobRef,
    { bytes }: RangePlace,
    offset: number,
    signal: AbortSignal,
  ): Promise<Uint8Array<ArrayBuffer> | undefined> {
    using blob = openBlobFile(blobPath(this.roots, ref.digest), ref.digest)
    if (blob === undefined) return undefined
    const content = new Uint8Array(bytes)
    if (blob.form === 'gzip')
      return (await this.#copies.readAt(ref, blob, content, offset, signal)) ? content : undefined
    if (blob.storedBytes !== ref.sizeBytes) return undefined
    if (!this.#isNoted(ref, blob.stamp)) {
      if (!(await isRight(ref, blob, signal))) return undefined
      this.notes.add(ref.digest, 'identity', blob.stamp, 0)
    }
    blob.readAt(content, offset)
    return content
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
