/**
 * What one peer holds of catalogs that it does not hold completely, as it has told.
 *
 * Pure, and bounded: `PARTIAL_CATALOGS_MAX` catalogs with `PIECES_MAX` pieces in all, 128 KiB. Whether the numbers fit
 * the catalog is found by those who know it.
 */
import { PARTIAL_CATALOGS_MAX, PIECES_MAX } from '../base/limits.ts'
import type { Sha256Digest } from '../blob/digest.ts'
import { Bitfield } from './bitfield.ts'
import type { PiecesGot, PiecesHeld } from './piece-messages.ts'
import { violation } from './wire.ts'

export class RemoteHoldings {
  readonly #partial = new Map<Sha256Digest, Bitfield>()
  /** Catalogs that it is being sent, or was, the one that it told of first before others. */
  readonly #coming = new Set<Sha256Digest>()

  /** @returns undefined where it has told nothing of that catalog */
  of(catalog: Sha256Digest): Bitfield | undefined {
    return this.#partial.get(catalog)
  }

  /** Whether it can be asked for this catalog, since it was sent some of it. */
  isComing(catalog: Sha256Digest): boolean {
    return this.#coming.has(catalog)
  }

  onComing(catalog: Sha256Digest): void {
    this.#coming.delete(catalog)
    this.#coming.add(catalog)
    const [oldest] = this.#coming
    if (this.#coming.size > PARTIAL_CATALOGS_MAX && oldest !== undefined) this.#coming.delete(oldest)
  }

  /** @throws {HoloError} `protocol-violation`: beyond the bounds */
  onHeld({ catalog, count, bits }: PiecesHeld): void {
    this.#partial.delete(catalog)
    if (count === 0) return
    let pieces = count
    for (const field of this.#partial.values()) pieces += field.length
    if (this.#partial.size >= PARTIAL_CATALOGS_MAX || pieces > PIECES_MAX)
      throw violation('too much that it holds partly')
    this.#partial.set(catalog, Bitfield.read(bits, count))
  }

  /** @throws {HoloError} `protocol-violation`: it has told nothing of that catalog, or the catalog has fewer pieces */
  onGot({ catalog, pieces }: PiecesGot): void {
    const field = this.#partial.get(catalog)
    if (field === undefined || pieces.some((piece) => piece >= field.length)) {
      throw violation('pieces of a catalog that it does not hold')
    }
    for (const piece of pieces) field.add(piece)
  }
}
