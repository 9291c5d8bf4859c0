/**
 * A limit on bytes a second that several senders, fetches or requests share: a token bucket with the time.
 */
import type { Clock } from './clock.ts'
import { RATE_BURST_MS } from './limits.ts'
import { TokenBucket } from './token-bucket.ts'

export class RateLimit {
  readonly #bucket: TokenBucket | undefined

  /** @param bytesPerSecond undefined: no bound */
  constructor(
    bytesPerSecond: number | undefined,
    private readonly clock: Clock,
  ) {
    if (bytesPerSecond === undefined) return
    this.#bucket = new TokenBucket({ bytesPerSecond, burstBytes: (bytesPerSecond * RATE_BURST_MS) / 1000 })
  }

  /** `bytes` have gone. @returns how long to wait before more may, ms */
  spend(bytes: number): number {
    return this.#bucket?.take(bytes, this.clock.nowMs()) ?? 0
  }

  /** Wait until `bytes` may go. @throws `signal.reason` */
  async pass(bytes: number, signal: AbortSignal): Promise<void> {
    const waitMs = this.spend(bytes)
    if (waitMs > 0) await this.clock.sleep(waitMs, signal)
  }
}
