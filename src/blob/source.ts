/**
 * The doors between those who hold blobs and those who want them.
 *
 * A source hands out unverified streams; a store is where bytes become a blob. Neither knows of the other.
 */
import type { Digest } from './digest.ts'

/** What is wanted: a blob's digest and, from the catalog, the size of its decoded content in bytes. */
export interface BlobRef {
  readonly digest: Digest
  readonly sizeBytes: number
}

/** How many blobs, and their bytes in all. */
export interface BlobSum {
  readonly blobs: number
  readonly bytes: number
}

export function sumOfBlobs(refs: readonly BlobRef[]): BlobSum {
  return { blobs: refs.length, bytes: refs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) }
}

/** One blob on its way, unverified. */
export interface BlobStream {
  /** Who sends it, as in every error and log line. */
  readonly source: string
  readonly encoding: 'identity' | 'gzip'
  /** The stored form, in chunks; iteration throws a HoloError that blames the source when it breaks off. */
  readonly bytes: AsyncIterable<Uint8Array>
}

export interface BlobSource {
  /** In every error and log line. */
  readonly name: string
  /** Plural, so that 10^4 questions are one round trip. */
  has(digests: readonly Digest[], signal: AbortSignal): Promise<ReadonlySet<Digest>>
  /**
   * @returns undefined where the source does not have it; that is not an error
   * @throws {HoloError} that blames the source when it fails, `signal.reason` once `signal` aborts
   */
  get(ref: BlobRef, signal: AbortSignal): Promise<BlobStream | undefined>
}

export interface BlobStore {
  /** Whether a file stands at the blob's place; says nothing about its bytes. */
  has(digest: Digest): Promise<boolean>
  /**
   * Read `stream` to its end, verify digest and size, and make it visible under its name; on any failure nothing is
   * left behind. A blob that is there already is left as it is.
   *
   * @throws {HoloError} blame `source`, code `blob-corrupt` when digest or size are wrong; blame `host` when writing
   *   fails
   */
  put(ref: BlobRef, stream: BlobStream, signal: AbortSignal): Promise<void>
}
