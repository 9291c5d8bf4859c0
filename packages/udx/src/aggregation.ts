/**
 * How far acks come in lumps: bytes acked beyond what the estimated rate explains. So much more must be under way to keep
 * the path busy between lumps. After Linux' tcp_bbr.c: the largest excess of the last five to ten rounds. Pure.
 */

const ROUNDS = 5
/** The allowance is never more than this much time at the estimated rate. */
const ALLOWANCE_MS_MAX = 100

export class AckAggregation {
  #epochAt: number
  #epochBytes = 0
  #current = 0
  #previous = 0
  #rounds = 0

  constructor(nowMs: number) {
    this.#epochAt = nowMs
  }

  /** Sending begins anew after a pause. */
  restart(nowMs: number): void {
    this.#epochAt = nowMs
    this.#epochBytes = 0
  }

  /** Take in an ack of `ackedBytes`, at an estimated rate in bytes per millisecond. */
  onAck(ackedBytes: number, rate: number, windowBytes: number, roundStart: boolean, nowMs: number): void {
    if (ackedBytes <= 0) return
    if (roundStart && ++this.#rounds >= ROUNDS) {
      this.#rounds = 0
      this.#previous = this.#current
      this.#current = 0
    }
    let expected = rate * (nowMs - this.#epochAt)
    if (this.#epochBytes <= expected) {
      this.restart(nowMs)
      expected = 0
    }
    this.#epochBytes += ackedBytes
    this.#current = Math.max(this.#current, Math.min(this.#epochBytes - expected, windowBytes))
  }

  /** Bytes to keep under way beyond the model's. */
  allowance(rate: number): number {
    return Math.min(Math.max(this.#current, this.#previous), rate * ALLOWANCE_MS_MAX)
  }
}
