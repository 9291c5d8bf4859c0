/**
 * What a source said that it does not have, for a while: so that a thousand questions are not asked twice a second.
 *
 * Bounded: where there is no room the oldest is forgotten. Keeps no time of its own.
 */
import { NEGATIVE_MS, NEGATIVES_MAX } from '../base/substituter-limits.ts'

export class Negatives {
  /** In the order of their ends, since each lasts as long. */
  readonly #untilMs = new Map<string, number>()

  add(thing: string, nowMs: number): void {
    this.#untilMs.delete(thing)
    this.#untilMs.set(thing, nowMs + NEGATIVE_MS)
    if (this.#untilMs.size <= NEGATIVES_MAX) return
    for (const oldest of this.#untilMs.keys()) {
      this.#untilMs.delete(oldest)
      break
    }
  }

  has(thing: string, nowMs: number): boolean {
    const untilMs = this.#untilMs.get(thing)
    if (untilMs === undefined) return false
    if (nowMs < untilMs) return true
    this.#untilMs.delete(thing)
    return false
  }

  clear(): void {
    this.#untilMs.clear()
  }
}
