/**
 * Catalogs that are on their way here, sent on while they still come.
 *
 * In a crowd that starts together everybody waits for the catalog first. Were each sent it whole before it could pass it
 * on, the last of eight would have it after four rounds; so it goes through all of them at once, as through a pipe. Nobody
 * here has looked at it yet: whoever gets it holds it against the digest that its holder has announced.
 */
import type { Clock } from '../base/clock.ts'
import { abortable } from '../base/concurrency.ts'
import {
  CHUNK_BYTES_MAX,
  COMING_CATALOG_BYTES_MAX,
  COMING_CATALOGS_KEPT_MS,
  COMING_CATALOGS_MAX,
} from '../base/limits.ts'
import type { Sha256Digest } from '../blob/digest.ts'
import type { StoredBlob } from '../blob/local.ts'
import type { CatalogName } from '../catalog/tree.ts'
import type { HeldCatalog } from './messages.ts'

/** Something whose bytes may still be coming: it cannot be had at once. */
export type ComingBlob = Omit<StoredBlob, 'whole'>

/** One of them, for whoever receives it. */
export class ComingCatalog {
  readonly #bytes: Uint8Array
  #filled = 0
  #changed = Promise.withResolvers<void>()
  /** When its last byte came, or it broke off. */
  endMs: number | undefined

  constructor(
    readonly sha256: Sha256Digest,
    storedBytes: number,
    private readonly clock: Clock,
  ) {
    this.#bytes = new Uint8Array(storedBytes)
  }

  get isWhole(): boolean {
    return this.#filled === this.#bytes.byteLength
  }

  add(chunk: Uint8Array): void {
    this.#bytes.set(chunk, this.#filled)
    this.#filled += chunk.byteLength
    this.#change()
  }

  /** No more of it comes, be it whole or not. */
  end(): void {
    this.endMs ??= this.clock.nowMs()
    this.#change()
  }

  /** @returns what has come and what comes; it ends early where the catalog breaks off */
  read(signal: AbortSignal): ComingBlob {
    return {
      encoding: 'gzip',
      sizeBytes: this.#bytes.byteLength,
      bytes: (from) => this.#read(from, signal),
      [Symbol.dispose]: () => {},
    }
  }

  async *#read(from = 0, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    for (let at = from; !(this.isWhole && at === this.#filled); ) {
      if (at < this.#filled) {
        const chunk = this.#bytes.subarray(at, Math.min(this.#filled, at + CHUNK_BYTES_MAX))
        at += chunk.byteLength
        yield chunk
      } else if (this.endMs !== undefined) return
      else await abortable(this.#changed.promise, signal)
    }
  }

  #change(): void {
    this.#changed.resolve()
    this.#changed = Promise.withResolvers()
  }
}

export class ComingCatalogs {
  readonly #coming = new Map<CatalogName, ComingCatalog>()

  /** @param tell everybody that this catalog can be had here */
  constructor(
    private readonly clock: Clock,
    private readonly tell: (catalog: Sha256Digest) => void,
  ) {}

  /**
   * The first of a catalog has come.
   *
   * @param storedBytes all of its gzip form, as its sender says
   * @returns what is to be told of the rest; undefined where it is not sent on
   */
  begin({ name, sha256 }: HeldCatalog, storedBytes: number): ComingCatalog | undefined {
    this.#forget()
    if (storedBytes > COMING_CATALOG_BYTES_MAX || this.#coming.size >= COMING_CATALOGS_MAX) return undefined
    if (this.#coming.has(name)) return undefined
    const coming = new ComingCatalog(sha256, storedBytes, this.clock)
    this.#coming.set(name, coming)
    this.tell(sha256)
    return coming
  }

  /** @returns undefined where nothing of it has come, or it has broken off */
  find(name: CatalogName): ComingCatalog | undefined {
    this.#forget()
    return this.#coming.get(name)
  }

  /** Digests of those that can be had now. */
  digests(): Sha256Digest[] {
    this.#forget()
    return [...this.#coming.values()].map(({ sha256 }) => sha256)
  }

  /** What broke off, and what has been whole for so long that it is in the library, or of no use. */
  #forget(): void {
    const nowMs = this.clock.nowMs()
    for (const [name, { endMs, isWhole }] of this.#coming) {
      if (endMs === undefined || (isWhole && nowMs - endMs < COMING_CATALOGS_KEPT_MS)) continue
      this.#coming.delete(name)
    }
  }
}
