/**
 * What rcc adds to the library and removes from it while we run: complete catalogs that come and go.
 *
 * A catalog is announced once all its blobs are here, since rcc writes it before them, and only where library and
 * digests are SHA-256, since nothing else is shared. File events say when to look; a slow poll looks anyway, because events get
 * lost on network volumes and blobs raise none. Knows nothing of peers.
 */
import * as fs from 'node:fs'
import { type Clock, systemClock } from '../base/clock.ts'
import { messageOf } from '../base/errors.ts'
import { CATALOG_POLL_INCOMPLETE_MS, CATALOG_POLL_MS, CATALOG_SETTLE_MS } from '../base/limits.ts'
import { roomLogger } from '../base/log.ts'
import { isSha256 } from '../blob/digest.ts'
import type { BlobRef } from '../blob/source.ts'
import * as layout from '../catalog/layout.ts'
import type { CatalogName } from '../catalog/tree.ts'
import { distinctBlobs } from '../catalog/walk.ts'
import type { Library, StoredCatalog } from './library.ts'

const log = roomLogger('store')

/** A catalog whose blobs are all here. */
export interface CompleteCatalog extends StoredCatalog {
  /** Every blob that it names, once. */
  readonly refs: readonly BlobRef[]
}

export interface CatalogChange {
  /** New here, or replaced. */
  readonly added: readonly CompleteCatalog[]
  readonly removed: readonly CatalogName[]
}

/** Whether blobs may travel at all. */
function isShareable(refs: readonly BlobRef[]): boolean {
  return refs.every(({ digest }) => isSha256(digest))
}

/**
 * Report every complete catalog once at the start, then each change, until `signal` aborts; then return.
 *
 * @param onChange called with one change at a time; only the first one, which ends the look at the start, may be empty
 * @throws {HoloError} blame `host`: the catalog directory cannot be made
 */
export async function watchCatalogs(
  library: Library,
  onChange: (change: CatalogChange) => void,
  signal: AbortSignal,
  clock: Clock = systemClock,
): Promise<void> {
  const watch = new CatalogWatch(library)
  const bell = new Bell()
  const watcher = watchDirectory(library.ensureCatalogDirectory(), bell)
  // A catalog that rcc recorded with blobs missing (formats.md §6) stays incomplete: looks get rarer again.
  let pollMs = CATALOG_POLL_INCOMPLETE_MS
  let first = true
  try {
    while (!signal.aborted) {
      const change = await watch.look(signal)
      if (first || change.added.length + change.removed.length > 0) onChange(change)
      first = false
      const rung = await bell.wait(watch.hasIncomplete ? pollMs : CATALOG_POLL_MS, clock, signal)
      pollMs = rung ? CATALOG_POLL_INCOMPLETE_MS : Math.min(2 * pollMs, CATALOG_POLL_MS)
      // A recording raises several events; the last one counts.
      await clock.sleep(CATALOG_SETTLE_MS, signal)
    }
  } catch (error) {
    if (!signal.aborted) throw error
  } finally {
    watcher?.close()
  }
}

function watchDirectory(directory: string, bell: Bell): fs.FSWatcher | undefined {
  try {
    const watcher = fs.watch(directory, () => bell.ring())
    watcher.on('error', (error) => log.warning`watching ${directory} ended, polling goes on: ${messageOf(error)}`)
    return watcher
  } catch (error) {
    log.warning`cannot watch ${directory}, polling instead: ${messageOf(error)}`
    return undefined
  }
}

/** A catalog as it was read last, kept so that a look costs questions about blobs, not another decoding. */
interface KnownCatalog {
  readonly mark: string
  readonly refs: readonly BlobRef[]
  readonly shareable: boolean
  announced: boolean
}

class CatalogWatch {
  readonly #known = new Map<CatalogName, KnownCatalog>()
  hasIncomplete = false

  constructor(private readonly library: Library) {}

  async look(signal: AbortSignal): Promise<CatalogChange> {
    const added: CompleteCatalog[] = []
    const removed: CatalogName[] = []
    // The blobs of a compress.no library are not shared, whatever else was brought into it.
    const marks = this.library.digestKind() === 'sha-256' ? this.#marks() : new Map<CatalogName, string>()
    this.hasIncomplete = false
    for (const [name, { announced }] of this.#known) {
      if (marks.has(name)) continue
      if (announced) removed.push(name)
      this.#known.delete(name)
    }
    for (const [name, mark] of marks) {
      const before = this.#known.get(name)
      const found = before?.mark === mark ? undefined : this.#read(name)
      const now = before?.mark === mark ? before : this.#remember(name, mark, found)
      const complete = now?.shareable === true && (await this.library.missingOf(now.refs, signal, 1)).length === 0
      if (!complete && now?.shareable !== false) this.hasIncomplete = true
      if (complete && (!now.announced || before !== now)) {
        const again = found ?? this.#read(name)
        now.announced = again !== undefined
        if (again !== undefined) added.push({ ...again, refs: now.refs })
      } else if (!complete) {
        if (before?.announced === true) removed.push(name)
        if (now !== undefined) now.announced = false
      }
    }
    return { added, removed }
  }

  #remember(name: CatalogName, mark: string, found: StoredCatalog | undefined): KnownCatalog | undefined {
    this.#known.delete(name)
    if (found === undefined) return undefined
    const refs = distinctBlobs(found.catalog)
    const known = { mark, refs, shareable: isShareable(refs), announced: false }
    this.#known.set(name, known)
    return known
  }

  /** @returns undefined where it cannot be read or decoded: rcc may be writing it */
  #read(name: CatalogName): StoredCatalog | undefined {
    try {
      return this.library.catalog(name)
    } catch (error) {
      log.debug`catalog ${name} is not announced: ${messageOf(error)}`
      return undefined
    }
  }

  /** What a replaced file differs in; its mtime would not do, since every use of a catalog sets it. */
  #marks(): Map<CatalogName, string> {
    const marks = new Map<CatalogName, string>()
    for (const name of this.library.catalogs()) {
      const status = fs.statSync(layout.catalogPath(this.library.roots, name), { throwIfNoEntry: false })
      if (status !== undefined) marks.set(name, `${status.ino}:${status.size}`)
    }
    return marks
  }
}

/** Rings are kept until somebody waits. */
class Bell {
  #rung = false
  #wake = () => {}

  ring(): void {
    this.#rung = true
    this.#wake()
  }

  /** Resolve at a ring, at the latest after `ms`. @returns whether it rang @throws `signal.reason` */
  async wait(ms: number, clock: Clock, signal: AbortSignal): Promise<boolean> {
    const woken = new AbortController()
    this.#wake = () => woken.abort()
    if (!this.#rung) {
      try {
        await clock.sleep(ms, AbortSignal.any([woken.signal, signal]))
      } catch {
        signal.throwIfAborted()
      }
    }
    const rung = this.#rung
    this.#rung = false
    this.#wake = () => {}
    return rung
  }
}
