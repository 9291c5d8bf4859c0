/** One chunk at a time from who has them to who reads them: whoever adds waits until the reader has taken it. */
export class ChunkQueue {
  #chunk: Uint8Array | undefined
  #ended: { readonly error?: unknown } | undefined
  #wakeReader = () => {}
  #wakeWriter = () => {}

  /** @returns once the reader asks for the one after it */
  async add(chunk: Uint8Array): Promise<void> {
    this.#chunk = chunk
    const taken = new Promise<void>((resolve) => {
      this.#wakeWriter = resolve
    })
    this.#wakeReader()
    await taken
  }

  end(): void {
    this.#ended ??= {}
    this.#wakeReader()
  }

  /** The reader gets `error` in place of more. */
  fail(error: unknown): void {
    this.#ended ??= { error }
    this.#wakeReader()
  }

  async *read(): AsyncGenerator<Uint8Array> {
    for (;;) {
      if (this.#chunk !== undefined) {
        const chunk = this.#chunk
        yield chunk
        this.#chunk = undefined
        this.#wakeWriter()
        continue
      }
      if (this.#ended !== undefined) {
        if ('error' in this.#ended) throw this.#ended.error
        return
      }
      await new Promise<void>((resolve) => {
        this.#wakeReader = resolve
      })
    }
  }
}
