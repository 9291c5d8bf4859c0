/**
 * The library behind rcc's door, and the fleet behind the library: what is not here whole is fetched first, once for all
 * who ask for it.
 *
 * Serving and fetching take no lock: rcc holds its global one while it waits for our answer.
 */
import { deadline } from '../base/clock.ts'
import { abortable } from '../base/concurrency.ts'
import { DOOR_BRING_MS, DOOR_BRINGS_MAX, DOOR_ENVIRONMENTS_KEPT } from '../base/door-limits.ts'
import { HoloError, messageOf } from '../base/errors.ts'
import { roomLogger } from '../base/log.ts'
import { isSha256, type Sha256Digest, sha256Of } from '../blob/digest.ts'
import type { StoredBlob } from '../blob/local.ts'
import type { FormedPieces } from '../blob/pieces.ts'
import type { BlobRef } from '../blob/source.ts'
import type { CatalogName } from '../catalog/tree.ts'
import { distinctBlobs } from '../catalog/walk.ts'
import type { BlobMeasures, DoorEnvironment, DoorLibrary } from '../door/door-library.ts'
import type { Library } from '../store/library.ts'
import { measureBlobs } from '../store/measure-blobs.ts'
import { ownWord } from '../trust/publication.ts'
import { localCatalog } from './local-catalog.ts'
import type { ServedCatalogs } from './served-catalogs.ts'

const log = roomLogger('door')

/** Looks for an environment in the fleet and fetches it into the library. @throws {HoloError} where that fails */
export type BringEnvironment = (name: CatalogName) => Promise<void>

export interface LibraryBehindDoorOptions {
  readonly library: Library
  /** Knows the complete catalogs without decoding them or looking at each blob. */
  readonly served: Pick<ServedCatalogs, 'seen' | 'signaturesOf'>
  readonly pieces: FormedPieces
  readonly bring: BringEnvironment
  /** Aborts when the daemon ends: whatever is being fetched fails then, and that is no fault. */
  readonly ended: AbortSignal
  /** How long whoever asks waits for that; `DOOR_BRING_MS` where nothing is said. */
  readonly bringMs?: number
}

export class LibraryBehindDoor implements DoorLibrary {
  /** By the time of their last use, the latest last; with the SHA-256 of what each was made from. */
  readonly #kept = new Map<CatalogName, DoorEnvironment & { readonly storedSha256: Sha256Digest }>()
  readonly #brings = new Map<CatalogName, Promise<void>>()

  constructor(private readonly options: LibraryBehindDoorOptions) {}

  async held(name: CatalogName, signal: AbortSignal): Promise<DoorEnvironment | undefined> {
    const { library, served } = this.options
    if (library.digestKind() !== 'sha-256') return undefined
    const seen = served.seen(name)
    const kept = this.#kept.get(name)
    this.#kept.delete(name)
    if (kept !== undefined && kept.storedSha256 === seen?.storedSha256) return this.#keep(kept)
    const stored = seen === undefined ? undefined : library.storedCatalog(name)
    if (seen !== undefined && stored !== undefined && sha256Of(stored) === seen.storedSha256) {
      const { sha256, storedSha256, refs } = seen
      return this.#keep({ name, sha256, stored, storedSha256, digests: digestsOf(refs) })
    }
    // What rcc has recorded or we have fetched just now, the watch has not seen yet.
    const catalog = localCatalog(name, library, ownWord, (why) => log.warning`${why}`)
    if (catalog === undefined) return undefined
    const refs = distinctBlobs(catalog.catalog)
    const digests = digestsOf(refs)
    if (digests.size < refs.length || (await library.missingOf(refs, signal, 1)).length > 0) return undefined
    const { sha256, stored: own } = catalog
    return this.#keep({ name, sha256, stored: own, storedSha256: sha256Of(own), digests })
  }

  #keep(environment: DoorEnvironment & { readonly storedSha256: Sha256Digest }): DoorEnvironment {
    this.#kept.set(environment.name, environment)
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= DOOR_ENVIRONMENTS_KEPT) break
      this.#kept.delete(oldest)
    }
    return environment
  }

  async bring(name: CatalogName, signal: AbortSignal): Promise<DoorEnvironment | undefined> {
    const held = await this.held(name, signal)
    if (held !== undefined) return held
    const bringing = this.#bringing(name)
    if (bringing === undefined) return undefined
    const { bringMs = DOOR_BRING_MS, ended } = this.options
    const limit = deadline(bringMs, new Error(`it did not come within ${bringMs / 1000} s`), signal)
    try {
      await abortable(bringing, limit.signal)
    } catch (error) {
      signal.throwIfAborted()
      const expected = error instanceof HoloError || limit.signal.aborted || ended.aborted
      if (!expected) throw error
      log.info`${name} cannot be given to rcc: ${messageOf(error)}`
      return undefined
    } finally {
      limit.clear()
    }
    return this.held(name, signal)
  }

  /** @returns undefined where too many are under way */
  #bringing(name: CatalogName): Promise<void> | undefined {
    const running = this.#brings.get(name)
    if (running !== undefined) return running
    if (this.#brings.size >= DOOR_BRINGS_MAX) return undefined
    const started = this.options.bring(name).finally(() => this.#brings.delete(name))
    // Whoever waited may have left.
    started.catch(() => {})
    this.#brings.set(name, started)
    return started
  }

  get pieces(): FormedPieces {
    return this.options.pieces
  }

  signatures({ name, sha256 }: DoorEnvironment): Uint8Array | undefined {
    return this.options.served.signaturesOf(name, sha256)
  }

  stored(digest: Sha256Digest): StoredBlob | undefined {
    return this.options.library.stored(digest)
  }

  measure(digests: readonly Sha256Digest[], signal: AbortSignal): Promise<BlobMeasures> {
    return measureBlobs(this.options.library.tree, digests, signal)
  }
}

/** Sorted; those of another kind than SHA-256 are left out. */
function digestsOf(refs: readonly BlobRef[]): ReadonlySet<Sha256Digest> {
  return new Set(
    refs
      .map(({ digest }) => digest)
      .filter(isSha256)
      .sort(),
  )
}
