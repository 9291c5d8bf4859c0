/** Chunks of any length, read in lengths of the reader's own; what was read too much can be put back. */
export class ByteReader {
  readonly #chunks: AsyncIterator<Uint8Array>
  #rest: Uint8Array = new Uint8Array(0)

  constructor(bytes: AsyncIterable<Uint8Array>) {
    this.#chunks = bytes[Symbol.asyncIterator]()
  }

  /** The next bytes, at most so many, at least one. @returns undefined at the end */
  async some(bytesMax: number): Promise<Uint8Array | undefined> {
    while (this.#rest.byteLength === 0) {
      const { done, value } = await this.#chunks.next()
      if (done === true) return undefined
      this.#rest = value
    }
    const part = this.#rest.subarray(0, bytesMax)
    this.#rest = this.#rest.subarray(part.byteLength)
    return part
  }

  /** @returns exactly so many bytes, which belong to the caller; undefined where the stream ends before */
  async exactly(bytes: number): Promise<Uint8Array | undefined> {
    // All of it is written, or nobody gets it; of its own, so that it can be handed to another thread.
    const taken = Buffer.allocUnsafeSlow(bytes)
    for (let at = 0; at < bytes; ) {
      const part = await this.some(bytes - at)
      if (part === undefined) return undefined
      taken.set(part, at)
      at += part.byteLength
    }
    return taken
  }

  /** What `some` returned last, or its end: it is read again. */
  putBack(bytes: Uint8Array): void {
    this.#rest = this.#rest.byteLength === 0 ? bytes : Buffer.concat([bytes, this.#rest])
  }

  /** Nothing more is wanted. */
  async end(): Promise<void> {
    await this.#chunks.return?.(undefined)
  }
}
