/**
 * The hashes of the pieces of one catalog while they are computed: once for however many wait, who read them in order as
 * they come. Knows nothing of how a piece is hashed.
 */
import { abortable, mapBounded } from '../base/concurrency.ts'
import type { Sha256Digest } from '../blob/digest.ts'

const DIGEST_BYTES = 32

export class PieceHashes {
  readonly #table: Uint8Array
  readonly #known: Uint8Array
  /** So many are known from the first one on. */
  #done = 0
  #ended = false
  #failure: { readonly thrown: unknown } | undefined
  #more = Promise.withResolvers<void>()
  /** All of them, back to back; undefined where one could not be had. Never rejects. */
  readonly whole: Promise<Uint8Array | undefined>

  /**
   * @param hashOf undefined where the piece is not here, or not right
   * @param atOnce how many are asked for at the same time
   */
  constructor(
    private readonly count: number,
    hashOf: (piece: number) => Promise<Sha256Digest | undefined>,
    atOnce: number,
  ) {
    this.#table = new Uint8Array(DIGEST_BYTES * count)
    this.#known = new Uint8Array(count)
    this.whole = this.#compute(hashOf, atOnce)
  }

  /**
   * From the first one on; ends early where one could not be had.
   *
   * @returns chunks that belong to the caller
   * @throws what `hashOf` throws; `signal.reason`
   */
  async *read(signal: AbortSignal): AsyncGenerator<Uint8Array> {
    for (let given = 0; ; ) {
      const { promise } = this.#more
      const known = this.#done
      if (known > given) yield this.#table.slice(DIGEST_BYTES * given, DIGEST_BYTES * known)
      given = known
      if (this.#done > given) continue
      if (this.#failure !== undefined) throw this.#failure.thrown
      if (this.#ended) return
      await abortable(promise, signal)
    }
  }

  async #compute(
    hashOf: (piece: number) => Promise<Sha256Digest | undefined>,
    atOnce: number,
  ): Promise<Uint8Array | undefined> {
    const stop = new AbortController()
    const one = async (piece: number): Promise<void> => {
      const hash = await hashOf(piece)
      if (hash === undefined) return stop.abort(new Error('a piece is not here'))
      this.#table.set(Buffer.from(hash, 'hex'), DIGEST_BYTES * piece)
      this.#known[piece] = 1
      while (this.#known[this.#done] === 1) this.#done++
      this.#tell()
    }
    try {
      await mapBounded(
        Array.from({ length: this.count }, (_, piece) => piece),
        atOnce,
        one,
        stop.signal,
      )
    } catch (thrown) {
      if (!stop.signal.aborted) this.#failure = { thrown }
    }
    this.#ended = true
    this.#tell()
    return this.#done === this.count ? this.#table.slice() : undefined
  }

  #tell(): void {
    this.#more.resolve()
    this.#more = Promise.withResolvers<void>()
  }
}
