/**
 * Tickets for lanes: who may call, once, for a short time, and only with the key that the ticket was given to.
 *
 * Pure: time and randomness come in. A ticket that is shown with a wrong signature stays its owner's.
 */
import type { LaneCall } from '../base/lane.ts'
import { LANE_TICKET_MS, LANE_TICKETS_MAX, LANE_TICKETS_PER_PEER_MAX } from '../base/lane-limits.ts'
import { verifyLaneCall } from '../trust/lane-call.ts'

/** Whom a ticket is for: the two ends of a session. */
export interface TicketHolder {
  /** Public key of our end, 32 bytes. */
  readonly localKey: Uint8Array
  /** Public key of the holder's end, 32 bytes. */
  readonly remoteKey: Uint8Array
}

export class Tickets<Holder extends TicketHolder> {
  /** By ticket, in hex, the oldest first. */
  readonly #issued = new Map<string, { readonly holder: Holder; readonly expiryMs: number }>()

  /** Tickets that may still be used, expired ones that nobody asked about included. */
  get count(): number {
    return this.#issued.size
  }

  /**
   * @param ticket 32 fresh random bytes
   * @returns whether it counts: not where the holder, or all together, have too many unused ones
   */
  issue(ticket: Uint8Array, holder: Holder, nowMs: number): boolean {
    for (const [key, { expiryMs }] of this.#issued) if (expiryMs <= nowMs) this.#issued.delete(key)
    const own = [...this.#issued.values()].filter((each) => each.holder === holder)
    if (own.length >= LANE_TICKETS_PER_PEER_MAX || this.#issued.size >= LANE_TICKETS_MAX) return false
    this.#issued.set(hex(ticket), { holder, expiryMs: nowMs + LANE_TICKET_MS })
    return true
  }

  /** @returns whose it is, which uses it up, or why it is refused, as the end of the sentence `it …` */
  redeem({ ticket, signature, binding }: LaneCall, nowMs: number): Holder | string {
    const key = hex(ticket)
    const issued = this.#issued.get(key)
    if (issued === undefined) return 'showed a ticket that we did not give, or that was used'
    if (issued.expiryMs <= nowMs) {
      this.#issued.delete(key)
      return 'showed a ticket that has expired'
    }
    const { holder } = issued
    const facts = { ticket, binding, calledKey: holder.localKey }
    if (!verifyLaneCall(facts, signature, holder.remoteKey)) return "showed somebody else's ticket"
    this.#issued.delete(key)
    return holder
  }

  /** The session of `holder` has ended. */
  revoke(holder: Holder): void {
    for (const [key, each] of this.#issued) if (each.holder === holder) this.#issued.delete(key)
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
