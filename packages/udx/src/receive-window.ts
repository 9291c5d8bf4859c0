/**
 * What has arrived of one stream: the next sequence number expected, and packets that came too early.
 *
 * Holds at most {@link HELD_PACKETS_MAX} packets and `heldBytesMax` bytes, whatever strangers send; what exceeds that is
 * dropped and comes again. Pure: knows neither sockets nor time. The ranges that selective acks report are kept as
 * packets come in, lowest first, so that writing an ack costs no search.
 */
import { SACK_BLOCK_BYTES, SACK_BLOCKS_MAX, seqAdd, seqDiff, writeUint32 } from './codec.ts'

/** What {@link HELD_BYTES_MAX} of inbound.ts comes to in full packets of 1,500 bytes, and as many as a sender of ours sends. */
export const HELD_PACKETS_MAX = 8192
const HELD_PACKETS_MIN = 64

/** One packet that takes a sequence number. */
export interface Arrival {
  flags: number
  payload: Uint8Array
}

export class ReceiveWindow {
  /** The sequence number expected next: what an ack reports. */
  ack = 0
  /** Payload bytes held back because something before them is missing. */
  heldBytes = 0
  /** A ring by sequence number, as long as the farthest packet needs: a power of two. */
  #held: (Arrival | undefined)[] = []
  #heldPackets = 0
  /** Flat pairs (first received, first not received), ascending from `ack`. */
  readonly #ranges: number[] = []
  /** Held since the last ack, newest last. */
  readonly #recent: number[] = []
  #turn = 0
  readonly #heldBytesMax: number

  constructor(heldBytesMax: number) {
    this.#heldBytesMax = heldBytesMax
  }

  /** True while something is missing before what is held: acks then carry ranges. */
  get hasHoles(): boolean {
    return this.#heldPackets > 0
  }

  /**
   * Take a packet that is not the next one.
   *
   * @returns false when it is old, a duplicate, or beyond what may be held
   */
  hold(seq: number, arrival: Arrival): boolean {
    const distance = seqDiff(seq, this.ack)
    if (distance < 0 || distance >= HELD_PACKETS_MAX) return false
    if (this.heldBytes + arrival.payload.byteLength > this.#heldBytesMax) return false
    if (distance >= this.#held.length) this.#grow(distance)
    const slot = seq & (this.#held.length - 1)
    if (this.#held[slot] !== undefined) return false
    this.#held[slot] = arrival
    this.#heldPackets++
    this.heldBytes += arrival.payload.byteLength
    this.#addToRanges(seq)
    if (this.#recent.length >= SACK_BLOCKS_MAX) this.#recent.shift()
    this.#recent.push(seq)
    return true
  }

  /** Take the held packet that is due now, if it is there, and step over it. */
  takeNext(): Arrival | undefined {
    if (this.#heldPackets === 0) return undefined
    const slot = this.ack & (this.#held.length - 1)
    const arrival = this.#held[slot]
    if (arrival === undefined) return undefined
    this.#held[slot] = undefined
    this.#heldPackets--
    this.heldBytes -= arrival.payload.byteLength
    this.advance()
    return arrival
  }

  /** Step over the sequence number that has been received. */
  advance(): void {
    this.ack = seqAdd(this.ack, 1)
    const ranges = this.#ranges
    if (ranges.length === 0 || seqDiff(ranges[0] ?? 0, this.ack) >= 0) return
    if (ranges[1] === this.ack) ranges.splice(0, 2)
    else ranges[0] = this.ack
  }

  /**
   * Write the held ranges as selective acks, ascending. Where there are more than an ack has room for, those come first
   * that have grown since the last ack, then others in turn: a sender takes silence about a packet for its loss.
   *
   * @returns bytes written, a multiple of 8, at most 400
   */
  writeSacks(into: Uint8Array, at: number): number {
    const ranges = this.#ranges
    const count = ranges.length / 2
    if (count <= SACK_BLOCKS_MAX) {
      for (let i = 0; i < ranges.length; i++) writeUint32(into, at + i * 4, ranges[i] ?? 0)
      this.#recent.length = 0
      return count * SACK_BLOCK_BYTES
    }
    const chosen = new Set<number>()
    for (const seq of this.#recent) {
      if (chosen.size < SACK_BLOCKS_MAX && seqDiff(seq, this.ack) > 0) chosen.add(this.#rangeOf(seq))
    }
    this.#recent.length = 0
    while (chosen.size < SACK_BLOCKS_MAX) chosen.add(this.#turn++ % count)
    let end = at
    for (const range of [...chosen].sort((a, b) => a - b)) {
      writeUint32(into, end, ranges[range * 2] ?? 0)
      writeUint32(into, end + 4, ranges[range * 2 + 1] ?? 0)
      end += SACK_BLOCK_BYTES
    }
    return end - at
  }

  /** Let go of everything that is held. */
  clear(): void {
    this.#held = []
    this.#heldPackets = 0
    this.heldBytes = 0
    this.#ranges.length = 0
    this.#recent.length = 0
  }

  #grow(distance: number): void {
    const old = this.#held
    let length = Math.max(HELD_PACKETS_MIN, old.length)
    while (length <= distance) length *= 2
    const ring = new Array<Arrival | undefined>(length).fill(undefined)
    for (let i = 0; i < old.length; i++) {
      const seq = seqAdd(this.ack, i)
      ring[seq & (length - 1)] = old[seq & (old.length - 1)]
    }
    this.#held = ring
  }

  /** Index of the pair that contains `seq`, or of the last one before it. */
  #rangeOf(seq: number): number {
    let low = 0
    let high = this.#ranges.length / 2 - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (seqDiff(this.#ranges[middle * 2] ?? 0, seq) <= 0) low = middle
      else high = middle - 1
    }
    return low
  }

  #addToRanges(seq: number): void {
    const ranges = this.#ranges
    // Packets come nearly in order: the place is at or near the end.
    let i = ranges.length
    while (i > 0 && seqDiff(ranges[i - 2] ?? 0, seq) > 0) i -= 2
    const joinsBefore = i > 0 && ranges[i - 1] === seq
    const joinsAfter = i < ranges.length && ranges[i] === seqAdd(seq, 1)
    if (joinsBefore && joinsAfter) ranges.splice(i - 1, 2)
    else if (joinsBefore) ranges[i - 1] = seqAdd(seq, 1)
    else if (joinsAfter) ranges[i] = seq
    else ranges.splice(i, 0, seq, seqAdd(seq, 1))
  }
}
