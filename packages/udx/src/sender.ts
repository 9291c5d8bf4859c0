/**
 * The sending half of a stream: cuts what is written into packets, paces them, retransmits, and reads acks.
 *
 * Takes the time with every call and speaks to the world through {@link SenderHost} and the path's port only, so a
 * simulation can drive it. Keeps no timer: {@link nextDeadline} says when {@link onTimer} wants to be called.
 */

import {
  FLAG_DATA,
  FLAG_END,
  HEADER_BYTES,
  type Header,
  PADDING_BYTES_MAX,
  readUint32,
  refreshHeader,
  sackBlocks,
  seqAdd,
  seqDiff,
  writeHeader,
} from './codec.ts'
import { type AckSample, Bbr } from './congestion.ts'
import { FLIGHT_PACKETS_MAX, Flight, type SentPacket } from './flight.ts'
import { LossRecovery } from './loss-recovery.ts'
import { PACKET_SIZE_MAX, PacketSize } from './packet-size.ts'
import type { Path } from './path.ts'
import { RoundTrip } from './rtt.ts'
import { WriteQueue } from './write-queue.ts'

const NEVER = Number.POSITIVE_INFINITY
/** What a remote is taken to accept before it has said so. */
const REMOTE_WINDOW_INITIAL_BYTES = 4 * 1024 * 1024
const PACE_TICK_MS = 1
/** A late timer may catch up on so much, not more: a burst beyond it overruns receive buffers. */
const BURST_MS = 2
const BURST_PACKETS_MIN = 16

/** What the sender asks of the stream around it. */
export interface SenderHost {
  /** Our receive window, for the headers. */
  receiveWindow(): number
  /** The sequence number that we expect next, for the headers. */
  receiveAck(): number
  /** A packet with a current header has gone out. */
  sent(bytes: number): void
  sendHeartbeat(): void
}

export class Sender {
  readonly flight = new Flight()
  readonly rtt = new RoundTrip()
  readonly recovery: LossRecovery
  readonly bbr: Bbr
  readonly packetSize = new PacketSize()
  readonly queue = new WriteQueue()
  path: Path | undefined
  remoteWindow = REMOTE_WINDOW_INITIAL_BYTES
  retransmits = 0
  /** Payload bytes acked in order since the stream began. */
  ackedBytes = 0
  keepaliveMs = 0
  readonly #host: SenderHost
  #endQueued = false
  #endSeq: number | undefined
  #windowSeq = 0
  #windowAck = 0
  #tokens = BURST_PACKETS_MIN * PACKET_SIZE_MAX
  #tokensAt: number
  #paceAt = NEVER
  #timeoutAt = NEVER
  #reorderAt = NEVER
  #tailAt = NEVER
  #zeroWindowAt = NEVER
  #keepaliveAt = NEVER
  readonly #sample: AckSample = {
    ackedBytes: 0,
    lostBytes: 0,
    rttMs: -1,
    priorDelivered: -1,
    intervalMs: 0,
    appLimited: false,
  }
  #sampledOrder = 0
  #transmissions = 0
  #sampledDeliveredAt = 0

  constructor(host: SenderHost, nowMs: number) {
    this.#host = host
    this.#tokensAt = nowMs
    this.recovery = new LossRecovery(this.flight, this.rtt, (packet) => this.#probeLost(packet))
    this.bbr = new Bbr(this.packetSize.bytes - 48, nowMs)
  }

  /** Start with another sequence number than 0; before anything is sent. */
  start(seq: number): void {
    this.flight.start(seq)
    this.recovery.start(seq)
    this.#windowAck = seq
  }

  /** The receiving half starts at `ack`: the remote's first packet has that sequence number. */
  expect(ack: number): void {
    this.#windowSeq = ack
  }

  /** Bytes written and not yet acked in order. */
  get pendingBytes(): number {
    return this.queue.bytes + this.flight.outstandingBytes
  }

  /** Bytes that may be under way now. */
  get windowBytes(): number {
    return Math.min(this.bbr.windowBytes, this.remoteWindow)
  }

  get idle(): boolean {
    return this.flight.packets === 0 && this.queue.bytes === 0 && (!this.#endQueued || this.#endSeq !== undefined)
  }

  /** True once the remote has acked our END. */
  get endAcked(): boolean {
    return this.#endSeq !== undefined && seqDiff(this.flight.unacked, this.#endSeq) > 0
  }

  /** True when nothing but our END is unanswered, with this many timeouts or more. */
  onlyEndTimedOut(timeouts: number): boolean {
    if (this.#endSeq === undefined || this.flight.unacked !== this.#endSeq) return false
    return (this.flight.get(this.#endSeq)?.timeouts ?? 0) >= timeouts
  }

  /** Send END after all that is written. */
  end(): void {
    this.#endQueued = true
  }

  /** Take another path for everything that is sent from now on. */
  changePath(path: Path): void {
    this.path = path
    this.packetSize.reset()
    this.#resized()
  }

  /** When {@link onTimer} is wanted; infinite when not at all. */
  nextDeadline(): number {
    return Math.min(this.#paceAt, this.#timeoutAt, this.#reorderAt, this.#tailAt, this.#zeroWindowAt, this.#keepaliveAt)
  }

  /** Set the keep-alive interval; 0 turns it off. */
  setKeepalive(intervalMs: number, nowMs: number): void {
    this.keepaliveMs = intervalMs
    this.#keepaliveAt = NEVER
    this.armIdle(nowMs)
  }

  /** Begin to count an idle period, if there is one. */
  armIdle(nowMs: number): void {
    if (this.flight.packets > 0 || this.path === undefined) return
    if (this.keepaliveMs > 0) this.#keepaliveAt = nowMs + this.keepaliveMs
  }

  /** Work off every deadline that has passed. @returns false when the remote does not answer any more */
  onTimer(nowMs: number): boolean {
    const { flight } = this
    if (this.#timeoutAt <= nowMs && flight.packets > 0) {
      this.#tailAt = NEVER
      this.#reorderAt = NEVER
      if (!this.recovery.timedOut(nowMs)) return false
      this.bbr.onTimeout(flight.inflight.bytes)
      this.#timeoutAt = nowMs + this.rtt.timeoutMs * 2
      // One packet must go out whatever the pace says.
      this.#tokens = Math.max(this.#tokens, 1)
    }
    if (this.#reorderAt <= nowMs) this.#reorderAt = this.recovery.detect(nowMs)
    if (this.#tailAt <= nowMs) this.#probeTail(nowMs)
    if (this.#zeroWindowAt <= nowMs) {
      this.#host.sendHeartbeat()
      this.#zeroWindowAt = nowMs + this.rtt.timeoutMs * 2
    }
    if (this.#keepaliveAt <= nowMs) {
      this.#host.sendHeartbeat()
      this.#keepaliveAt = nowMs + this.keepaliveMs
    }
    this.pump(nowMs, true)
    return true
  }

  /**
   * Send what may be sent now: first what was lost, then what is new.
   *
   * @param partial false leaves a last packet that is not full for a little later, when more may have been written
   */
  pump(nowMs: number, partial: boolean): void {
    const { path, flight } = this
    if (path === undefined) return
    this.#paceAt = NEVER
    this.#refill(nowMs)
    let packet = flight.lost.first
    while (packet !== undefined && this.#maySend(path, packet.bytes.byteLength)) {
      this.#retransmit(packet, path, nowMs)
      packet = flight.lost.first
    }
    if (packet === undefined) while (this.#sendNew(path, nowMs, partial, false)) {}
    path.port.flush()
    if (this.#tokens <= 0 && this.#hasMore()) this.#paceAt = nowMs + PACE_TICK_MS
    this.#watchZeroWindow(nowMs)
  }

  /**
   * Take in the ack fields of a packet.
   *
   * @returns false when the packet acks what was never sent; nothing has changed then
   */
  onAck(header: Header, bytes: Uint8Array, nowMs: number): boolean {
    const { flight, recovery, bbr } = this
    const { ack } = header
    if (seqDiff(ack, flight.next) > 0) return false
    this.#updateWindow(header)
    const outstanding = flight.packets > 0
    const deliveredBefore = bbr.deliveredBytes
    const lostBefore = recovery.lostBytes
    this.#beginSample()
    const advanced = seqDiff(ack, flight.unacked) > 0
    while (seqDiff(ack, flight.unacked) > 0) {
      const packet = flight.get(flight.unacked)
      if (packet === undefined) break
      if (packet.delivered) recovery.sacked--
      else this.#acked(packet, nowMs)
      this.ackedBytes += flight.shift()
    }
    if (advanced) recovery.ackedUpTo(ack)
    this.#readSacks(header, bytes, nowMs)
    const delivered = bbr.deliveredBytes - deliveredBefore
    if (delivered > 0) {
      this.packetSize.begin()
      this.#timeoutAt = flight.packets > 0 ? nowMs + this.rtt.timeoutMs : NEVER
      this.#reorderAt = recovery.detect(nowMs)
    }
    if (flight.packets === 0) {
      this.#timeoutAt = NEVER
      this.#reorderAt = NEVER
      this.#tailAt = NEVER
      if (outstanding) this.armIdle(nowMs)
    } else if (advanced) this.#armTail(nowMs)
    if (outstanding) {
      this.#finishSample(delivered, recovery.lostBytes - lostBefore, nowMs)
      bbr.onAck(this.#sample, recovery.state, flight.inflight.bytes, nowMs)
    }
    return true
  }

  /** Let go of everything. */
  close(): void {
    this.flight.clear()
    this.queue.clear()
    this.path = undefined
    this.#paceAt = NEVER
    this.#timeoutAt = NEVER
    this.#reorderAt = NEVER
    this.#tailAt = NEVER
    this.#zeroWindowAt = NEVER
    this.#keepaliveAt = NEVER
  }

  #hasMore(): boolean {
    return this.flight.lost.length > 0 || this.queue.bytes > 0 || (this.#endQueued && this.#endSeq === undefined)
  }

  #maxPayload(path: Path): number {
    return this.packetSize.bytes - path.overheadBytes
  }

  #maySend(path: Path, bytes: number): boolean {
    if (this.#tokens <= 0 || !path.port.writable) return false
    const inflight = this.flight.inflight.bytes
    return inflight === 0 || inflight + bytes <= this.bbr.windowBytes
  }

  #fitsRemote(payloadBytes: number): boolean {
    const { outstandingBytes, packets } = this.flight
    if (packets >= FLIGHT_PACKETS_MAX) return false
    if (payloadBytes === 0) return true
    return outstandingBytes === 0 ? this.remoteWindow > 0 : outstandingBytes + payloadBytes <= this.remoteWindow
  }

  /** Send the next new packet. @returns false when there is none, or none may go yet */
  #sendNew(path: Path, nowMs: number, partial: boolean, tailProbe: boolean): boolean {
    const room = this.#maxPayload(path)
    const size = Math.min(room, this.queue.bytes)
    const ending = size === 0
    if (ending && !(this.#endQueued && this.#endSeq === undefined)) return false
    if (size < room && !ending && !partial && !this.#endQueued) return false
    if (!this.#fitsRemote(size)) return false
    if (!tailProbe && !this.#maySend(path, size + HEADER_BYTES)) return false
    const packet = this.flight.allocate()
    this.queue.take(packet.buffer, HEADER_BYTES, size)
    packet.payloadBytes = size
    packet.setLength(HEADER_BYTES + size)
    packet.path = path
    // END travels alone: so an END that stays unanswered never stands for unanswered data.
    if (ending) this.#endSeq = this.flight.next
    const { receiveWindow, receiveAck } = this.#host
    writeHeader(
      packet.buffer,
      ending ? FLAG_END : FLAG_DATA,
      path.remoteId,
      receiveWindow.call(this.#host),
      this.flight.next,
      receiveAck.call(this.#host),
    )
    if (this.flight.inflight.length === 0) this.bbr.onRestart(nowMs)
    const first = this.flight.packets === 0
    this.flight.add(packet)
    const probe = size === room && !tailProbe ? this.#probeOf(packet, path) : undefined
    this.#transmit(packet, probe ?? packet.bytes, path, first, nowMs)
    if (tailProbe) this.recovery.probed(packet)
    else this.#armTail(nowMs)
    return true
  }

  #retransmit(packet: SentPacket, path: Path, nowMs: number): void {
    // A packet goes the way it first went, because the remote may know us by that id only; after a timeout it is clear
    // that this way is gone.
    const way = packet.timeouts === 0 ? (packet.path ?? path) : path
    if (way !== packet.path) {
      packet.path = way
      const flags = packet.buffer[2] ?? FLAG_DATA
      writeHeader(packet.buffer, flags, way.remoteId, 0, packet.seq, 0)
    }
    refreshHeader(packet.buffer, this.#host.receiveWindow(), this.#host.receiveAck())
    packet.lost = false
    packet.probeBytes = 0
    this.retransmits++
    this.#transmit(packet, packet.bytes, way, false, nowMs)
    if (way.port !== path.port) way.port.flush()
  }

  #transmit(packet: SentPacket, bytes: Uint8Array, path: Path, first: boolean, nowMs: number): void {
    const { bbr, flight } = this
    if (this.queue.bytes < this.#maxPayload(path) && flight.lost.length === 0) {
      if (flight.inflight.bytes < bbr.windowBytes) {
        bbr.appLimitedUntil = Math.max(1, bbr.deliveredBytes + flight.inflight.bytes)
      }
    }
    if (first) {
      bbr.firstSentAt = nowMs
      bbr.deliveredAt = nowMs
    }
    packet.transmits++
    packet.sentAt = nowMs
    packet.order = ++this.#transmissions
    packet.firstSentAt = bbr.firstSentAt
    packet.deliveredAt = bbr.deliveredAt
    packet.deliveredBytes = bbr.deliveredBytes
    packet.appLimited = bbr.appLimitedUntil > 0
    flight.inflight.append(packet)
    this.#tokens -= bytes.byteLength
    this.#keepaliveAt = NEVER
    if (this.#timeoutAt === NEVER) this.#timeoutAt = nowMs + this.rtt.timeoutMs
    path.port.queue(bytes, path.remotePort, path.remoteHost)
    this.#host.sent(bytes.byteLength)
  }

  /** The packet with padding, if it is time to try a larger size. */
  #probeOf(packet: SentPacket, path: Path): Uint8Array | undefined {
    const { wanted } = this.packetSize
    const padding = wanted - packet.payloadBytes - path.overheadBytes
    if (wanted === 0 || padding <= 0 || padding > PADDING_BYTES_MAX || !path.port.probesSize) return undefined
    const probe = new Uint8Array(packet.bytes.byteLength + padding)
    probe.set(packet.bytes.subarray(0, HEADER_BYTES))
    probe[3] = padding
    probe.set(packet.bytes.subarray(HEADER_BYTES), HEADER_BYTES + padding)
    packet.probeBytes = wanted
    this.packetSize.sent()
    return probe
  }

  #probeLost(packet: SentPacket): void {
    this.packetSize.lost(packet.probeBytes)
    packet.probeBytes = 0
  }

  #probeTail(nowMs: number): void {
    this.#tailAt = NEVER
    const { path, flight, recovery } = this
    if (path === undefined || flight.packets === 0 || recovery.probing || !recovery.probeAllowed) return
    if (!this.#sendNew(path, nowMs, true, true)) {
      const last = flight.get(seqAdd(flight.next, -1))
      if (last === undefined || last.lost || last.delivered) return
      this.#retransmit(last, path, nowMs)
      recovery.probed(last)
    }
    path.port.flush()
    this.#timeoutAt = nowMs + this.rtt.timeoutMs
  }

  #armTail(nowMs: number): void {
    const at = this.recovery.probeTime(nowMs)
    this.#tailAt = at < this.#timeoutAt ? at : NEVER
  }

  #watchZeroWindow(nowMs: number): void {
    const stuck = this.remoteWindow === 0 && this.flight.packets === 0 && this.queue.bytes > 0
    if (!stuck) this.#zeroWindowAt = NEVER
    else if (this.#zeroWindowAt === NEVER) {
      this.#host.sendHeartbeat()
      this.#zeroWindowAt = nowMs + this.rtt.timeoutMs
    }
  }

  #refill(nowMs: number): void {
    const elapsed = nowMs - this.#tokensAt
    if (elapsed <= 0) return
    const pace = this.bbr.paceBytesPerMs
    const most = Math.max(pace * BURST_MS, BURST_PACKETS_MIN * this.packetSize.bytes)
    this.#tokens = Math.min(most, this.#tokens + elapsed * pace)
    this.#tokensAt = nowMs
  }

  #updateWindow(header: Header): void {
    if (seqDiff(header.ack, this.flight.unacked) < 0) return
    const newer = seqDiff(header.seq, this.#windowSeq)
    if (newer < 0 || (newer === 0 && seqDiff(header.ack, this.#windowAck) < 0)) return
    this.remoteWindow = header.window
    this.#windowSeq = header.seq
    this.#windowAck = header.ack
  }

  #readSacks(header: Header, bytes: Uint8Array, nowMs: number): void {
    const { flight, recovery } = this
    const blocks = sackBlocks(header, bytes.byteLength)
    let floor = flight.unacked
    for (let i = 0; i < blocks; i++) {
      const start = readUint32(bytes, HEADER_BYTES + i * 8)
      const end = readUint32(bytes, HEADER_BYTES + i * 8 + 4)
      // Ascending and within the flight: so that the work is bounded by the flight, whatever the blocks say.
      if (seqDiff(start, floor) < 0 || seqDiff(end, start) <= 0 || seqDiff(end, flight.next) > 0) return
      for (let seq = start; seq !== end; seq = seqAdd(seq, 1)) {
        const packet = flight.get(seq)
        if (packet === undefined || packet.delivered) continue
        recovery.sacked++
        this.#acked(packet, nowMs)
        packet.delivered = true
        packet.list?.remove(packet)
      }
      floor = end
    }
  }

  #acked(packet: SentPacket, nowMs: number): void {
    const { bbr } = this
    if (packet.probeBytes > 0 && this.packetSize.arrived(packet.probeBytes)) this.#resized()
    bbr.deliveredBytes += packet.bytes.byteLength
    const rtt = this.recovery.acked(packet, nowMs)
    if (rtt >= 0) this.#sample.rttMs = rtt
    if (this.#sample.priorDelivered >= 0 && packet.order < this.#sampledOrder) return
    this.#sampledOrder = packet.order
    this.#sampledDeliveredAt = packet.deliveredAt
    this.#sample.priorDelivered = packet.deliveredBytes
    this.#sample.intervalMs = packet.sentAt - packet.firstSentAt
    this.#sample.appLimited = packet.appLimited
    bbr.firstSentAt = packet.sentAt
  }

  #beginSample(): void {
    const sample = this.#sample
    sample.ackedBytes = 0
    sample.lostBytes = 0
    sample.rttMs = -1
    sample.priorDelivered = -1
    sample.intervalMs = 0
    sample.appLimited = false
  }

  #finishSample(ackedBytes: number, lostBytes: number, nowMs: number): void {
    const { bbr } = this
    const sample = this.#sample
    if (bbr.appLimitedUntil > 0 && bbr.deliveredBytes > bbr.appLimitedUntil) bbr.appLimitedUntil = 0
    if (ackedBytes > 0) bbr.deliveredAt = nowMs
    sample.ackedBytes = ackedBytes
    sample.lostBytes = lostBytes
    if (sample.priorDelivered < 0) return
    sample.intervalMs = Math.max(sample.intervalMs, nowMs - this.#sampledDeliveredAt)
    // Shorter than the path allows: acks were compressed on the way.
    if (sample.intervalMs < this.rtt.minimumMs) sample.priorDelivered = -1
  }

  #resized(): void {
    const overhead = this.path?.overheadBytes ?? 48
    this.bbr.resize(this.packetSize.bytes - overhead)
  }
}
