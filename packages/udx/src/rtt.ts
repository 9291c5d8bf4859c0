/**
 * Round-trip time of one stream: smoothed, its variation, its minimum, and the retransmission timeout that follows.
 *
 * RFC 6298 with a floor of 1 s and a cap of 30 s, which is what the native implementation keeps to. Milliseconds,
 * fractional. A sample that a suspended machine spoiled is cut down to what the history makes believable.
 */

export const RTO_MIN_MS = 1000
export const RTO_MAX_MS = 30_000
const RTT_MAX_MS = 30_000
/** Above this, a sample far outside the usual is taken for a machine that slept. */
const OUTLIER_MS = 5000
/** The minimum is forgotten after so long: paths change. */
const MINIMUM_WINDOW_MS = 300_000

export class RoundTrip {
  /** Smoothed; 0 before the first sample. */
  smoothedMs = 0
  variationMs = 0
  timeoutMs = RTO_MIN_MS
  #minimumMs = Number.POSITIVE_INFINITY
  #minimumAt = 0

  /** The least sample of the last five minutes; infinite before the first. */
  get minimumMs(): number {
    return this.#minimumMs
  }

  /** Cut a sample down to what is believable. */
  plausible(sampleMs: number): number {
    if (this.smoothedMs === 0) return Math.min(sampleMs, RTT_MAX_MS)
    const threshold = this.smoothedMs + 5 * this.variationMs
    return sampleMs > threshold && sampleMs > OUTLIER_MS ? Math.min(threshold, RTT_MAX_MS) : sampleMs
  }

  /** Take in the time that a packet, sent once, took to be acked. */
  sample(rttMs: number, nowMs: number): void {
    if (rttMs <= this.#minimumMs || nowMs - this.#minimumAt > MINIMUM_WINDOW_MS) {
      this.#minimumMs = rttMs
      this.#minimumAt = nowMs
    }
    if (this.smoothedMs === 0) {
      this.smoothedMs = Math.max(rttMs, 0.001)
      this.variationMs = rttMs / 2
    } else {
      this.variationMs += (Math.abs(rttMs - this.smoothedMs) - this.variationMs) / 4
      this.smoothedMs += (rttMs - this.smoothedMs) / 8
    }
    this.timeoutMs = Math.min(RTO_MAX_MS, Math.max(RTO_MIN_MS, this.smoothedMs + 4 * this.variationMs))
  }
}
