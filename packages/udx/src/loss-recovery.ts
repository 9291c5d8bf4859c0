/**
 * Which packets are lost: RACK and the tail-loss probe (RFC 8985), and the retransmission timeout.
 *
 * A packet is lost once another one, sent later, has been acked, and the reordering window has passed since it should
 * have been. Pure: takes the time with each call, moves packets between the lists of the flight, says when it wants to
 * be asked again. Sends nothing and sets no timer.
 */
import { seqDiff } from './codec.ts'
import type { Flight, SentPacket } from './flight.ts'
import type { RoundTrip } from './rtt.ts'

/** Timeouts of one packet before the remote is given up. */
export const TIMEOUTS_MAX = 6
/** Selective acks that count as loss even before any reordering has been seen: RFC 8985, DupThresh. */
const DUPLICATES_TRUSTED = 3
/** Unanswered tail-loss probes before the retransmission timeout is left to act. */
const PROBES_MAX = 3
/** How long a receiver may hold back the ack of a single packet. */
const ACK_DELAY_MS = 2

/** As the native implementation counts: 1 open, 2 fast recovery, 3 after a timeout. */
export type RecoveryState = 1 | 2 | 3
export const OPEN: RecoveryState = 1
export const RECOVERY: RecoveryState = 2
export const TIMED_OUT: RecoveryState = 3

export class LossRecovery {
  state: RecoveryState = OPEN
  /** Bytes found lost so far; wraps never, a double is wide enough. */
  lostBytes = 0
  fastRecoveries = 0
  timeouts = 0
  /** Packets acked selectively and not yet in order. */
  sacked = 0
  readonly #flight: Flight
  readonly #rtt: RoundTrip
  readonly #onProbeLost: (packet: SentPacket) => void
  #recoveryEnd = 0
  #reordered = false
  #latestOrder = 0
  #latestRttMs = 0
  #highestAcked = 0
  /** Tail-loss probes sent since something was acked. */
  #probes = 0

  /** @param onProbeLost called when a packet that probed the path's packet size is found lost: no sign of congestion */
  constructor(flight: Flight, rtt: RoundTrip, onProbeLost: (packet: SentPacket) => void) {
    this.#flight = flight
    this.#rtt = rtt
    this.#onProbeLost = onProbeLost
  }

  /** Begin at the flight's first sequence number. */
  start(seq: number): void {
    this.#highestAcked = seq
    this.#recoveryEnd = seq
  }

  /** Note an ack of `packet`. @returns its round-trip time, or -1 where a retransmission makes that ambiguous */
  acked(packet: SentPacket, nowMs: number): number {
    const rtt = this.#rtt.plausible(nowMs - packet.sentAt)
    const once = packet.transmits === 1
    this.#probes = 0
    if (once) {
      this.#rtt.sample(rtt, nowMs)
    }
    if (seqDiff(packet.seq, this.#highestAcked) >= 0) this.#highestAcked = packet.seq
    else if (once) this.#reordered = true
    // An ack that comes sooner than the path allows belongs to an earlier transmission: RFC 8985, 6.2.
    if (!once && rtt < this.#rtt.minimumMs) return -1
    this.#latestRttMs = rtt
    if (packet.order > this.#latestOrder) this.#latestOrder = packet.order
    return rtt
  }

  /** Note that everything before `ack` has arrived; may end recovery. */
  ackedUpTo(ack: number): void {
    if (this.state !== OPEN && seqDiff(ack, this.#recoveryEnd) >= 0) this.state = OPEN
  }

  /**
   * Move what is lost from the inflight to the lost list.
   *
   * @returns when to ask again because packets are only suspected, infinite when none is
   */
  detect(nowMs: number): number {
    const { inflight, lost } = this.#flight
    const window = this.#reorderWindowMs()
    let again = Number.POSITIVE_INFINITY
    let congested = false
    let packet = inflight.first
    // The list is in order of sending: what follows the latest that is known to have arrived says nothing yet.
    while (packet !== undefined && packet.order < this.#latestOrder) {
      const next = packet.next
      const due = packet.sentAt + this.#latestRttMs + window
      if (due <= nowMs) {
        if (packet.probeBytes > 0) this.#probeLost(packet)
        else congested = true
        packet.lost = true
        this.lostBytes += packet.bytes.byteLength
        lost.append(packet)
      } else if (due < again) again = due
      packet = next
    }
    if (congested && this.state === OPEN) {
      this.state = RECOVERY
      this.#recoveryEnd = this.#flight.next
      this.fastRecoveries++
    }
    return again
  }

  /**
   * The retransmission timer has gone off: the oldest packet, and all that should long have been acked, are lost.
   *
   * @returns false when one packet has now timed out too often: the remote is gone
   */
  timedOut(nowMs: number): boolean {
    this.state = TIMED_OUT
    this.#recoveryEnd = this.#flight.next
    this.timeouts++
    const { inflight, lost, unacked } = this.#flight
    const window = this.#reorderWindowMs()
    const oldest = this.#flight.get(unacked)
    let packet = inflight.first
    while (packet !== undefined) {
      const next = packet.next
      if (packet === oldest || packet.sentAt + this.#latestRttMs + window < nowMs) {
        if (!this.#countTimeout(packet)) return false
        packet.lost = true
        this.lostBytes += packet.bytes.byteLength
        lost.append(packet)
      }
      packet = next
    }
    return true
  }

  /**
   * When a tail-loss probe is due if nothing is acked until then; infinite where none is allowed.
   *
   * RFC 8985, 7.2, for the time. Like QUIC's probe timeout (RFC 9002, 6.2), it also covers what is left of a recovery: a
   * lost retransmission with nothing behind it would else wait a second for the retransmission timeout. Each probe that
   * stays unanswered doubles the wait.
   */
  probeTime(nowMs: number): number {
    const { inflight } = this.#flight
    if (inflight.length === 0 || this.#probes >= PROBES_MAX) return Number.POSITIVE_INFINITY
    if (this.#rtt.smoothedMs === 0) return nowMs + 1000
    const alone = inflight.length === 1
    const waitMs = Math.max(2 * this.#rtt.smoothedMs, 2 * ACK_DELAY_MS) + (alone ? ACK_DELAY_MS : 0)
    return nowMs + waitMs * 2 ** this.#probes
  }

  /** What to send as a probe where there is nothing new: the newest packet, or what has been under way for longest. */
  get probePacket(): SentPacket | undefined {
    const { newest, inflight } = this.#flight
    return newest !== undefined && newest.list === inflight ? newest : inflight.first
  }

  /** A tail-loss probe has been sent. */
  probed(): void {
    this.#probes++
  }

  #countTimeout(packet: SentPacket): boolean {
    if (packet.timeouts >= TIMEOUTS_MAX) return false
    packet.timeouts++
    if (packet.probeBytes > 0) this.#probeLost(packet)
    return true
  }

  #probeLost(packet: SentPacket): void {
    this.#onProbeLost(packet)
    packet.probeBytes = 0
  }

  #reorderWindowMs(): number {
    if (!this.#reordered && (this.state !== OPEN || this.sacked >= DUPLICATES_TRUSTED)) return 0
    const quarter = this.#rtt.minimumMs / 4
    return Math.min(quarter, this.#rtt.smoothedMs)
  }
}
