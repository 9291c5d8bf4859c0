/** What rcc's door wants of the machine behind it: environments that are whole, and a way to get more of them. */
import type { Sha256Digest } from '../blob/digest.ts'
import type { StoredBlob } from '../blob/local.ts'
import type { FormedPieces } from '../blob/pieces.ts'
import type { CatalogName } from '../catalog/tree.ts'

/** A complete environment, recorded with SHA-256 digests. */
export interface DoorEnvironment {
  readonly name: CatalogName
  /** Of the decoded catalog. */
  readonly sha256: Sha256Digest
  /** gzip'd JSON, as it lies in the library. */
  readonly stored: Uint8Array
  /** Every blob that it names, once, sorted. */
  readonly digests: ReadonlySet<Sha256Digest>
}

/** How the files of some blobs were when one looked. */
export interface BlobMeasures {
  /** Bytes at rest, in the order of the question; NaN where a blob is not held. */
  readonly sizes: Float64Array
  /** Of the digests and all stamps: another one where any of the files was replaced. */
  readonly fingerprint: Sha256Digest
}

export interface DoorLibrary {
  /** Environments in pieces, as packs are made of. */
  readonly pieces: FormedPieces
  /**
   * An environment that is here.
   *
   * @returns undefined where it is not, or not whole
   * @throws {HoloError} blame `host`; `signal.reason` once `signal` aborts
   */
  held(name: CatalogName, signal: AbortSignal): Promise<DoorEnvironment | undefined>
  /**
   * The same, but one that is not here is looked for and fetched first, within a bound of time. What was begun goes on
   * where `signal` aborts: others may wait for it, or ask again.
   *
   * @returns undefined where nobody has it, or it did not come in time
   */
  bring(name: CatalogName, signal: AbortSignal): Promise<DoorEnvironment | undefined>
  /** Its signatures, one a line. @returns undefined where there are none */
  signatures(environment: DoorEnvironment): Uint8Array | undefined
  /** @returns undefined where it is not held @throws {HoloError} blame `host` when the file cannot be read */
  stored(digest: Sha256Digest): StoredBlob | undefined
  /**
   * Look at the files of blobs, without opening them.
   *
   * @throws `signal.reason` once `signal` aborts
   */
  measure(digests: readonly Sha256Digest[], signal: AbortSignal): Promise<BlobMeasures>
}
