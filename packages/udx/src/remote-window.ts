/** How many bytes the remote accepts, as its latest packet said. Old packets that come late change nothing. Pure. */
import { type Header, seqDiff } from './codec.ts'

/** What a remote is taken to accept before it has said so. */
const INITIAL_BYTES = 4 * 1024 * 1024

export class RemoteWindow {
  bytes = INITIAL_BYTES
  #seq = 0
  #ack = 0

  /** We begin at `seq`, or the remote at `ack`. */
  start({ seq, ack }: { seq?: number; ack?: number }): void {
    if (seq !== undefined) this.#ack = seq
    if (ack !== undefined) this.#seq = ack
  }

  /** Take in what a packet says, unless a newer one has spoken: RFC 9293, 3.10.7.4. */
  update(header: Header): void {
    const newer = seqDiff(header.seq, this.#seq)
    if (newer < 0 || (newer === 0 && seqDiff(header.ack, this.#ack) < 0)) return
    this.bytes = header.window
    this.#seq = header.seq
    this.#ack = header.ack
  }

  /**
   * Whether `payloadBytes` more may follow `missingBytes` that have not arrived. A window that is open takes one packet.
   *
   * What waits at the remote behind a hole does not count, as in the native implementation: a hole would else stop us
   * as soon as one window has passed it.
   */
  fits(payloadBytes: number, missingBytes: number): boolean {
    if (payloadBytes === 0) return true
    return missingBytes === 0 ? this.bytes > 0 : missingBytes + payloadBytes <= this.bytes
  }
}
