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

export class CatalogTurns {
  /** The end of the last turn that was given. */
  #last: Promise<void> = Promise.resolve()
  #open = 0
  #free = Promise.withResolvers<void>()

  constructor(private readonly clock: Clock) {}

  /** Whether somebody has a turn, or waits for one. */
  get isTaken(): boolean {
    return this.#open > 0
  }

  /** Resolves once nobody has, or waits for, a turn. @throws `signal.reason` */
  async free(signal: AbortSignal): Promise<void> {
    while (this.isTaken) await abortable(this.#free.promise, signal)
  }

  /**
   * Wait for a turn behind those who asked before.
   *
   * @returns ends the turn, which otherwise ends after `CATALOG_TURN_MS`
   * @throws `signal.reason`
   */
  async enter(signal: AbortSignal): Promise<Disposable> {
    const before = this.#last
    const over = new AbortController()
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#last = promise
    if (this.#open++ === 0) this.#free = Promise.withResolvers<void>()
    const end = () => {
      if (over.signal.aborted) return
      over.abort(new Error('the turn is over'))
      // Those who asked later are behind all who asked before, this one having left or not.
      void before.then(resolve)
      if (--this.#open === 0) this.#free.resolve()
    }
    try {
      await abortable(before, signal)
    } catch (error) {
      end()
      throw error
    }
    this.clock.sleep(CATALOG_TURN_MS, over.signal).then(end, () => {})
    return { [Symbol.dispose]: end }
  }
}
