/** The complete catalogs of a library as peers see them; follows what rcc adds and removes. */
import { statSync } from 'node:fs'
import { HoloError } from '../base/errors.ts'
import { SIGNATURES_MAX } from '../base/limits.ts'
import { roomLogger } from '../base/log.ts'
import { type Digest, isSha256, type Sha256Digest, sha256Of } from '../blob/digest.ts'
import type { StoredBlob } from '../blob/local.ts'
import type { ServedPieces } from '../blob/pieces.ts'
import type { BlobRef } from '../blob/source.ts'
import { inflateCatalog } from '../catalog/decode-catalog.ts'
import { catalogPath } from '../catalog/layout.ts'
import type { Catalog, CatalogName } from '../catalog/tree.ts'
import type { SignatureFolder } from '../config/signature-folder.ts'
import type { HeldCatalog } from '../peer/messages.ts'
import type { ServedLibrary } from '../peer/serve.ts'
import { watchCatalogs } from '../store/changes.ts'
import type { Library } from '../store/library.ts'
import type { CompleteCatalogs } from '../store/served-pieces.ts'
import { ownWord } from '../trust/publication.ts'
import { encodeSignatures } from '../trust/signature-json.ts'
import type { VerifiedCatalog } from '../trust/verify-catalog.ts'
import { localCatalog } from './local-catalog.ts'
import { localPublication } from './local-judge.ts'
import type { CatalogsInTransit } from './piece-exchange.ts'
import { type PublishedView, publishedView } from './published-view.ts'

const log = roomLogger('app')

/** What a catalog was found to name when the watch looked last. */
export interface SeenCatalog {
  /** Of its decoded JSON. */
  readonly sha256: Sha256Digest
  /** SHA-256 of its gzip form. */
  readonly storedSha256: Sha256Digest
  /** Every blob, once; each is a SHA-256 one, and was here. */
  readonly refs: readonly BlobRef[]
}

export class ServedCatalogs implements ServedLibrary, CompleteCatalogs, CatalogsInTransit {
  readonly #held = new Map<CatalogName, HeldCatalog>()
  readonly #seen = new Map<CatalogName, SeenCatalog>()
  readonly #listeners = new Set<() => void>()
  /** Catalogs whose blobs are on their way from a substituter; by what ends each. */
  readonly #inTransit = new Map<Disposable, VerifiedCatalog>()
  /** The same in pieces, once there is somebody to send them. */
  pieces?: ServedPieces

  constructor(
    private readonly library: Library,
    private readonly folder: SignatureFolder,
  ) {}

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
        for (const name of removed) {
          this.#held.delete(name)
          this.#seen.delete(name)
        }
        for (const { name, stored, refs } of added) {
          const sha256 = sha256Of(inflateCatalog(stored, `Catalog ${name}`))
          this.#seen.set(name, { sha256, storedSha256: sha256Of(stored), refs })
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

  /** @returns undefined where the catalog is not held */
  seen(name: CatalogName): SeenCatalog | undefined {
    return this.#seen.get(name)
  }

  /** On whose word each of them is served. @throws {HoloError} blame `host` */
  published(): readonly (PublishedView & { readonly catalog: CatalogName })[] {
    return this.catalogs().map((held) => ({
      catalog: held.name,
      ...publishedView(localPublication(this.folder, held)),
    }))
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Whether a catalog is held whole. @param sha256 of its decoded JSON */
  has(sha256: Sha256Digest): boolean {
    for (const held of this.#held.values()) if (held.sha256 === sha256) return true
    return false
  }

  passOn(catalog: VerifiedCatalog): Disposable {
    const passing = { [Symbol.dispose]: () => void this.#inTransit.delete(passing) }
    this.#inTransit.set(passing, catalog)
    return passing
  }

  /** @returns undefined where it is not held, or cannot be read */
  load(sha256: Sha256Digest): Catalog | undefined {
    for (const held of this.#held.values()) {
      if (held.sha256 === sha256) return localCatalog(held.name, this.library, ownWord, () => {})?.catalog
    }
    return undefined
  }

  /** SHA-256 of each decoded catalog, the one that was used last first. */
  newestFirst(): Sha256Digest[] {
    // Every restore, rcc's and ours, touches the file of its catalog.
    const used = (name: CatalogName) =>
      statSync(catalogPath(this.library.roots, name), { throwIfNoEntry: false })?.mtimeMs ?? 0
    const held = [...this.#held.values()].map(({ name, sha256 }) => ({ sha256, usedMs: used(name) }))
    return held.sort((left, right) => right.usedMs - left.usedMs).map(({ sha256 }) => sha256)
  }

  /** Resolves at the next change of what is held. @throws `signal.reason` */
  async changed(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const onAbort = () => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    const unsubscribe = this.subscribe(resolve)
    try {
      await promise
    } finally {
      unsubscribe()
      signal.removeEventListener('abort', onAbort)
    }
  }

  signatures(sha256: Sha256Digest): Uint8Array | undefined {
    const held = [...this.#held.values()].find((each) => each.sha256 === sha256)
    return held === undefined ? this.#signaturesInTransit(sha256) : this.signaturesOf(held.name, sha256)
  }

  /** Signatures of this very catalog, one a line, whether or not the watch has seen it. */
  signaturesOf(name: CatalogName, sha256: Sha256Digest): Uint8Array | undefined {
    try {
      const lines = this.folder.linesFor(name, sha256)
      return lines.length === 0 ? undefined : Buffer.concat(lines)
    } catch (error) {
      if (!(error instanceof HoloError)) throw error
      // What cannot be read is as good as none: a peer then goes by our membership.
      log.warning`the signatures of ${name} are not sent: ${error.message}`
      return undefined
    }
  }

  async storedCatalog(name: CatalogName): Promise<Uint8Array | undefined> {
    if (this.#held.has(name)) return this.library.storedCatalog(name)
    return [...this.#inTransit.values()].find((catalog) => catalog.name === name)?.stored
  }

  #signaturesInTransit(sha256: Sha256Digest): Uint8Array | undefined {
    const catalog = [...this.#inTransit.values()].find((each) => each.sha256 === sha256)
    const signed = [...(catalog?.publication.believed ?? []), ...(catalog?.publication.strangers ?? [])]
    return signed.length === 0 ? undefined : encodeSignatures(signed.slice(0, SIGNATURES_MAX))
  }

  stored(digest: Digest): StoredBlob | undefined {
    return isSha256(digest) ? this.library.stored(digest) : undefined
  }

  holds(digest: Sha256Digest): boolean {
    return this.library.holds(digest)
  }
}
