/**
 * The door of this room: a configured source of environments that is no peer.
 *
 * A substituter hands out unverified bytes: catalogs become trusted in `src/trust`, blobs in the library's ingest. It is
 * asked for one thing at a time (`find`, `get`) or for all that is wanted of one catalog (`deliver`), where it has a
 * better way. Whoever asks several of them in order is `askInOrder`; what keeps a dead one cheap is `Guarded`.
 */

import type { PieceOnWire } from '../blob/pieces.ts'
import type { BlobRef, BlobSource, BlobStream } from '../blob/source.ts'
import type { CatalogName } from '../catalog/tree.ts'
import type { VerifiedCatalog } from '../trust/verify-catalog.ts'

/** A catalog as a substituter has it, unverified. */
export interface OfferedCatalog {
  /** gzip'd JSON, as it lies in a library. */
  readonly stored: Uint8Array
  /** The signatures beside it, in the form of `src/trust`; undefined where there are none. */
  readonly signatures: Uint8Array | undefined
}

/**
 * Something that comes of `deliver`: a blob on its way, a piece of the catalog (catalog/pieces.ts) whole, or before those the
 * SHA-256 of the content of every piece, back to back, as the source tells it.
 */
export type Delivery =
  | { readonly kind: 'blob'; readonly ref: BlobRef; readonly stream: BlobStream }
  | { readonly kind: 'piece'; readonly piece: number; readonly wire: PieceOnWire }
  | { readonly kind: 'table'; readonly table: Uint8Array }

/** What is asked of `deliver`. */
export interface Wanted {
  readonly blobs: readonly BlobRef[]
  /** Whether a piece is here, although its blob is not whole: it need not come. */
  isHere(piece: number): boolean
}

export interface Substituter extends BlobSource, AsyncDisposable {
  /**
   * @returns undefined where it does not have it
   * @throws {HoloError} blame `source`: it fails, or sends more than a catalog may have; `signal.reason`
   */
  find(name: CatalogName, signal: AbortSignal): Promise<OfferedCatalog | undefined>
  /**
   * Many blobs of one catalog, in an order of the source's own, each asked for once. A stream is to be read to its end
   * before the next delivery is taken. Some of `wanted` may not come, and blobs of a piece that were not wanted may.
   *
   * @returns undefined where it has no better way than `get`, one by one
   * @throws {HoloError} blame `source`, also while iterating; `signal.reason`
   */
  deliver(catalog: VerifiedCatalog, wanted: Wanted, signal: AbortSignal): Promise<AsyncGenerator<Delivery> | undefined>
}
