/**
 * The packets that have been sent and are not yet acked in order: a ring by sequence number and two lists, of packets
 * believed to be on the way (oldest transmission first) and of packets believed lost.
 *
 * Packets and their buffers are pooled per process, so that a steady stream makes no garbage. Pure bookkeeping: decides
 * nothing about loss, sends nothing.
 */
import { seqAdd, seqDiff } from './codec.ts'
import type { Path } from './path.ts'

/** What a packet's buffer holds at most: an Ethernet frame's worth. */
export const PACKET_BYTES_MAX = 1500
/** Sequence numbers in flight at most, those acked selectively included; a receiver of ours holds as many. */
export const FLIGHT_PACKETS_MAX = 8192

const POOL_PACKETS_MAX = 4096

/** One packet that takes a sequence number, and what the estimators must remember of its last transmission. */
export class SentPacket {
  readonly buffer = new Uint8Array(PACKET_BYTES_MAX)
  /** Header and payload: a view into `buffer`. */
  bytes: Uint8Array = this.buffer
  path: Path | undefined
  seq = 0
  payloadBytes = 0
  /** Sent with padding, to learn whether so large a packet passes: its size with headers, else 0. */
  probeBytes = 0
  sentAt = 0
  /** Counts transmissions of the stream: what was sent before what, also within one tick of the clock. */
  order = 0
  transmits = 0
  timeouts = 0
  lost = false
  /** Acked, in order or selectively. */
  delivered = false
  // Delivery-rate state at the time of sending: draft-cheng-iccrg-delivery-rate-estimation.
  deliveredBytes = 0
  deliveredAt = 0
  firstSentAt = 0
  appLimited = false

  list: PacketList | undefined
  previous: SentPacket | undefined
  next: SentPacket | undefined

  /** Fix the packet's length. The view is kept from its last use when that had the same length, as it mostly has. */
  setLength(bytes: number): void {
    if (this.bytes.byteLength !== bytes) this.bytes = this.buffer.subarray(0, bytes)
  }
}

/** A doubly linked list of packets; a packet is in one list at most. */
export class PacketList {
  first: SentPacket | undefined
  last: SentPacket | undefined
  length = 0
  /** Sum of the packets' bytes, headers included. */
  bytes = 0

  append(packet: SentPacket): void {
    packet.list?.remove(packet)
    packet.list = this
    packet.previous = this.last
    packet.next = undefined
    if (this.last === undefined) this.first = packet
    else this.last.next = packet
    this.last = packet
    this.length++
    this.bytes += packet.bytes.byteLength
  }

  remove(packet: SentPacket): void {
    if (packet.list !== this) return
    if (packet.previous === undefined) this.first = packet.next
    else packet.previous.next = packet.next
    if (packet.next === undefined) this.last = packet.previous
    else packet.next.previous = packet.previous
    packet.list = undefined
    packet.previous = undefined
    packet.next = undefined
    this.length--
    this.bytes -= packet.bytes.byteLength
  }
}

const pool: SentPacket[] = []

export class Flight {
  /** The oldest sequence number that is not acked. */
  unacked = 0
  /** The sequence number of the next new packet. */
  next = 0
  readonly inflight = new PacketList()
  readonly lost = new PacketList()
  #ring: (SentPacket | undefined)[] = []

  /** Bytes sent that have not arrived as far as is known, headers included: what the remote's window bounds. */
  get missingBytes(): number {
    return this.inflight.bytes + this.lost.bytes
  }

  get packets(): number {
    return seqDiff(this.next, this.unacked)
  }

  /** Start counting at `seq` instead of 0; only before anything is sent. */
  start(seq: number): void {
    this.unacked = seq
    this.next = seq
  }

  /** A fresh packet, not yet part of the flight. */
  allocate(): SentPacket {
    return pool.pop() ?? new SentPacket()
  }

  /** Give `packet` the next sequence number. */
  add(packet: SentPacket): void {
    if (this.packets >= this.#ring.length) this.#grow()
    packet.seq = this.next
    this.#ring[this.next & (this.#ring.length - 1)] = packet
    this.next = seqAdd(this.next, 1)
  }

  /** The packet with this sequence number, if it is part of the flight. */
  get(seq: number): SentPacket | undefined {
    const distance = seqDiff(seq, this.unacked)
    if (distance < 0 || distance >= this.packets) return undefined
    return this.#ring[seq & (this.#ring.length - 1)]
  }

  /** The packet with the highest sequence number. */
  get newest(): SentPacket | undefined {
    return this.get(seqAdd(this.next, -1))
  }

  /** Drop the oldest packet: it is acked in order. @returns its payload bytes */
  shift(): number {
    const slot = this.unacked & (this.#ring.length - 1)
    const packet = this.#ring[slot]
    this.#ring[slot] = undefined
    this.unacked = seqAdd(this.unacked, 1)
    if (packet === undefined) return 0
    const { payloadBytes } = packet
    this.#release(packet)
    return payloadBytes
  }

  /** Drop all packets. */
  clear(): void {
    while (this.packets > 0) this.shift()
    this.#ring = []
  }

  #release(packet: SentPacket): void {
    packet.list?.remove(packet)
    packet.path = undefined
    packet.probeBytes = 0
    packet.transmits = 0
    packet.timeouts = 0
    packet.lost = false
    packet.delivered = false
    if (pool.length < POOL_PACKETS_MAX) pool.push(packet)
  }

  #grow(): void {
    const old = this.#ring
    const ring = new Array<SentPacket | undefined>(Math.max(16, old.length * 2)).fill(undefined)
    for (let seq = this.unacked; seq !== this.next; seq = seqAdd(seq, 1)) {
      ring[seq & (ring.length - 1)] = old[seq & (old.length - 1)]
    }
    this.#ring = ring
  }
}
