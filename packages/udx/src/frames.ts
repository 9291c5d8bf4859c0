/**
 * Joins the packets of a length-prefixed frame, so that a reader gets one chunk a frame instead of one a packet.
 *
 * A frame is three bytes of length, little-endian, then the content: what secret-stream writes. Only a convenience: a
 * frame that is too large, or bytes that are no frames, pass through as they come, in order and complete.
 */

/** Larger frames pass through in packets. */
const FRAME_BYTES_MAX = 64 * 1024

export class FrameJoiner {
  readonly #emit: (chunk: Uint8Array) => void
  #frame: Buffer | undefined
  #filled = 0
  #passing = 0
  #broken = false

  /** @param emit takes each chunk; the chunk is its to keep */
  constructor(emit: (chunk: Uint8Array) => void) {
    this.#emit = emit
  }

  /** Take the next bytes of the stream. */
  push(payload: Uint8Array): void {
    if (this.#broken) {
      this.#emit(payload)
    } else if (this.#frame !== undefined) {
      this.#fill(this.#frame, payload)
    } else if (this.#passing > 0) {
      this.#passing -= payload.byteLength
      // Frames that share a packet: their boundaries are the reader's business from now on.
      if (this.#passing < 0) this.#broken = true
      this.#emit(payload)
    } else {
      this.#begin(payload)
    }
  }

  /** Nothing more comes: hand out what is incomplete. */
  flush(): void {
    const frame = this.#frame
    this.#frame = undefined
    if (frame !== undefined) this.#emit(frame.subarray(0, this.#filled))
  }

  #begin(payload: Uint8Array): void {
    const length =
      payload.byteLength < 3 ? -1 : 3 + (payload[0] ?? 0) + (payload[1] ?? 0) * 256 + (payload[2] ?? 0) * 65536
    if (length < payload.byteLength) {
      this.#broken = true
      this.#emit(payload)
    } else if (length === payload.byteLength) {
      this.#emit(payload)
    } else if (length > FRAME_BYTES_MAX) {
      this.#passing = length - payload.byteLength
      this.#emit(payload)
    } else {
      this.#frame = Buffer.allocUnsafe(length)
      this.#frame.set(payload)
      this.#filled = payload.byteLength
    }
  }

  #fill(frame: Buffer, payload: Uint8Array): void {
    const missing = frame.byteLength - this.#filled
    if (payload.byteLength > missing) {
      this.#broken = true
      this.flush()
      this.#emit(payload)
      return
    }
    frame.set(payload, this.#filled)
    this.#filled += payload.byteLength
    if (this.#filled < frame.byteLength) return
    this.#frame = undefined
    this.#emit(frame)
  }
}
