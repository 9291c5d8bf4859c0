/**
 * Pieces: what environments travel in. A catalog's distinct blobs, grouped, or cut, into about 1 MiB each.
 *
 * Pure, and the same on every machine with no agreement needed: it follows from the catalog alone (docs/protocol.md,
 * "Pieces"). Some hundred pieces stand for ten thousand blobs. Knows nothing of compression and of who holds what.
 */
import { PIECE_BLOBS_MAX, PIECE_BYTES } from '../base/limits.ts'
import type { BlobRef } from '../blob/source.ts'
import type { Catalog } from './tree.ts'
import { distinctBlobs } from './walk.ts'

/** Some small blobs whole, back to back; or a range of a large one. */
export type Piece =
  | {
      readonly kind: 'group'
      /** Numbers of its blobs, ascending. */
      readonly blobs: readonly number[]
      /** Of the raw content. */
      readonly bytes: number
    }
  | {
      readonly kind: 'range'
      /** Number of its blob. */
      readonly blob: number
      /** Where it begins in the content of that blob. */
      readonly offset: number
      readonly bytes: number
    }

export interface Pieces {
  /** Every distinct blob of the catalog, by number. */
  readonly blobs: readonly BlobRef[]
  /** By number: groups first, then ranges, in the order of their blobs. */
  readonly pieces: readonly Piece[]
}

/**
 * Small blobs (up to `PIECE_BYTES`) are gathered in order, passing over the larger ones, and a group closes before it
 * would pass `PIECE_BYTES` or `PIECE_BLOBS_MAX`; then every larger blob follows, in ranges of `PIECE_BYTES`.
 */
export function piecesOf(catalog: Pick<Catalog, 'tree'>): Pieces {
  const blobs = distinctBlobs(catalog)
  const groups: Piece[] = []
  const ranges: Piece[] = []
  let group: number[] = []
  let bytes = 0
  const close = () => {
    if (group.length > 0) groups.push({ kind: 'group', blobs: group, bytes })
    group = []
    bytes = 0
  }
  for (const [blob, { sizeBytes }] of blobs.entries()) {
    if (sizeBytes > PIECE_BYTES) {
      for (let offset = 0; offset < sizeBytes; offset += PIECE_BYTES) {
        ranges.push({ kind: 'range', blob, offset, bytes: Math.min(PIECE_BYTES, sizeBytes - offset) })
      }
      continue
    }
    if (bytes + sizeBytes > PIECE_BYTES || group.length === PIECE_BLOBS_MAX) close()
    group.push(blob)
    bytes += sizeBytes
  }
  close()
  return { blobs, pieces: [...groups, ...ranges] }
}
