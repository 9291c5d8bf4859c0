/**
 * A token bucket: how many bytes may leave now, at the pace that congestion control sets. Pure.
 *
 * Timers come late and in steps of a millisecond, so the bucket may hold what two of them would have brought, not more:
 * a larger burst overruns the receiver's buffer.
 */
const BURST_MS = 2
const BURST_PACKETS_MIN = 16

export class Pacer {
  #tokens: number
  #at: number

  constructor(packetBytes: number, nowMs: number) {
    this.#tokens = BURST_PACKETS_MIN * packetBytes
    this.#at = nowMs
  }

  /** True while at least one packet may leave. The last one may overdraw: that is paid back before the next. */
  get open(): boolean {
    return this.#tokens > 0
  }

  /** Time has passed. */
  refill(bytesPerMs: number, packetBytes: number, nowMs: number): void {
    const elapsed = nowMs - this.#at
    if (elapsed <= 0) return
    const most = Math.max(bytesPerMs * BURST_MS, BURST_PACKETS_MIN * packetBytes)
    this.#tokens = Math.min(most, this.#tokens + elapsed * bytesPerMs)
    this.#at = nowMs
  }

  spend(bytes: number): void {
    this.#tokens -= bytes
  }

  /** Let one packet through whatever the pace says. */
  admitOne(): void {
    this.#tokens = Math.max(this.#tokens, 1)
  }
}
