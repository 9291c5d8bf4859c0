/**
 * Delivery rate of a stream: what each packet must remember when it leaves, and what an ack then says about the path.
 *
 * draft-cheng-iccrg-delivery-rate-estimation-02. Bytes and milliseconds. Pure; one sample is reused for every ack.
 */
import type { SentPacket } from './flight.ts'

/** What one ack says about the path. */
export interface AckSample {
  /** Newly acked bytes, in order or selectively. */
  ackedBytes: number
  /** Bytes found lost by this ack. */
  lostBytes: number
  /** Round-trip time, or -1 when there is no honest one. */
  rttMs: number
  /** Delivered bytes when the latest of the acked packets was sent, or -1 without a rate sample. */
  priorDelivered: number
  /** The longer of sending and acking this flight, or 0 without a rate sample. */
  intervalMs: number
  /** The sender had too little to say when that packet was sent. */
  appLimited: boolean
}

export class Delivery {
  /** Bytes acked since the stream began. */
  bytes = 0
  /** When the last of them was acked. */
  at = 0
  /** Non-zero while the sender has too little to say: until so many bytes are delivered. */
  appLimitedUntil = 1
  /** Send time of the packet that was acked last: start of the next sending interval. */
  #firstSentAt = 0
  #transmissions = 0
  #order = 0
  #deliveredAt = 0
  readonly #sample: AckSample = {
    ackedBytes: 0,
    lostBytes: 0,
    rttMs: -1,
    priorDelivered: -1,
    intervalMs: 0,
    appLimited: false,
  }

  /** The sender has run out of things to say while `inflightBytes` are under way. */
  limited(inflightBytes: number): void {
    this.appLimitedUntil = Math.max(1, this.bytes + inflightBytes)
  }

  /** `packet` leaves now. @param first nothing else is under way: sending begins anew */
  sent(packet: SentPacket, first: boolean, nowMs: number): void {
    if (first) {
      this.#firstSentAt = nowMs
      this.at = nowMs
    }
    packet.transmits++
    packet.sentAt = nowMs
    packet.order = ++this.#transmissions
    packet.firstSentAt = this.#firstSentAt
    packet.deliveredAt = this.at
    packet.deliveredBytes = this.bytes
    packet.appLimited = this.appLimitedUntil > 0
  }

  /** An ack is about to be read. */
  begin(): void {
    const sample = this.#sample
    sample.ackedBytes = 0
    sample.lostBytes = 0
    sample.rttMs = -1
    sample.priorDelivered = -1
    sample.intervalMs = 0
    sample.appLimited = false
  }

  /** The ack covers `packet` for the first time. @param rttMs -1 when it is not to be trusted */
  acked(packet: SentPacket, rttMs: number): void {
    const sample = this.#sample
    const bytes = packet.bytes.byteLength
    this.bytes += bytes
    sample.ackedBytes += bytes
    if (rttMs >= 0) sample.rttMs = rttMs
    if (sample.priorDelivered >= 0 && packet.order < this.#order) return
    this.#order = packet.order
    this.#deliveredAt = packet.deliveredAt
    this.#firstSentAt = packet.sentAt
    sample.priorDelivered = packet.deliveredBytes
    sample.intervalMs = packet.sentAt - packet.firstSentAt
    sample.appLimited = packet.appLimited
  }

  /** The whole ack has been read. @returns what it says; valid until the next ack */
  finish(lostBytes: number, rttMinimumMs: number, nowMs: number): AckSample {
    const sample = this.#sample
    if (this.appLimitedUntil > 0 && this.bytes > this.appLimitedUntil) this.appLimitedUntil = 0
    if (sample.ackedBytes > 0) this.at = nowMs
    sample.lostBytes = lostBytes
    if (sample.priorDelivered < 0) return sample
    sample.intervalMs = Math.max(sample.intervalMs, nowMs - this.#deliveredAt)
    // Shorter than the path allows: acks were compressed on the way.
    if (sample.intervalMs < rttMinimumMs) sample.priorDelivered = -1
    return sample
  }
}
