/**
 * The sending half of a stream: cuts what is written into packets, paces them, retransmits, and reads acks.
 *
 * Takes the time with every call and speaks to the world through {@link SenderHost} and the path's port only, so a
 * simulation can drive it. Keeps no timer: `deadlines` say when {@link Sender.onTimer} wants to be called.
 */
import { type AckVisitor, readCumulativeAck, readSelectiveAcks } from './acks.ts'
import {
  FLAG_DATA,
  FLAG_END,
  HEADER_BYTES,
  type Header,
  readdress,
  refreshHeader,
  seqDiff,
  writeHeader,
} from './codec.ts'
import { Bbr } from './congestion.ts'
import { Deadlines, NEVER, PACE_TICK_MS } from './deadlines.ts'
import { Delivery } from './delivery.ts'
import { FLIGHT_PACKETS_MAX, Flight, type SentPacket } from './flight.ts'
import { LossRecovery } from './loss-recovery.ts'
import { Pacer } from './pacer.ts'
import { PACKET_SIZE_BASE, PacketSize, padded } from './packet-size.ts'
import { overheadBytes, type Path } from './path.ts'
import { RemoteWindow } from './remote-window.ts'
import { RoundTrip } from './rtt.ts'
import type { Receiving, SenderHost } from './sender-host.ts'
import { WriteQueue } from './write-queue.ts'

/** Timeouts of one packet that make its size suspect. */
const BLACK_HOLE_TIMEOUTS = 2

export class Sender {
  readonly flight = new Flight()
  readonly rtt = new RoundTrip()
  readonly delivery = new Delivery()
  readonly recovery: LossRecovery
  readonly bbr: Bbr
  readonly packetSize = new PacketSize()
  readonly queue = new WriteQueue()
  readonly window = new RemoteWindow()
  readonly deadlines = new Deadlines()
  path: Path | undefined
  retransmits = 0
  /** Payload bytes acked in order since the stream began. */
  ackedBytes = 0
  readonly #host: SenderHost
  readonly #receiving: Receiving
  readonly #pacer: Pacer
  readonly #visitor: AckVisitor
  #endQueued = false
  #endSeq: number | undefined
  #nowMs: number

  constructor(host: SenderHost, receiving: Receiving, nowMs: number) {
    this.#host = host
    this.#receiving = receiving
    this.#nowMs = nowMs
    this.#pacer = new Pacer(this.packetSize.bytes, nowMs)
    this.recovery = new LossRecovery(this.flight, this.rtt, ({ probeBytes }) => this.packetSize.lost(probeBytes))
    this.bbr = new Bbr(this.delivery, this.packetSize.bytes - overheadBytes(4), nowMs)
    this.#visitor = {
      acked: (packet) => this.#acked(packet),
      sacked: () => this.recovery.sacked++,
      confirmed: () => this.recovery.sacked--,
    }
  }

  /** Start with another sequence number than 0; before anything is sent. */
  start(seq: number): void {
    this.flight.start(seq)
    this.recovery.start(seq)
    this.window.start({ seq })
  }

  /** Bytes written and not known to have arrived, in order or not. */
  get pendingBytes(): number {
    return this.queue.bytes + this.flight.missingBytes
  }

  /** Bytes that may be under way now. */
  get windowBytes(): number {
    return Math.min(this.bbr.windowBytes, this.window.bytes)
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

  /** Set the keep-alive interval; 0 turns it off. */
  setKeepalive(intervalMs: number, nowMs: number): void {
    this.deadlines.keepaliveMs = intervalMs
    if (this.flight.packets === 0 && this.path !== undefined) this.deadlines.idle(nowMs)
  }

  /** Work off every deadline that has passed. @returns false when the remote does not answer any more */
  onTimer(nowMs: number): boolean {
    const { flight, deadlines } = this
    if (deadlines.timeout <= nowMs && flight.packets > 0) {
      deadlines.allAcked()
      if (!this.recovery.timedOut(nowMs)) return false
      this.bbr.onTimeout(flight.inflight.bytes)
      deadlines.timeout = nowMs + this.rtt.timeoutMs * 2
      this.#suspectBlackHole()
      this.#pacer.admitOne()
    }
    if (deadlines.reorder <= nowMs) deadlines.reorder = this.recovery.detect(nowMs)
    if (deadlines.tail <= nowMs) this.#probeTail(nowMs)
    if (deadlines.zeroWindow <= nowMs) {
      this.#host.sendHeartbeat()
      deadlines.zeroWindow = nowMs + this.rtt.timeoutMs * 2
    }
    if (deadlines.keepalive <= nowMs) {
      this.#host.sendHeartbeat()
      deadlines.idle(nowMs)
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
    const { path, flight, deadlines } = this
    if (path === undefined) return
    deadlines.pace = NEVER
    this.#pacer.refill(this.bbr.paceBytesPerMs, this.packetSize.bytes, nowMs)
    let packet = flight.lost.first
    while (packet !== undefined && this.#maySend(path, packet.bytes.byteLength)) {
      this.#retransmit(packet, path, nowMs)
      this.#armTail(nowMs)
      packet = flight.lost.first
    }
    if (packet === undefined) while (this.#sendNew(path, nowMs, partial, false)) {}
    path.port.flush()
    const more = flight.lost.length > 0 || this.queue.bytes > 0 || (this.#endQueued && this.#endSeq === undefined)
    if (more && !this.#pacer.open) deadlines.pace = nowMs + PACE_TICK_MS
    this.#watchZeroWindow(nowMs)
  }

  /**
   * Take in the ack fields of a packet.
   *
   * @returns false when the packet acks what was never sent; nothing has changed then
   */
  onAck(header: Header, bytes: Uint8Array, nowMs: number): boolean {
    const { flight, recovery, delivery, deadlines } = this
    if (seqDiff(header.ack, flight.next) > 0) return false
    this.#nowMs = nowMs
    if (seqDiff(header.ack, flight.unacked) >= 0) this.window.update(header)
    if (flight.packets === 0) return true
    const deliveredBefore = delivery.bytes
    const lostBefore = recovery.lostBytes
    delivery.begin()
    const advanced = seqDiff(header.ack, flight.unacked) > 0
    this.ackedBytes += readCumulativeAck(flight, header.ack, this.#visitor)
    if (advanced) recovery.ackedUpTo(header.ack)
    readSelectiveAcks(flight, header, bytes, this.#visitor)
    if (delivery.bytes > deliveredBefore) {
      this.packetSize.begin()
      deadlines.timeout = nowMs + this.rtt.timeoutMs
      deadlines.reorder = recovery.detect(nowMs)
    }
    if (flight.packets === 0) {
      deadlines.allAcked()
      deadlines.idle(nowMs)
    } else if (delivery.bytes > deliveredBefore) this.#armTail(nowMs)
    const sample = delivery.finish(recovery.lostBytes - lostBefore, this.rtt.minimumMs, nowMs)
    this.bbr.onAck(sample, recovery.state, flight.inflight.bytes, nowMs)
    return true
  }

  /** Let go of everything. */
  close(): void {
    this.flight.clear()
    this.queue.clear()
    this.path = undefined
    this.deadlines.clear()
  }

  #maxPayload(path: Pick<Path, 'overheadBytes'>): number {
    return this.packetSize.bytes - path.overheadBytes
  }

  #maySend(path: Path, bytes: number): boolean {
    if (!this.#pacer.open || !path.port.writable) return false
    const inflight = this.flight.inflight.bytes
    return inflight === 0 || inflight + bytes <= this.bbr.windowBytes
  }

  /** Send the next new packet. @returns false when there is none, or none may go yet */
  #sendNew(path: Path, nowMs: number, partial: boolean, tailProbe: boolean): boolean {
    const { flight } = this
    const room = this.#maxPayload(path)
    const size = Math.min(room, this.queue.bytes)
    const ending = size === 0
    if (ending && !(this.#endQueued && this.#endSeq === undefined)) return false
    if (size < room && !ending && !partial && !this.#endQueued) return false
    if (flight.packets >= FLIGHT_PACKETS_MAX || !this.window.fits(size, flight.missingBytes)) return false
    if (!tailProbe && !this.#maySend(path, size + HEADER_BYTES)) return false
    const packet = flight.allocate()
    this.queue.take(packet.buffer, HEADER_BYTES, size)
    packet.payloadBytes = size
    packet.setLength(HEADER_BYTES + size)
    packet.path = path
    // END travels alone: so an END that stays unanswered never stands for unanswered data.
    if (ending) this.#endSeq = flight.next
    const flags = ending ? FLAG_END : FLAG_DATA
    const { expected } = this.#receiving
    writeHeader(packet.buffer, flags, path.remoteId, this.#receiving.offer(), flight.next, expected)
    if (flight.inflight.length === 0) this.bbr.onRestart(nowMs)
    const first = flight.packets === 0
    flight.add(packet)
    const probe = size === room && !tailProbe ? this.#probeOf(packet, path) : undefined
    this.#transmit(packet, probe ?? packet.bytes, path, first, nowMs)
    if (!tailProbe) this.#armTail(nowMs)
    return true
  }

  #retransmit(packet: SentPacket, path: Path, nowMs: number): void {
    // A packet goes the way it first went, because the remote may know us by that id only; after a timeout it is clear
    // that this way is gone.
    const way = packet.timeouts === 0 ? (packet.path ?? path) : path
    if (way !== packet.path) {
      packet.path = way
      readdress(packet.buffer, way.remoteId)
    }
    refreshHeader(packet.buffer, this.#receiving.offer(), this.#receiving.expected)
    packet.lost = false
    packet.probeBytes = 0
    this.retransmits++
    // Its size is fixed with its sequence number: where the path passes less now, it must be cut up on the way.
    const large = packet.payloadBytes + way.overheadBytes > this.packetSize.bytes
    this.#transmit(packet, packet.bytes, way, false, nowMs, large)
    if (way.port !== path.port) way.port.flush()
  }

  #transmit(packet: SentPacket, bytes: Uint8Array, path: Path, first: boolean, nowMs: number, large = false): void {
    const { flight, deadlines } = this
    if (this.queue.bytes < this.#maxPayload(path) && flight.lost.length === 0) {
      if (flight.inflight.bytes < this.bbr.windowBytes) this.delivery.limited(flight.inflight.bytes)
    }
    this.delivery.sent(packet, first, nowMs)
    flight.inflight.append(packet)
    this.#pacer.spend(bytes.byteLength)
    deadlines.keepalive = NEVER
    if (deadlines.timeout === NEVER) deadlines.timeout = nowMs + this.rtt.timeoutMs
    if (large) path.port.sendFragmentable(bytes, path.remotePort, path.remoteHost)
    else path.port.queue(bytes, path.remotePort, path.remoteHost)
    this.#host.sent(bytes.byteLength)
  }

  /** The packet with padding, if it is time to try a larger size. */
  #probeOf(packet: SentPacket, path: Path): Uint8Array | undefined {
    const bytes = packet.payloadBytes + path.overheadBytes
    const padding = path.port.probesSize ? this.packetSize.padding(bytes) : 0
    if (padding === 0) return undefined
    packet.probeBytes = bytes + padding
    this.packetSize.sent()
    return padded(packet.bytes, padding)
  }

  #probeTail(nowMs: number): void {
    const { path, recovery, deadlines } = this
    deadlines.tail = NEVER
    const packet = recovery.probePacket
    if (path === undefined || packet === undefined) return
    if (!this.#sendNew(path, nowMs, true, true)) this.#retransmit(packet, path, nowMs)
    path.port.flush()
    recovery.probed()
    deadlines.timeout = nowMs + this.rtt.timeoutMs
    this.#armTail(nowMs)
  }

  #armTail(nowMs: number): void {
    const at = this.recovery.probeTime(nowMs)
    this.deadlines.tail = at < this.deadlines.timeout ? at : NEVER
  }

  #watchZeroWindow(nowMs: number): void {
    const stuck = this.window.bytes === 0 && this.flight.packets === 0 && this.queue.bytes > 0
    if (!stuck) this.deadlines.zeroWindow = NEVER
    else if (this.deadlines.zeroWindow === NEVER) {
      this.#host.sendHeartbeat()
      this.deadlines.zeroWindow = nowMs + this.rtt.timeoutMs
    }
  }

  #acked(packet: SentPacket): void {
    if (packet.probeBytes > 0 && this.packetSize.arrived(packet.probeBytes)) this.#resized()
    this.delivery.acked(packet, this.recovery.acked(packet, this.#nowMs))
  }

  /** The oldest packet times out again and again: perhaps the path has become too small for it. */
  #suspectBlackHole(): void {
    const { path, timeouts = 0, payloadBytes = 0 } = this.flight.get(this.flight.unacked) ?? {}
    const bytes = payloadBytes + (path?.overheadBytes ?? 0)
    if (timeouts < BLACK_HOLE_TIMEOUTS || bytes <= PACKET_SIZE_BASE || this.packetSize.bytes < bytes) return
    this.packetSize.blackHole(bytes)
    this.#resized()
  }

  #resized(): void {
    this.bbr.resize(this.#maxPayload(this.path ?? { overheadBytes: overheadBytes(4) }))
  }
}
