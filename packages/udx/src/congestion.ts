/**
 * How fast to send and how much to have under way: BBR, version 1.
 *
 * It models the path by the largest delivery rate of the last ten rounds and the least round-trip time of the last ten
 * seconds, and does not take loss for congestion: a lossy radio link keeps its rate. Bytes and milliseconds throughout,
 * both fractional. Pure: fed with acks, read for `windowBytes` and `paceBytesPerMs`.
 * Sources: draft-cardwell-iccrg-bbr-congestion-control-00 and Linux' tcp_bbr.c. Different from those: HOST_DELAY_MS below,
 * the headroom (headroom.ts), and two things taken from BBR version 2 (draft-cardwell-iccrg-bbr-congestion-control-02):
 * ProbeRTT halves the window instead of cutting it to four packets, and loss within the 2 % of BBRLossThresh does not make
 * a sender conserve packets: a wide path that loses one in a hundred would be in its conserving round for ever.
 */
import { AckAggregation } from './aggregation.ts'
import type { AckSample, Delivery } from './delivery.ts'
import { Headroom } from './headroom.ts'
import { OPEN, RECOVERY, type RecoveryState } from './loss-recovery.ts'

export const STARTUP = 0
export const DRAIN = 1
export const PROBE_BANDWIDTH = 2
export const PROBE_RTT = 3
export type BbrState = typeof STARTUP | typeof DRAIN | typeof PROBE_BANDWIDTH | typeof PROBE_RTT

const HIGH_GAIN = 2.885
const WINDOW_GAIN = 2
const CYCLE_GAINS = [1.25, 0.75, 1, 1, 1, 1, 1, 1]
const INITIAL_PACKETS = 10
const WINDOW_PACKETS_MIN = 4
const RATE_ROUNDS = 10
const MIN_RTT_WINDOW_MS = 10_000
const PROBE_RTT_MS = 200
const PROBE_RTT_GAIN = 0.5
/** Sends a little below the estimate, so that queues drain in the long run. */
const PACE_MARGIN = 0.99
/**
 * What an event loop adds at either end: timers of a millisecond, packets handled in batches. Without it, a path with a
 * round trip of 0.1 ms would get a window of a few packets and starve.
 */
const HOST_DELAY_MS = 1
/** Without headroom, still so much of the product: less, and the rate would decay with the losses it causes. */
const BARE_GAIN = 1.25
const BARE_PACKETS = 16

export class Bbr {
  state: BbrState = STARTUP
  windowBytes: number
  paceBytesPerMs: number
  readonly #delivery: Delivery
  #packetBytes: number
  #rounds = 0
  #roundEnd = 0
  #roundStart = false
  readonly #rates = new Float64Array(RATE_ROUNDS)
  #rate = 0
  #minRttMs = Number.POSITIVE_INFINITY
  #minRttAt: number
  #paceGain = HIGH_GAIN
  #windowGain = HIGH_GAIN
  #seenRtt = false
  #fullRate = 0
  #fullRounds = 0
  #full = false
  #cycle = 0
  #cycleAt = 0
  #probeRttUntil = 0
  #probeRttRound = false
  readonly #headroom: Headroom
  #priorWindow = 0
  #idleRestart = false
  #previousRecovery: RecoveryState = OPEN
  #conserve = false
  #conserved = false
  readonly #aggregation: AckAggregation

  /** @param packetBytes payload of a full packet */
  constructor(delivery: Delivery, packetBytes: number, nowMs: number) {
    this.#delivery = delivery
    this.#packetBytes = packetBytes
    this.#headroom = new Headroom(packetBytes)
    this.windowBytes = INITIAL_PACKETS * packetBytes
    this.paceBytesPerMs = HIGH_GAIN * this.windowBytes
    this.#minRttAt = nowMs
    this.#aggregation = new AckAggregation(nowMs)
  }

  /** Estimated bottleneck rate in bytes per millisecond. */
  get rateBytesPerMs(): number {
    return this.#rate
  }

  /** Full packets have become larger or smaller. */
  resize(packetBytes: number): void {
    this.#packetBytes = packetBytes
  }

  /** The first packet after a pause is about to be sent. */
  onRestart(nowMs: number): void {
    if (this.#delivery.appLimitedUntil === 0) return
    this.#idleRestart = true
    this.#aggregation.restart(nowMs)
    if (this.state === PROBE_BANDWIDTH) this.#setPace(1)
    else if (this.state === PROBE_RTT) this.#leaveProbeRtt(nowMs)
  }

  /** A retransmission timeout: forget how full the pipe seemed. */
  onTimeout(inflightBytes: number): void {
    this.#saveWindow()
    this.windowBytes = Math.max(inflightBytes + this.#packetBytes, WINDOW_PACKETS_MIN * this.#packetBytes)
    this.#previousRecovery = 3
    this.#fullRate = 0
    this.#roundStart = true
  }

  /** Take in one ack. */
  onAck(sample: AckSample, recovery: RecoveryState, inflightBytes: number, nowMs: number): void {
    this.#updateRate(sample)
    if (this.#headroom.onAck(sample.ackedBytes, sample.lostBytes)) this.#full = true
    if (sample.priorDelivered >= 0 && sample.intervalMs > 0) {
      this.#aggregation.onAck(sample.ackedBytes, this.#rate, this.windowBytes, this.#roundStart, nowMs)
    }
    this.#updateCycle(sample, inflightBytes)
    this.#checkFull(sample)
    this.#checkDrain(inflightBytes)
    this.#updateMinRtt(sample, inflightBytes, nowMs)
    this.#updateGains()
    this.#setPace(this.#paceGain)
    this.#updateWindow(sample, recovery, inflightBytes)
  }

  #updateRate(sample: AckSample): void {
    this.#roundStart = false
    if (sample.priorDelivered < 0 || sample.intervalMs <= 0) return
    if (sample.priorDelivered >= this.#roundEnd) {
      this.#roundEnd = this.#delivery.bytes
      this.#rounds++
      this.#roundStart = true
      this.#conserve = false
      this.#rates[this.#rounds % RATE_ROUNDS] = 0
      this.#rate = Math.max(...this.#rates)
    }
    const rate = (this.#delivery.bytes - sample.priorDelivered) / sample.intervalMs
    if (sample.appLimited && rate < this.#rate) return
    const slot = this.#rounds % RATE_ROUNDS
    if (rate > (this.#rates[slot] ?? 0)) this.#rates[slot] = rate
    if (rate > this.#rate) this.#rate = rate
  }

  #updateCycle(sample: AckSample, inflightBytes: number): void {
    if (this.state !== PROBE_BANDWIDTH) return
    const elapsed = this.#delivery.at - this.#cycleAt > this.#minRttMs
    const gain = CYCLE_GAINS[this.#cycle] ?? 1
    let next = elapsed
    if (gain > 1) next = elapsed && (sample.lostBytes > 0 || inflightBytes >= this.#product(gain))
    else if (gain < 1) next = elapsed || inflightBytes <= this.#product(1)
    if (!next) return
    this.#cycle = (this.#cycle + 1) % CYCLE_GAINS.length
    this.#cycleAt = this.#delivery.at
  }

  #checkFull(sample: AckSample): void {
    if (this.#full || !this.#roundStart || sample.appLimited) return
    if (this.#rate >= this.#fullRate * 1.25) {
      this.#fullRate = this.#rate
      this.#fullRounds = 0
      return
    }
    this.#full = ++this.#fullRounds >= 3
  }

  #checkDrain(inflightBytes: number): void {
    if (this.state === STARTUP && this.#full) this.state = DRAIN
    if (this.state === DRAIN && inflightBytes <= this.#product(1)) this.#enterProbeBandwidth()
  }

  #updateMinRtt(sample: AckSample, inflightBytes: number, nowMs: number): void {
    const expired = nowMs - this.#minRttAt > MIN_RTT_WINDOW_MS
    if (sample.rttMs >= 0 && (sample.rttMs < this.#minRttMs || expired)) {
      this.#minRttMs = sample.rttMs
      this.#minRttAt = nowMs
    }
    if (expired && !this.#idleRestart && this.state !== PROBE_RTT) {
      this.#saveWindow()
      this.state = PROBE_RTT
      this.#probeRttUntil = 0
    }
    if (this.state === PROBE_RTT) {
      this.#delivery.limited(inflightBytes)
      if (this.#probeRttUntil === 0 && inflightBytes <= this.#probeRttWindow()) {
        this.#probeRttUntil = nowMs + PROBE_RTT_MS
        this.#probeRttRound = false
        this.#roundEnd = this.#delivery.bytes
      } else if (this.#probeRttUntil > 0) {
        if (this.#roundStart) this.#probeRttRound = true
        if (this.#probeRttRound) this.#leaveProbeRtt(nowMs)
      }
    }
    if (sample.ackedBytes > 0) this.#idleRestart = false
  }

  #leaveProbeRtt(nowMs: number): void {
    if (this.#probeRttUntil === 0 || nowMs <= this.#probeRttUntil) return
    this.#minRttAt = nowMs
    this.windowBytes = Math.max(this.windowBytes, this.#priorWindow)
    if (this.#full) this.#enterProbeBandwidth()
    else this.state = STARTUP
  }

  #enterProbeBandwidth(): void {
    this.state = PROBE_BANDWIDTH
    this.#cycle = 2
    this.#cycleAt = this.#delivery.at
  }

  #updateGains(): void {
    switch (this.state) {
      case STARTUP:
        this.#paceGain = HIGH_GAIN
        this.#windowGain = HIGH_GAIN
        break
      case DRAIN:
        this.#paceGain = 1 / HIGH_GAIN
        this.#windowGain = HIGH_GAIN
        break
      case PROBE_BANDWIDTH:
        this.#paceGain = CYCLE_GAINS[this.#cycle] ?? 1
        this.#windowGain = WINDOW_GAIN
        break
      case PROBE_RTT:
        this.#paceGain = 1
        this.#windowGain = 1
    }
  }

  #setPace(gain: number): void {
    if (!this.#seenRtt && this.#minRttMs !== Number.POSITIVE_INFINITY) {
      this.#seenRtt = true
      this.paceBytesPerMs = (HIGH_GAIN * this.windowBytes) / Math.max(this.#minRttMs, HOST_DELAY_MS)
    }
    const pace = Math.max(this.#rate * gain * PACE_MARGIN, 1)
    if (this.#full || pace > this.paceBytesPerMs) this.paceBytesPerMs = pace
  }

  #updateWindow(sample: AckSample, recovery: RecoveryState, inflightBytes: number): void {
    if (sample.ackedBytes > 0) {
      const floor = WINDOW_PACKETS_MIN * this.#packetBytes
      if (sample.lostBytes > 0) this.windowBytes = Math.max(this.windowBytes - sample.lostBytes, this.#packetBytes)
      const previous = this.#previousRecovery
      this.#previousRecovery = recovery
      if (recovery === RECOVERY && previous === OPEN) this.#saveWindow()
      else if (recovery === OPEN && previous !== OPEN) {
        this.windowBytes = Math.max(this.windowBytes, this.#priorWindow)
        this.#conserve = false
        this.#conserved = false
      }
      // Once per recovery, for a round: an ack releases no more than it acks.
      if (recovery === RECOVERY && this.#headroom.overrun && !this.#conserved) {
        this.#conserve = true
        this.#conserved = true
        this.#roundEnd = this.#delivery.bytes
        this.windowBytes = inflightBytes + sample.ackedBytes
      }
      if (this.#conserve) {
        this.windowBytes = Math.max(this.windowBytes, inflightBytes + sample.ackedBytes)
      } else {
        const target = this.#targetWindow()
        if (this.#full) this.windowBytes = Math.min(this.windowBytes + sample.ackedBytes, target)
        else if (this.windowBytes < target || this.#delivery.bytes < INITIAL_PACKETS * this.#packetBytes) {
          this.windowBytes += sample.ackedBytes
        }
      }
      this.windowBytes = Math.max(this.windowBytes, floor)
    }
    if (this.state === PROBE_RTT) this.windowBytes = Math.min(this.windowBytes, this.#probeRttWindow())
  }

  #targetWindow(): number {
    const target = this.#product(this.#windowGain) + (this.#full ? this.#aggregation.allowance(this.#rate) : 0)
    if (this.#headroom.share === 1 || this.#minRttMs === Number.POSITIVE_INFINITY) return target
    const bare = Math.max(BARE_GAIN * this.#rate * this.#minRttMs, BARE_PACKETS * this.#packetBytes)
    return bare >= target ? target : bare + this.#headroom.share * (target - bare)
  }

  #probeRttWindow(): number {
    return Math.max(WINDOW_PACKETS_MIN * this.#packetBytes, this.#product(PROBE_RTT_GAIN))
  }

  #saveWindow(): void {
    const fresh = this.#previousRecovery === OPEN && this.state !== PROBE_RTT
    this.#priorWindow = fresh ? this.windowBytes : Math.max(this.#priorWindow, this.windowBytes)
  }

  /** Bandwidth-delay product, the delay including what the hosts add. */
  #product(gain: number): number {
    if (this.#minRttMs === Number.POSITIVE_INFINITY) return INITIAL_PACKETS * this.#packetBytes
    return gain * this.#rate * (this.#minRttMs + HOST_DELAY_MS)
  }
}
