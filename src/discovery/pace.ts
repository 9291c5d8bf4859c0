/**
 * How often to look for peers again: soon at first, then ever less often, and soon again once there is a reason.
 *
 * Hyperswarm itself looks every ten minutes, too rarely for machines that start together.
 */
import type { Clock } from '../base/clock.ts'
import type { Random } from '../base/random.ts'

const WAIT_MS_MIN = 250
/** While nobody is connected. */
const ALONE_WAIT_MS_MAX = 30_000
const WAIT_MS_MAX = 300_000

export class Pace {
  #waitMs = WAIT_MS_MIN
  #hurried = new AbortController()

  constructor(
    private readonly clock: Clock,
    private readonly random: Random,
  ) {}

  /** Let the present wait end now, and the next ones be short. */
  hurry(): void {
    this.#waitMs = WAIT_MS_MIN
    this.#hurried.abort()
  }

  /** @param alone whether nobody is connected @throws `signal.reason` */
  async wait(alone: boolean, signal: AbortSignal): Promise<void> {
    this.#waitMs = Math.min(this.#waitMs, alone ? ALONE_WAIT_MS_MAX : WAIT_MS_MAX)
    this.#hurried = new AbortController()
    const waitMs = this.#waitMs * (0.75 + this.random.next() / 2)
    this.#waitMs *= 2
    await this.clock.sleep(waitMs, AbortSignal.any([this.#hurried.signal, signal])).catch(() => {})
    signal.throwIfAborted()
  }
}
