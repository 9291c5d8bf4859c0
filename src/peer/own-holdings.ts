/**
 * The pieces that this machine holds of environments that it is still fetching, told to the peers in batches.
 *
 * What was verified a moment ago is served at once: that is what lets a crowd share one seed.
 */
import { type Clock, never } from '../base/clock.ts'
import { HOLDINGS_BATCH_MS, PARTIAL_CATALOGS_MAX, PIECES_MAX, PIECES_TOLD_MAX } from '../base/limits.ts'
import type { Sha256Digest } from '../blob/digest.ts'
import { Bitfield } from './bitfield.ts'
import type { PiecesGot, PiecesHeld } from './piece-messages.ts'

/** One environment on its way. */
export interface PartialHolding extends Disposable {
  add(pieces: readonly number[]): void
}

export class OwnHoldings {
  readonly #partial = new Map<Sha256Digest, { readonly field: Bitfield; fresh: number[] }>()
  readonly #listeners = new Set<(message: PiecesHeld | PiecesGot) => void>()
  #flushing = false
  #toldMs = Number.NEGATIVE_INFINITY

  constructor(private readonly clock: Clock) {}

  /** What a peer that has just come has to know. */
  summary(): PiecesHeld[] {
    return [...this.#partial].map(([catalog, { field }]) => heldMessage(catalog, field))
  }

  /** Whether a piece of a catalog that is being fetched is here already. */
  has(catalog: Sha256Digest, piece: number): boolean {
    return this.#partial.get(catalog)?.field.has(piece) === true
  }

  /** @returns pieces of a catalog that is being fetched, undefined for others */
  count(catalog: Sha256Digest): number | undefined {
    return this.#partial.get(catalog)?.field.length
  }

  /** Call `listener` with every message that peers are to be told. @returns ends the subscription */
  subscribe(listener: (message: PiecesHeld | PiecesGot) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /**
   * @param held pieces that are here already. Disposing of it takes back what was told. Nothing is told beyond what a peer may
   *   hold partly
   */
  begin(catalog: Sha256Digest, count: number, held: Iterable<number>): PartialHolding {
    if (!this.#hasRoomFor(catalog, count)) return { add: () => {}, [Symbol.dispose]: () => {} }
    const field = new Bitfield(count)
    for (const piece of held) field.add(piece)
    const holding = { field, fresh: [] as number[] }
    this.#partial.set(catalog, holding)
    this.#tell(heldMessage(catalog, field))
    return {
      add: (pieces) => {
        for (const piece of pieces) {
          if (field.add(piece)) holding.fresh.push(piece)
        }
        this.#flushSoon()
      },
      [Symbol.dispose]: () => {
        if (this.#partial.get(catalog) !== holding) return
        this.#partial.delete(catalog)
        this.#tell({ type: 'pieces-held', catalog, count: 0, bits: new Uint8Array(0) })
      },
    }
  }

  #hasRoomFor(catalog: Sha256Digest, count: number): boolean {
    const others = [...this.#partial].filter(([other]) => other !== catalog)
    const pieces = others.reduce((sum, [, { field }]) => sum + field.length, count)
    return others.length < PARTIAL_CATALOGS_MAX && pieces <= PIECES_MAX
  }

  #flushSoon(): void {
    if (this.#flushing) return
    this.#flushing = true
    // Where little comes, what came is told at once: every machine that passes it on waits for that.
    const waitMs = this.#toldMs + HOLDINGS_BATCH_MS - this.clock.nowMs()
    void this.clock.sleep(Math.max(0, waitMs), never).then(() => {
      this.#flushing = false
      this.#toldMs = this.clock.nowMs()
      for (const [catalog, holding] of this.#partial) {
        while (holding.fresh.length > 0) {
          this.#tell({ type: 'pieces-got', catalog, pieces: holding.fresh.splice(0, PIECES_TOLD_MAX) })
        }
      }
    })
  }

  #tell(message: PiecesHeld | PiecesGot): void {
    for (const listener of [...this.#listeners]) listener(message)
  }
}

function heldMessage(catalog: Sha256Digest, field: Bitfield): PiecesHeld {
  return { type: 'pieces-held', catalog, count: field.length, bits: field.bytes() }
}
