/**
 * The doors to blobs that lie on this machine: for restore, which places them, and for serving, which sends them.
 *
 * A local blob is as unverified as one from the wire: disks rot, and rcc's imports check nothing. Who uses the bytes
 * compares their digest.
 */
import type { FileStamp } from '../base/file-stamp.ts'
import type { Digest } from './digest.ts'
import type { BlobForm, BlobNotes } from './notes.ts'

/** Where a blob lies, and how. */
export interface LocalBlob {
  /** Absolute path of a regular file: for cloning, where the form is `identity`. */
  readonly path: string
  /** When it was found; the readers below look again, since the file may have been replaced by its other form. */
  readonly form: BlobForm
  /** Bytes of the file, which are those of the content only where the form is `identity`. */
  readonly storedBytes: number
  /** The file's stamp when it was found. */
  readonly stamp: FileStamp
  /**
   * The decoded content at once, for small blobs; may be called once, and what it returns belongs to the caller.
   *
   * @param sizeBytes what the catalog says
   * @throws {GzipError} it is damaged, or not of that size; {HoloError} blame `host` when it cannot be read
   */
  whole(sizeBytes: number): Uint8Array
  /**
   * The decoded content in chunks, which belong to the caller.
   *
   * @throws {GzipError} while iterating: it is damaged, or goes on after `bytesMax`; {HoloError} as `whole`
   */
  chunks(bytesMax: number): AsyncIterable<Uint8Array>
}

/** Where blobs lie as files. */
export interface BlobTree {
  /** Absolute path. */
  readonly directory: string
  /** Relative to it, with `/`. */
  nameOf(digest: Digest): string
}

export interface LocalBlobs {
  /** For those who go through thousands of blobs by system calls of their own; undefined where there are no files. */
  readonly tree?: BlobTree
  /** What was verified before; undefined where nothing is kept. */
  readonly notes?: BlobNotes
  /**
   * Synchronous, since a restore asks some 10^4 times in a row.
   *
   * @returns undefined where no file stands at the blob's place
   * @throws {HoloError} blame `host` when the file cannot be read
   */
  find(digest: Digest): LocalBlob | undefined
}

/** A blob as a server sends it: the bytes of one open file, whatever their form. Disposing of it closes the file. */
export interface StoredBlob extends Disposable {
  readonly encoding: 'identity' | 'gzip'
  /** Length of what `bytes` yields. */
  readonly sizeBytes: number
  /**
   * Chunks in order.
   *
   * @param from offset of the first byte, 0 at first; at most `sizeBytes`
   * @throws {HoloError} blame `host`, while iterating: the file cannot be read to its end
   */
  bytes(from?: number): AsyncIterable<Uint8Array>
  /** All at once, for small blobs. @throws {HoloError} as `bytes` */
  whole(): Uint8Array
}

export interface StoredBlobs {
  /** @returns undefined where the blob is not held @throws {HoloError} blame `host` when the file cannot be read */
  stored(digest: Digest): StoredBlob | undefined
}
