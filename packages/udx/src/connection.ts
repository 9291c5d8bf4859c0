/**
 * One stream's protocol, both directions, without sockets or stream interface: packets and writes go in, packets and
 * events come out.
 *
 * Bounded whatever comes in: at most 4 MiB unread and 12 MiB out of order. Calls no timer but its one alarm on the
 * injected clock; after `onClose` nothing more happens.
 */
import { Alarm, type Clock, type Task } from './clock.ts'
import {
  FLAG_DATA,
  FLAG_DESTROY,
  FLAG_END,
  FLAG_HEARTBEAT,
  FLAG_MESSAGE,
  FLAG_SACK,
  HEADER_BYTES,
  type Header,
  payloadStart,
  SACK_BLOCK_BYTES,
  SACK_BLOCKS_MAX,
  seqDiff,
  writeHeader,
} from './codec.ts'
import type { CloseCode, ConnectionEvents } from './events.ts'
import { Inbound } from './inbound.ts'
import type { Farewell } from './linger.ts'
import type { Path } from './path.ts'
import { Relay, type RelayEnd } from './relay.ts'
import { Sender } from './sender.ts'
import type { SenderHost } from './sender-host.ts'
import { Traffic } from './traffic.ts'

/** Writing pauses when so much waits beyond what may be under way. */
const HIGH_WATERMARK_BYTES = 256 * 1024
/** Acks wait for the events at hand, but not for more packets than this. */
const ACK_PACKETS = 32
/** An END that the remote, which has ended too, leaves unanswered so often was heard: its ack got lost. */
const END_TIMEOUTS = 3

const ackBuffer = new Uint8Array(HEADER_BYTES + SACK_BLOCKS_MAX * SACK_BLOCK_BYTES)
const plainAck = ackBuffer.subarray(0, HEADER_BYTES)

export class Connection implements SenderHost, RelayEnd, Task {
  readonly sender: Sender
  readonly inbound: Inbound
  readonly traffic = new Traffic()
  closed = false
  /** Set by {@link close}, where a latecomer deserves an answer. */
  farewell: Farewell | undefined
  readonly relay = new Relay()
  readonly #clock: Clock
  readonly #events: ConnectionEvents
  readonly #alarm: Alarm
  #deferred = false
  #acksOwed = 0
  #acksTaken = 0
  #draining = false
  #ending = false
  #changeSeq: number | undefined

  constructor(clock: Clock, events: ConnectionEvents) {
    this.#clock = clock
    this.#events = events
    this.inbound = new Inbound(events)
    this.sender = new Sender(this, this.inbound, clock.now())
    this.#alarm = new Alarm(clock, () => this.#onAlarm())
  }

  /** Bytes written and not known to have arrived. */
  get pendingBytes(): number {
    return this.sender.pendingBytes
  }

  /** Start sending. Packets may have arrived before: they are acked now. */
  connect(path: Path): void {
    this.sender.changePath(path)
    if (this.#acksOwed > 0) this.sendAck()
    this.sender.deadlines.idle(this.#clock.now())
    this.#arm()
  }

  /** Send by another path from now on. @returns true when nothing is under way on the old one */
  changePath(path: Path): boolean {
    const { sender } = this
    sender.changePath(path)
    if (sender.flight.packets === 0) return true
    this.#changeSeq = sender.flight.next
    return false
  }

  /** Queue bytes; a closed stream drops them. @returns false when the writer should wait for `onDrain` */
  write(chunks: readonly Uint8Array[]): boolean {
    if (this.closed) return true
    for (const chunk of chunks) this.sender.queue.push(chunk)
    // A packet that is not full waits for what else is written in this turn, unless the stream was idle: RFC 896.
    this.#pump(this.sender.flight.packets === 0)
    if (this.sender.queue.bytes > 0) this.#defer()
    if (this.pendingBytes <= HIGH_WATERMARK_BYTES + this.sender.windowBytes) return true
    this.#draining = true
    return false
  }

  /** Nothing more will be written. */
  end(): void {
    if (this.closed) return
    this.#ending = true
    this.sender.end()
    this.#defer()
  }

  setKeepalive(intervalMs: number): void {
    this.sender.setKeepalive(intervalMs, this.#clock.now())
    this.#arm()
  }

  /** Tell the remote that the window has opened, if it could be waiting for that. */
  onRead(): void {
    if (!this.closed && this.inbound.shouldTell) this.sendAck()
  }

  /** The system takes packets again. */
  onWritable(): void {
    if (!this.closed) this.#pump(true)
  }

  /** Forward packets to `target`'s remote from now on, unread. @returns false when that cannot be */
  relayTo(target: Connection): boolean {
    return this.relay.begin(this, target)
  }

  /** Send one datagram outside the sequence. */
  sendMessage(payload: Uint8Array): boolean {
    const { path } = this.sender
    if (path === undefined || this.closed) return false
    const packet = new Uint8Array(HEADER_BYTES + payload.byteLength)
    this.#writeHeader(packet, FLAG_MESSAGE, path)
    packet.set(payload, HEADER_BYTES)
    this.#send(packet, path)
    return true
  }

  /** Close now; the remote is told with a reset. */
  destroy(): void {
    if (this.closed) return
    const { path, rtt } = this.sender
    if (path !== undefined && !this.relay.begun) {
      const packet = new Uint8Array(HEADER_BYTES)
      this.#writeHeader(packet, FLAG_DESTROY, path)
      this.#send(packet, path)
      this.farewell = { packet, path, rttMs: rtt.smoothedMs, destroyed: true }
    }
    this.#close(undefined)
  }

  /** A packet with our id has arrived. `bytes` may be kept. */
  receive(bytes: Uint8Array, header: Header): void {
    this.traffic.received(bytes.byteLength)
    const { target } = this.relay
    if (target !== undefined) {
      if (this.relay.pass(bytes, header, target)) this.#close('ECONNRESET')
      return
    }
    if ((header.flags & FLAG_HEARTBEAT) !== 0) {
      this.sendAck()
      return
    }
    const start = payloadStart(header, bytes.byteLength)
    if (start < 0) return
    const { flags, seq } = header
    if (seqDiff(seq, this.inbound.packets.ack) >= 0) {
      if ((flags & (FLAG_DATA | FLAG_END)) !== 0) this.inbound.take(seq, flags, bytes.subarray(start))
      if (this.closed) return
      if ((flags & FLAG_DESTROY) !== 0) {
        this.#close('ECONNRESET')
        return
      }
    }
    if ((flags & FLAG_MESSAGE) !== 0) {
      this.#events.onMessage(bytes.subarray(start))
      if (this.closed) return
    }
    if ((flags & (FLAG_DATA | FLAG_END)) !== 0) this.#oweAck()
    this.#receiveAck(header, bytes)
  }

  /** After the events at hand: partial packets and owed acks. */
  run(): void {
    this.#deferred = false
    if (this.closed) return
    this.#pump(true)
    if (this.#acksOwed > 0) this.sendAck()
  }

  // RelayEnd

  get path(): Path | undefined {
    return this.sender.path
  }

  forward(packet: Uint8Array, path: Path): void {
    this.#send(packet, path)
  }

  // SenderHost

  sent(bytes: number): void {
    this.traffic.sent(bytes)
    // Every packet says what we expect next; only holes need an ack of their own.
    if (!this.inbound.packets.hasHoles) this.#acksOwed = 0
  }

  sendHeartbeat(): void {
    const { path } = this.sender
    if (path === undefined) return
    this.#writeHeader(plainAck, FLAG_HEARTBEAT, path)
    this.#send(plainAck, path)
  }

  sendAck(): void {
    const { path } = this.sender
    if (path === undefined) {
      this.#acksOwed++
      return
    }
    const sackBytes = this.inbound.packets.hasHoles ? this.inbound.packets.writeSacks(ackBuffer, HEADER_BYTES) : 0
    this.#writeHeader(ackBuffer, sackBytes > 0 ? FLAG_SACK : 0, path)
    this.#acksOwed = 0
    this.#send(sackBytes > 0 ? ackBuffer.subarray(0, HEADER_BYTES + sackBytes) : plainAck, path)
  }

  #writeHeader(packet: Uint8Array, flags: number, path: Path): void {
    writeHeader(packet, flags, path.remoteId, this.inbound.offer(), this.sender.flight.next, this.inbound.packets.ack)
  }

  #send(packet: Uint8Array, path: Path): void {
    this.traffic.sent(packet.byteLength)
    path.port.queue(packet, path.remotePort, path.remoteHost)
    path.port.flush()
  }

  #oweAck(): void {
    this.#acksOwed++
    if (this.sender.path === undefined) return
    if (this.#acksOwed >= ACK_PACKETS || (this.inbound.ended && this.sender.endAcked)) this.sendAck()
    else this.#defer()
  }

  #receiveAck(header: Header, bytes: Uint8Array): void {
    const { sender } = this
    const acked = sender.ackedBytes
    if (!sender.onAck(header, bytes, this.#clock.now())) return
    if (this.#changeSeq !== undefined && seqDiff(header.ack, this.#changeSeq) >= 0) {
      this.#changeSeq = undefined
      this.#events.onRemoteChanged()
      if (this.closed) return
    }
    if (sender.ackedBytes !== acked) {
      this.#events.onAcked()
      if (this.closed) return
    }
    if (this.#draining && this.pendingBytes < HIGH_WATERMARK_BYTES + sender.windowBytes) {
      this.#draining = false
      this.#events.onDrain()
      if (this.closed) return
    }
    if (sender.endAcked && this.inbound.ended) {
      this.#closeOrderly()
      return
    }
    // Acks come in batches: sending once for all of them lets packets leave in batches, too.
    if (++this.#acksTaken >= ACK_PACKETS) this.#pump(false)
    this.#defer()
  }

  /** Both sides have ended. The remote may not hear our last ack, so it stays ready for a while. */
  #closeOrderly(): void {
    const { path, rtt } = this.sender
    if (path !== undefined) {
      if (this.#acksOwed > 0) this.sendAck()
      const packet = new Uint8Array(HEADER_BYTES)
      this.#writeHeader(packet, 0, path)
      this.farewell = { packet, path, rttMs: rtt.smoothedMs, destroyed: false }
    }
    this.#close(undefined)
  }

  #pump(partial: boolean): void {
    this.#acksTaken = 0
    this.sender.pump(this.#clock.now(), partial)
    this.#arm()
  }

  #defer(): void {
    if (this.#deferred) return
    this.#deferred = true
    this.#clock.defer(this)
  }

  #arm(): void {
    this.#alarm.set(this.sender.deadlines.next())
  }

  #onAlarm(): void {
    if (this.closed) return
    if (!this.sender.onTimer(this.#clock.now())) {
      this.#close('ETIMEDOUT')
      return
    }
    if (this.#ending && this.inbound.ended && this.sender.onlyEndTimedOut(END_TIMEOUTS)) {
      this.#closeOrderly()
      return
    }
    this.#arm()
  }

  #close(code: CloseCode | undefined): void {
    if (this.closed) return
    this.closed = true
    this.inbound.close()
    this.#alarm.stop()
    this.#events.onClose(code)
    this.sender.close()
    this.relay.end(this)
  }
}
