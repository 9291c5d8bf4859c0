/**
 * Frames out of a stream of bytes: each is its length as u32 little-endian, then so many bytes.
 *
 * Pure. A frame gets memory only once its length was held against the bound, and only where it does not lie whole in what
 * has come: at the speed of a LAN, memory that is new each time costs more than the copy.
 */
import { FRAME_BYTES_MAX, PIECE_CHUNK_BYTES_MAX } from '../base/limits.ts'

/** Bytes before each frame. */
export const FRAME_HEAD_BYTES = 4

/** Frames up to this are gathered in the same memory again and again: a chunk of a piece, and what stands before it. */
const GATHERED_BYTES_MAX = PIECE_CHUNK_BYTES_MAX + 1024

export class FrameReader {
  readonly #head = new Uint8Array(FRAME_HEAD_BYTES)
  #headBytes = 0
  /** Of the frame that has begun. */
  #length: number | undefined
  /** The first `#filled` bytes of it; the memory of the last one where there is none. */
  #gathered: Uint8Array = new Uint8Array(0)
  #filled = 0

  /** @param bytesMax longest frame that is taken */
  constructor(private readonly bytesMax = FRAME_BYTES_MAX) {}

  /**
   * Take what has come.
   *
   * @param onFrame called for every frame that is whole now, which is lent: its bytes are others' after the call; @returns
   *   false from it to stop in front of the next one
   * @returns how many of `bytes` were taken: all, unless `onFrame` stopped
   * @throws {RangeError} a frame beyond the bound is announced; nothing can be read after it
   */
  push(bytes: Uint8Array, onFrame: (frame: Uint8Array) => boolean): number {
    let at = 0
    while (at < bytes.byteLength) {
      if (this.#length === undefined) {
        this.#head[this.#headBytes++] = bytes[at++] ?? 0
        if (this.#headBytes < FRAME_HEAD_BYTES) continue
        this.#headBytes = 0
        const length = new DataView(this.#head.buffer).getUint32(0, true)
        if (length > this.bytesMax) throw new RangeError(`a frame of ${length} bytes, above ${this.bytesMax}`)
        this.#length = length
        this.#filled = 0
      }
      const some = bytes.subarray(at, at + this.#length - this.#filled)
      at += some.byteLength
      const frame = some.byteLength === this.#length ? some : this.#gather(some, this.#length)
      if (frame === undefined) continue
      this.#length = undefined
      if (!onFrame(frame)) return at
    }
    return at
  }

  /** @returns the frame, once it is whole */
  #gather(some: Uint8Array, length: number): Uint8Array | undefined {
    if (this.#filled === 0 && this.#gathered.byteLength < length) {
      // Filled before anybody sees it.
      this.#gathered = Buffer.allocUnsafeSlow(length)
    }
    const gathered = this.#gathered
    gathered.set(some, this.#filled)
    this.#filled += some.byteLength
    if (this.#filled < length) return undefined
    if (gathered.byteLength > GATHERED_BYTES_MAX) this.#gathered = new Uint8Array(0)
    return gathered.subarray(0, length)
  }
}

/**
 * `frame` with its head, as it goes over the wire.
 *
 * @param restBytes of the same frame that follow
 */
export function framed(frame: Uint8Array, restBytes = 0): Uint8Array {
  const whole = new Uint8Array(FRAME_HEAD_BYTES + frame.byteLength)
  new DataView(whole.buffer).setUint32(0, frame.byteLength + restBytes, true)
  whole.set(frame, FRAME_HEAD_BYTES)
  return whole
}
