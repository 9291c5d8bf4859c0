/**
 * Bytes that the application has written and that no packet carries yet. Chunks are kept by reference and copied once,
 * into the packet that takes them. Pure; unbounded, because the stream above stops writing at its high watermark.
 */
export class WriteQueue {
  /** Bytes waiting. */
  bytes = 0
  #chunks: Uint8Array[] = []
  #head = 0
  #offset = 0

  /** Append a chunk; the caller leaves it unchanged until it is sent. */
  push(chunk: Uint8Array): void {
    if (chunk.byteLength === 0) return
    this.#chunks.push(chunk)
    this.bytes += chunk.byteLength
  }

  /** Move up to `bytesMax` bytes into `target` at `at`. @returns how many */
  take(target: Uint8Array, at: number, bytesMax: number): number {
    let taken = 0
    while (taken < bytesMax) {
      const chunk = this.#chunks[this.#head]
      if (chunk === undefined) break
      const left = chunk.byteLength - this.#offset
      const count = Math.min(left, bytesMax - taken)
      if (count === chunk.byteLength) target.set(chunk, at + taken)
      else target.set(chunk.subarray(this.#offset, this.#offset + count), at + taken)
      taken += count
      if (count < left) {
        this.#offset += count
        break
      }
      this.#dropHead()
    }
    this.bytes -= taken
    return taken
  }

  clear(): void {
    this.#chunks = []
    this.#head = 0
    this.#offset = 0
    this.bytes = 0
  }

  #dropHead(): void {
    this.#chunks[this.#head] = EMPTY
    this.#head++
    this.#offset = 0
    if (this.#head === this.#chunks.length) {
      this.#chunks.length = 0
      this.#head = 0
    } else if (this.#head >= 1024 && this.#head * 2 > this.#chunks.length) {
      this.#chunks = this.#chunks.slice(this.#head)
      this.#head = 0
    }
  }
}

const EMPTY = new Uint8Array(0)
