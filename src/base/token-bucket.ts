/**
 * A limit of so many bytes a second, with a burst.
 *
 * Pure: whoever sends takes what it is about to send, and then waits as long as it is told. A single take may be larger
 * than the burst: it goes into debt, which the wait pays off, so no size is refused and the limit holds on average.
 */

export interface TokenBucketOptions {
  readonly bytesPerSecond: number
  /** What may go at once after a pause, bytes. */
  readonly burstBytes: number
}

export class TokenBucket {
  readonly #bytesPerMs: number
  readonly #burstBytes: number
  #tokens: number
  #filledMs: number | undefined

  /** @throws {RangeError} a bug: a limit of nothing would wait for ever */
  constructor({ bytesPerSecond, burstBytes }: TokenBucketOptions) {
    if (!(bytesPerSecond > 0) || burstBytes < 0) throw new RangeError(`No limit: ${bytesPerSecond} bytes a second`)
    this.#bytesPerMs = bytesPerSecond / 1000
    this.#burstBytes = burstBytes
    this.#tokens = burstBytes
  }

  /**
   * Take `bytes`, which are counted even where the wait is given up.
   *
   * @param nowMs monotonic; a time before the last one counts as the last one
   * @returns how long to wait before they may be sent, ms; 0 where they may go at once
   */
  take(bytes: number, nowMs: number): number {
    const filledMs = Math.max(nowMs, this.#filledMs ?? nowMs)
    const grown = (filledMs - (this.#filledMs ?? filledMs)) * this.#bytesPerMs
    this.#tokens = Math.min(this.#burstBytes, this.#tokens + grown) - bytes
    this.#filledMs = filledMs
    return this.#tokens >= 0 ? 0 : -this.#tokens / this.#bytesPerMs
  }
}
