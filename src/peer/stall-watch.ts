/**
 * Looks, while a peer owes us something, whether anything of it comes.
 *
 * A lane that carries nothing is given up first: its session may still be well, since something between us may have
 * begun to swallow TCP.
 */
import type { Clock } from '../base/clock.ts'
import { PEER_STALL_MS } from '../base/limits.ts'
import type { PeerSource } from './source.ts'

export interface StallEvents {
  /** The end of the sentence `the peer …`, or what follows a colon. */
  onLaneStall(why: string): void
  onStall(what: string): void
}

export class StallWatch {
  #watching = false

  /** @param over ends the watch */
  constructor(
    private readonly clock: Clock,
    private readonly events: StallEvents,
    private readonly over: AbortSignal,
  ) {}

  /** The peer begins to owe us something. */
  watch(source: () => PeerSource): void {
    if (this.#watching) return
    this.#watching = true
    this.#look(source)
      // The connection has ended, and with it what it owed.
      .catch(() => {})
      .finally(() => {
        this.#watching = false
      })
  }

  async #look(source: () => PeerSource): Promise<void> {
    while (source().isOwed) {
      await this.clock.sleep(PEER_STALL_MS / 10, this.over)
      const nowMs = this.clock.nowMs()
      const { session, lane } = source()
      if ((lane?.requests.idleMs(nowMs) ?? 0) >= PEER_STALL_MS) {
        this.events.onLaneStall(`nothing came over it for ${PEER_STALL_MS / 1000} seconds`)
      }
      if (session.requests.idleMs(nowMs) < PEER_STALL_MS) continue
      this.events.onStall(`sent nothing of what it owes us for ${PEER_STALL_MS / 1000} seconds`)
    }
  }
}
