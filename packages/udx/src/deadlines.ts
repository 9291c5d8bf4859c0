/**
 * The moments at which a sender wants to be woken, one for each reason; infinite where there is none. Pure.
 */
export const NEVER = Number.POSITIVE_INFINITY
/** The pace is kept in steps of what system timers resolve. */
export const PACE_TICK_MS = 1

export class Deadlines {
  /** The pace lets another packet through. */
  pace = NEVER
  /** The oldest packet should long have been acked. */
  timeout = NEVER
  /** Suspected losses become certain. */
  reorder = NEVER
  /** The last packets of a burst should have been acked: probe. */
  tail = NEVER
  /** Ask a remote whose window is closed. */
  zeroWindow = NEVER
  /** Keep the path's state in routers alive. */
  keepalive = NEVER

  /** Idle time after which a heartbeat is sent; 0 for none. */
  keepaliveMs = 0

  next(): number {
    return Math.min(this.pace, this.timeout, this.reorder, this.tail, this.zeroWindow, this.keepalive)
  }

  /** An idle period begins. */
  idle(nowMs: number): void {
    this.keepalive = this.keepaliveMs > 0 ? nowMs + this.keepaliveMs : NEVER
  }

  /** Nothing is under way any more. */
  allAcked(): void {
    this.timeout = NEVER
    this.reorder = NEVER
    this.tail = NEVER
  }

  clear(): void {
    this.allAcked()
    this.pace = NEVER
    this.zeroWindow = NEVER
    this.keepalive = NEVER
  }
}
