/**
 * How large packets may be on a path: starts at 1,200 bytes and searches upwards with padded packets (RFC 8899).
 *
 * Padding is limited to 255 bytes, so the way from 1,200 to 1,500 takes two probes where all goes well; where a size is
 * lost three times, the search halves what is left. A lost probe is no sign of congestion. Pure.
 */
import { HEADER_BYTES, PADDING_BYTES_MAX } from './codec.ts'

/** Sizes include IP and UDP headers. */
export const PACKET_SIZE_BASE = 1200
export const PACKET_SIZE_MAX = 1500
const TRIES_MAX = 3
/** The search ends when it could gain less. */
const GAIN_BYTES_MIN = 16

export class PacketSize {
  /** Bytes that packets may have for certain. */
  bytes = PACKET_SIZE_BASE
  #limit = PACKET_SIZE_MAX
  #candidate = 0
  #tries = 0
  #underWay = false

  /** The size to try with the next full packet, 0 when there is none to try now. */
  get wanted(): number {
    return this.#underWay ? 0 : this.#candidate
  }

  /** Begin to search, once the path is known to work at all; does nothing when begun already. */
  begin(): void {
    if (this.#candidate === 0 && this.bytes === PACKET_SIZE_BASE && this.#limit === PACKET_SIZE_MAX) this.#next()
  }

  /** How much padding makes a packet of `bytes` the wanted probe; 0 when no probe is wanted or padding cannot do it. */
  padding(bytes: number): number {
    const padding = this.wanted - bytes
    return padding > 0 && padding <= PADDING_BYTES_MAX ? padding : 0
  }

  /** A probe of the wanted size has been sent. */
  sent(): void {
    this.#underWay = true
  }

  /** A probe has arrived. @returns true when packets may be larger from now on */
  arrived(probeBytes: number): boolean {
    if (probeBytes !== this.#candidate) return false
    this.#underWay = false
    this.#tries = 0
    this.bytes = probeBytes
    this.#next()
    return true
  }

  /** A probe has been lost. */
  lost(probeBytes: number): void {
    if (probeBytes !== this.#candidate) return
    this.#underWay = false
    if (++this.#tries < TRIES_MAX) return
    this.#tries = 0
    this.#limit = probeBytes - 1
    this.#next()
  }

  /** Packets of `bytes` have passed once and do not any more: RFC 8899, 4.3. The search begins anew below that. */
  blackHole(bytes: number): void {
    this.reset()
    this.#limit = bytes - 1
    this.#next()
  }

  /** The path has changed: everything is open again. */
  reset(): void {
    this.bytes = PACKET_SIZE_BASE
    this.#limit = PACKET_SIZE_MAX
    this.#candidate = 0
    this.#tries = 0
    this.#underWay = false
  }

  #next(): void {
    const left = this.#limit - this.bytes
    if (left <= 0 || (left < GAIN_BYTES_MIN && this.#limit < PACKET_SIZE_MAX)) {
      this.#candidate = 0
      return
    }
    // Nothing has failed yet: go as far as padding reaches. Afterwards halve.
    const step = this.#limit === PACKET_SIZE_MAX ? left : Math.ceil(left / 2)
    this.#candidate = this.bytes + Math.min(step, PADDING_BYTES_MAX)
  }
}

/** A copy of a packet with `padding` zero bytes, 1 to 255, between header and payload. */
export function padded(packet: Uint8Array, padding: number): Uint8Array {
  const copy = new Uint8Array(packet.byteLength + padding)
  copy.set(packet.subarray(0, HEADER_BYTES))
  copy[3] = padding
  copy.set(packet.subarray(HEADER_BYTES), HEADER_BYTES + padding)
  return copy
}
