/**
 * Wakes somebody at a time that is set anew again and again, mostly to a later one: that costs nothing, where ending one
 * sleep and beginning another took a twentieth of what goes on in the network's thread during a fetch.
 */
import type { Clock } from './clock.ts'

const ANOTHER_TIME = new Error('another time has been set')

export class Alarm {
  #dueMs = Number.POSITIVE_INFINITY
  /** What the sleep was begun for that is under way; infinite where none is. */
  #sleepsUntilMs = Number.POSITIVE_INFINITY
  #sleep = new AbortController()

  constructor(
    private readonly clock: Clock,
    private readonly ring: () => void,
  ) {}

  /**
   * Ring once when it is time, and not at any time that was set before.
   *
   * @param dueMs as `Clock.nowMs`; in the past for as soon as possible, infinite for not at all
   */
  set(dueMs: number): void {
    this.#dueMs = dueMs
    if (dueMs < this.#sleepsUntilMs) this.#begin()
  }

  /** Not to ring any more, nor to keep a timer. */
  stop(): void {
    this.#dueMs = Number.POSITIVE_INFINITY
    this.#sleepsUntilMs = Number.POSITIVE_INFINITY
    this.#sleep.abort(ANOTHER_TIME)
  }

  #begin(): void {
    this.#sleep.abort(ANOTHER_TIME)
    this.#sleep = new AbortController()
    this.#sleepsUntilMs = this.#dueMs
    this.clock.sleep(Math.max(1, this.#dueMs - this.clock.nowMs()), this.#sleep.signal).then(
      () => this.#woken(),
      () => {},
    )
  }

  #woken(): void {
    this.#sleepsUntilMs = Number.POSITIVE_INFINITY
    if (!Number.isFinite(this.#dueMs)) return
    if (this.clock.nowMs() < this.#dueMs) {
      this.#begin()
      return
    }
    this.#dueMs = Number.POSITIVE_INFINITY
    this.ring()
  }
}
