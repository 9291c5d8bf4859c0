/**
 * Catalogs before pieces: who waits for a catalog can neither fetch nor pass anything on, so those of a crowd that start
 * together are sent it one after the other, and pieces wait meanwhile.
 *
 * Sent side by side, to eight machines over 25 Mbit/s, the last catalog came after seven seconds, since the first ones
 * asked for pieces by then. A turn is bounded, whatever its peer does: nobody waits longer for it. Knows nothing of bytes.
 */
import type { Clock } from '../base/clock.ts'
import { abortable } from '../base/concurrency.ts'
import { CATALOG_TURN_MS } from '../base/limits.ts'

/** So long pieces are held back in all, less the time in which they are not: who asks for catalogs for ever stops nobody. */
export const PIECES_HELD_MS_MAX = 5_000

export interface CatalogTurn extends Disposable {
  readonly over: AbortSignal
}

export class CatalogTurns {
  /** The end of the last turn that was given. */
  #last: Promise<void> = Promise.resolve()
  #open = 0
  #free = Promise.withResolvers<void>()
  #heldMs = 0
  /** Up to when `#heldMs` counts. */
  #countedMs = 0

  constructor(private readonly clock: Clock) {}

  /** Whether pieces are to wait: somebody has a turn, or waits for one, and they have not waited too long. */
  get holdsPieces(): boolean {
    this.#count()
    return this.#open > 0 && this.#heldMs < PIECES_HELD_MS_MAX
  }

  /** Resolves once pieces need not wait. @throws `signal.reason` */
  async free(signal: AbortSignal): Promise<void> {
    while (this.holdsPieces) {
      const over = new AbortController()
      const enough = this.clock.sleep(PIECES_HELD_MS_MAX - this.#heldMs, over.signal).catch(() => {})
      try {
        await abortable(Promise.race([this.#free.promise, enough]), signal)
      } finally {
        over.abort(new Error('it is looked again'))
      }
    }
  }

  /** To be called before `#open` changes. */
  #count(): void {
    const nowMs = this.clock.nowMs()
    const passedMs = nowMs - this.#countedMs
    this.#countedMs = nowMs
    const heldMs = this.#open > 0 ? this.#heldMs + passedMs : this.#heldMs - passedMs
    this.#heldMs = Math.min(PIECES_HELD_MS_MAX, Math.max(0, heldMs))
  }

  /**
   * Wait for a turn behind those who asked before.
   *
   * @returns ends the turn, which otherwise ends after `CATALOG_TURN_MS`; `over` aborts then
   * @throws `signal.reason`
   */
  async enter(signal: AbortSignal): Promise<CatalogTurn> {
    const before = this.#last
    const over = new AbortController()
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#last = promise
    this.#count()
    if (this.#open++ === 0) this.#free = Promise.withResolvers<void>()
    const end = () => {
      if (over.signal.aborted) return
      over.abort(new Error('the turn is over'))
      // Those who asked later are behind all who asked before, this one having left or not.
      void before.then(resolve)
      this.#count()
      if (--this.#open === 0) this.#free.resolve()
    }
    try {
      await abortable(before, signal)
    } catch (error) {
      end()
      throw error
    }
    this.clock.sleep(CATALOG_TURN_MS, over.signal).then(end, () => {})
    return { over: over.signal, [Symbol.dispose]: end }
  }
}
