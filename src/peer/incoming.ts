/**
 * One thing on its way from a peer: a blob or a catalog, chunk by chunk, to one reader.
 *
 * What the reader has not taken yet is held here; the peer's credit bounds how much that can be, and a limit on what
 * comes holds that credit back. Does not look at the bytes.
 */
import type { RateLimit } from '../base/rate-limit.ts'

/** Called while something comes that is kept whole. */
export interface WholeEvents {
  /** @param storedBytes all that is to come */
  onBegun(storedBytes: number): void
  onChunk(chunk: Uint8Array): void
}

export class Incoming {
  /** Resolves with the form of what comes, or undefined where the peer does not have it; rejects where it fails. */
  readonly head: Promise<'identity' | 'gzip' | undefined>
  readonly #resolveHead: (encoding: 'identity' | 'gzip' | undefined) => void
  readonly #rejectHead: (error: unknown) => void
  readonly #onConsumed: (bytes: number) => void
  #chunks: Uint8Array[] = []
  #wake: (() => void) | undefined
  /** Of all of it, once its head is here. */
  storedBytes: number | undefined
  #outcome: { readonly error: unknown } | 'whole' | undefined
  #discarded = false
  /** Nothing more is delivered. */
  readonly #over = new AbortController()

  /**
   * @param onConsumed called with the length of every chunk that needs no memory any more
   * @param limit what the reader is given counts against it; what it is not given, little else
   */
  constructor(
    onConsumed: (bytes: number) => void,
    private readonly limit?: RateLimit,
  ) {
    const { promise, resolve, reject } = Promise.withResolvers<'identity' | 'gzip' | undefined>()
    this.head = promise
    // Whoever asked may have left before the failure; the failure is then nobody's.
    this.head.catch(() => {})
    this.#resolveHead = resolve
    this.#rejectHead = reject
    this.#onConsumed = onConsumed
  }

  /** Nobody reads this any more. */
  get isDiscarded(): boolean {
    return this.#discarded
  }

  begin(encoding: 'identity' | 'gzip', storedBytes: number): void {
    this.storedBytes = storedBytes
    this.#resolveHead(encoding)
  }

  push(chunk: Uint8Array): void {
    if (this.#discarded) this.#onConsumed(chunk.byteLength)
    else if (chunk.byteLength > 0) this.#chunks.push(chunk)
    this.#wake?.()
  }

  /** All of it has come. */
  complete(): void {
    this.#outcome ??= 'whole'
    this.#wake?.()
  }

  /** It does not come: the peer does not have it. */
  miss(): void {
    this.#resolveHead(undefined)
    this.complete()
  }

  /** It breaks off, or its reader's signal has aborted. What has come already is not delivered any more. */
  fail(error: unknown): void {
    this.#rejectHead(error)
    this.#outcome ??= { error }
    this.#over.abort(error)
    this.#release()
    this.#wake?.()
  }

  /** The reader has gone: take what comes from now on without keeping it. */
  discard(): void {
    this.#discarded = true
    this.#outcome ??= 'whole'
    this.#over.abort(new Error('nobody reads it any more'))
    this.#release()
    this.#wake?.()
  }

  /**
   * The chunks, in order; may be read once.
   *
   * @param onAbandoned called where the reader leaves before the end
   * @throws {HoloError} blame `source`, where it breaks off; `signal.reason` of whoever asked, once that has aborted
   */
  async *bytes(onAbandoned: () => void): AsyncGenerator<Uint8Array> {
    let finished = false
    try {
      for (;;) {
        for (let chunk = this.#chunks.shift(); chunk !== undefined; chunk = this.#chunks.shift()) {
          // The credit that goes back only then keeps the peer from sending more.
          await this.limit?.pass(chunk.byteLength, this.#over.signal).catch(() => {})
          // Its memory is the reader's from here on.
          this.#onConsumed(chunk.byteLength)
          if (this.#over.signal.aborted) break
          yield chunk
        }
        if (this.#outcome !== undefined) break
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
        this.#wake = undefined
      }
      finished = true
      if (this.#outcome !== 'whole') throw this.#outcome.error
    } finally {
      if (!finished) onAbandoned()
    }
  }

  #release(): void {
    const chunks = this.#chunks
    this.#chunks = []
    for (const chunk of chunks) this.#onConsumed(chunk.byteLength)
  }
}
