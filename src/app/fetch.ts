/**
 * `fetch`: robot.yaml → blueprint → catalog → the library, and no further.
 *
 * What a restore would fetch, ahead of time: on Friday night, or for a machine that others then get it from.
 */
import { systemClock } from '../base/clock.ts'
import { emptyTotals, type FetchTotals } from '../blob/fetch-all.ts'
import { catalogName } from '../catalog/names.ts'
import type { CatalogName } from '../catalog/tree.ts'
import { distinctBlobs } from '../catalog/walk.ts'
import { loadBlueprint } from '../config/environment.ts'
import { Library } from '../store/library.ts'
import { PackedCatalogFolder } from '../store/packed-catalogs.ts'
import { firstCatalog } from './first-catalog.ts'
import { thisMachine } from './machine.ts'
import { type PublishedView, publishedView } from './published-view.ts'
import { settingsOf } from './settings-of.ts'
import { Supplies } from './supplies.ts'
import type { FetchProgress } from './supply.ts'

export interface FetchOptions {
  /** Path, from the working directory. */
  readonly robotFile: string
  /** Take an older catalog of a key for a newer one that it has signed. */
  readonly allowRollback: boolean
  /** Let a daemon ask again what it remembers of its substituters. */
  readonly refresh: boolean
}

export interface FetchEvents {
  readonly onFetch: FetchProgress
  readonly onWarning: (text: string) => void
}

export interface FetchOutcome {
  readonly blueprint: string
  readonly catalog: CatalogName
  /** Who the catalog came from: `library`, the path of a hololib.zip, or a peer. */
  readonly source: string
  /** On whose word it was used. */
  readonly published: PublishedView
  /** Distinct blobs of the environment, and those that the library lacked. */
  readonly blobs: number
  readonly missing: { readonly blobs: number; readonly bytes: number }
  readonly fetched: FetchTotals
  /** Milliseconds from the start of this process to the first byte of a blob, where one was fetched. */
  readonly firstByteMs: number | undefined
  readonly ms: { readonly find: number; readonly fetch: number; readonly total: number }
}

/**
 * Bring the environment of a robot into the library.
 *
 * @throws {HoloError} blame `input`: robot.yaml or settings; `missing`: nobody has the environment; `trust`: those
 *   who have it are not trusted; `source`: they failed; `host`: disk, permission
 * @throws `signal.reason`, unwrapped, once `signal` aborts; what was fetched is kept
 */
export async function fetch(
  { robotFile, allowRollback, refresh }: FetchOptions,
  events: FetchEvents,
  signal: AbortSignal,
): Promise<FetchOutcome> {
  const startedMs = systemClock.nowMs()
  const machine = thisMachine()
  const { robocorpHome, platform } = machine.roots
  const { blueprint, robotFile: path } = await loadBlueprint({ robotFile, robocorpHome, platform }, signal)
  const name = catalogName(blueprint.hash, `${platform.os}_${platform.arch}`)
  const settings = await settingsOf(machine)
  const { holotree } = settings
  const packed = new PackedCatalogFolder(machine.state, { readOnly: false })
  const library = new Library(machine.roots, { packed, compression: holotree.compression })
  await using supplies = new Supplies({
    machine,
    library,
    robotFile: path,
    offline: false,
    refresh,
    allowRollback,
  })
  const totals = emptyTotals()
  let found = await firstCatalog(name, { machine, settings, library, supplies, onWarning: events.onWarning }, signal)
  const { source, catalog: local, sha256 } = found.catalog
  if (source === 'library' && (await library.missing(local, signal)).length > 0) {
    found = await supplies.find(name, sha256, signal)
  }
  for (const warning of found.warnings) events.onWarning(warning)
  const { catalog } = found
  const foundMs = systemClock.nowMs()
  const missing = await library.missing(catalog.catalog, signal)
  if (catalog.source !== 'library' || missing.length > 0) {
    library.sweep(systemClock.wallMs())
    await supplies.fetch(catalog, totals, events.onFetch, signal)
  }
  const nowMs = systemClock.nowMs()
  return {
    blueprint: blueprint.hash,
    catalog: name,
    source: catalog.source,
    published: publishedView(catalog.publication),
    blobs: distinctBlobs(catalog.catalog).length,
    missing: { blobs: missing.length, bytes: missing.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) },
    fetched: totals,
    firstByteMs: totals.firstByteMs === undefined ? undefined : foundMs + totals.firstByteMs,
    ms: { find: foundMs - startedMs, fetch: nowMs - foundMs, total: nowMs - startedMs },
  }
}
