/**
 * Chunks that come by messages, for one reader. Whoever sends is told whenever one has been taken, and so bounds what
 * waits here.
 */
export class ChunkQueue implements AsyncIterable<Uint8Array> {
  readonly #chunks: Uint8Array[] = []
  #ended = false
  #wake: (() => void) | undefined

  /** @param onTaken called after each chunk that the reader is through with */
  constructor(private readonly onTaken: () => void) {}

  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk)
    this.#wake?.()
  }

  /** No more will come. */
  end(): void {
    this.#ended = true
    this.#wake?.()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (;;) {
      const chunk = this.#chunks.shift()
      if (chunk !== undefined) {
        yield chunk
        this.onTaken()
      } else if (this.#ended) return
      else await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }
}
