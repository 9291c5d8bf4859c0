/** A bound on bytes per second, shared by all requests to one source: what is over it waits, and TCP slows the sender. */
import type { Clock } from '../base/clock.ts'

export class RateLimit {
  /** When the bytes let through so far are paid for, on the clock of `nowMs`. */
  #paidMs = Number.NEGATIVE_INFINITY

  /** @param bytesPerSecond undefined: no bound */
  constructor(
    private readonly bytesPerSecond: number | undefined,
    private readonly clock: Clock,
  ) {}

  /** Wait until `bytes` more may pass. @throws `signal.reason` */
  async pass(bytes: number, signal: AbortSignal): Promise<void> {
    if (this.bytesPerSecond === undefined) return
    const nowMs = this.clock.nowMs()
    this.#paidMs = Math.max(this.#paidMs, nowMs) + (bytes * 1000) / this.bytesPerSecond
    if (this.#paidMs > nowMs) await this.clock.sleep(this.#paidMs - nowMs, signal)
  }
}
