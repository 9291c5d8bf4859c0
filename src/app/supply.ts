/**
 * Where a restore can get an environment from, in one shape: a hololib.zip, the daemon of this library, a swarm.
 */
import type { Sha256Digest } from '../blob/digest.ts'
import type { FetchTotals } from '../blob/fetch-all.ts'
import type { BlobSum } from '../blob/source.ts'
import type { CatalogName } from '../catalog/tree.ts'
import type { VerifiedCatalog } from '../trust/verify-catalog.ts'

/** One moment of a fetch; `blobs` is how many there will be in all. */
export type FetchProgress = (totals: FetchTotals, blobs: number) => void

/** A verified catalog, and what the user should know about how it was found. */
export interface FoundEnvironment {
  readonly catalog: VerifiedCatalog
  readonly warnings: readonly string[]
}

/** An environment that is on its way into the library. */
export interface BegunEnvironment extends Pick<VerifiedCatalog, 'source' | 'publication'> {
  readonly warnings: readonly string[]
  /** Distinct blobs of the environment. */
  readonly blobs: number
  /** Those that the library lacked. */
  readonly missing: BlobSum
}

export interface Bringing {
  /** What is done is added to it, also where it fails. */
  readonly totals: FetchTotals
  /** Told once the environment was found, before all progress. */
  readonly onFound: (found: BegunEnvironment) => void
  readonly onProgress: FetchProgress
}

export interface Supply extends AsyncDisposable {
  /** In log lines. */
  readonly label: string
  /** Nobody who is asked later knows more: its miss, or its error, is the last word. */
  readonly final: boolean
  /**
   * @param local SHA-256 of the decoded catalog that the library holds, if any: it wins where peers differ
   * @returns undefined where it does not have it and there is nothing to say about that
   * @throws {HoloError} blame `missing`: it is not to be had, with the reason; blame `source`: those who have it fail
   * @throws `signal.reason` once `signal` aborts
   */
  find(name: CatalogName, local: Sha256Digest | undefined, signal: AbortSignal): Promise<FoundEnvironment | undefined>
  /**
   * Bring the catalog and all its blobs into the library.
   *
   * @param totals what the call does is added to it, also when it throws
   * @throws {HoloError} blame `source` or `missing`: some blobs could not be had; blame `host`
   */
  fetch(catalog: VerifiedCatalog, totals: FetchTotals, onProgress: FetchProgress, signal: AbortSignal): Promise<void>
  /**
   * Both in one go, where that is sooner done than one after the other.
   *
   * @param local as for `find` @throws as both
   */
  bring?(name: CatalogName, local: Sha256Digest | undefined, bringing: Bringing, signal: AbortSignal): Promise<void>
}
