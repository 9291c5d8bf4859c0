/**
 * Frames out of a stream of bytes: each is its length as u32 little-endian, then so many bytes.
 *
 * Pure. A frame gets memory only once its length was held against the bound, and is a copy: whoever keeps a few bytes of
 * it keeps nothing of what came with it.
 */
import { FRAME_BYTES_MAX } from '../base/limits.ts'

/** Bytes before each frame. */
export const FRAME_HEAD_BYTES = 4

export class FrameReader {
  readonly #head = new Uint8Array(FRAME_HEAD_BYTES)
  #headBytes = 0
  #frame: Uint8Array | undefined
  #filled = 0

  /** @param bytesMax longest frame that is taken */
  constructor(private readonly bytesMax = FRAME_BYTES_MAX) {}

  /**
   * Take what has come.
   *
   * @param onFrame called for every frame that is whole now; @returns false from it to stop in front of the next one
   * @returns how many of `bytes` were taken: all, unless `onFrame` stopped
   * @throws {RangeError} a frame beyond the bound is announced; nothing can be read after it
   */
  push(bytes: Uint8Array, onFrame: (frame: Uint8Array) => boolean): number {
    let at = 0
    while (at < bytes.byteLength) {
      if (this.#frame === undefined) {
        this.#head[this.#headBytes++] = bytes[at++] ?? 0
        if (this.#headBytes < FRAME_HEAD_BYTES) continue
        this.#headBytes = 0
        const length = new DataView(this.#head.buffer).getUint32(0, true)
        if (length > this.bytesMax) throw new RangeError(`a frame of ${length} bytes, above ${this.bytesMax}`)
        // Filled before anybody sees it.
        this.#frame = Buffer.allocUnsafeSlow(length)
        this.#filled = 0
      } else {
        const some = bytes.subarray(at, at + this.#frame.byteLength - this.#filled)
        this.#frame.set(some, this.#filled)
        this.#filled += some.byteLength
        at += some.byteLength
      }
      if (this.#filled < this.#frame.byteLength) continue
      const frame = this.#frame
      this.#frame = undefined
      if (!onFrame(frame)) return at
    }
    return at
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
