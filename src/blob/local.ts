/**
 * The doors to blobs that lie on this machine: for restore, which places them, and for serving, which sends them.
 *
 * A local blob is as unverified as one from the wire: disks rot, and rcc's imports check nothing. Who uses the bytes
 * compares their digest.
 */
import type { Digest } from './digest.ts'

/** Where a blob lies, and how. */
export interface LocalBlob {
  /** Absolute path of a regular file. */
  readonly path: string
  readonly form: 'identity' | 'gzip'
  /** Bytes of the file, which are those of the content only where the form is `identity`. */
  readonly storedBytes: number
}

export interface LocalBlobs {
  /**
   * Synchronous, since a restore asks some 10^4 times in a row.
   *
   * @returns undefined where no file stands at the blob's place
   * @throws {HoloError} blame `host` when the file cannot be read
   */
  find(digest: Digest): LocalBlob | undefined
}

/** A blob as a server sends it: the bytes of the file, whatever their form. */
export interface StoredBlob {
  readonly encoding: 'identity' | 'gzip'
  /** Length of what `bytes` yields. */
  readonly sizeBytes: number
  /** Chunks in order; may be called once. @throws {HoloError} blame `host` when the file cannot be read to its end */
  bytes(): AsyncIterable<Uint8Array>
  /** All at once, for small blobs. @throws {HoloError} as `bytes` */
  whole(): Uint8Array
}

export interface StoredBlobs {
  /** @returns undefined where the blob is not held @throws {HoloError} blame `host` when the file cannot be read */
  stored(digest: Digest): StoredBlob | undefined
}
