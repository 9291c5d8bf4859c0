/** The complete catalogs of a library as peers see them; follows what rcc adds and removes. */
import { type Digest, isSha256, type Sha256Digest, sha256Of } from '../blob/digest.ts'
import type { StoredBlob } from '../blob/local.ts'
import { inflateCatalog } from '../catalog/decode-catalog.ts'
import type { CatalogName } from '../catalog/tree.ts'
import type { HeldCatalog } from '../peer/messages.ts'
import type { ServedLibrary } from '../peer/serve.ts'
import { watchCatalogs } from '../store/changes.ts'
import type { Library } from '../store/library.ts'

export class ServedCatalogs implements ServedLibrary {
  readonly #held = new Map<CatalogName, HeldCatalog>()
  readonly #listeners = new Set<() => void>()

  constructor(private readonly library: Library) {}

  /**
   * Follow the library until `signal` aborts.
   *
   * @param onLooked called whenever a look is through; the first time, what was there at the start is known
   * @throws {HoloError} blame `host`: the catalog directory cannot be made
   */
  async follow(onLooked: () => void, signal: AbortSignal): Promise<void> {
    await watchCatalogs(
      this.library,
      ({ added, removed }) => {
        for (const name of removed) this.#held.delete(name)
        for (const { name, stored } of added) {
          const sha256 = sha256Of(inflateCatalog(stored, `Catalog ${name}`))
          this.#held.set(name, { name, sha256, storedBytes: stored.byteLength })
        }
        for (const listener of [...this.#listeners]) listener()
        onLooked()
      },
      signal,
    )
  }

  catalogs(): readonly HeldCatalog[] {
    return [...this.#held.values()]
  }

  /** SHA-256 of the decoded catalog. @returns undefined where the catalog is not held */
  heldSha256(name: CatalogName): Sha256Digest | undefined {
    return this.#held.get(name)?.sha256
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async storedCatalog(name: CatalogName): Promise<Uint8Array | undefined> {
    return this.#held.has(name) ? this.library.storedCatalog(name) : undefined
  }

  stored(digest: Digest): StoredBlob | undefined {
    return isSha256(digest) ? this.library.stored(digest) : undefined
  }

  holds(digest: Sha256Digest): boolean {
    return this.library.holds(digest)
  }
}
