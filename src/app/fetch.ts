/**
 * `fetch`: robot.yaml → blueprint → catalog → the library, and no further.
 *
 * What a restore would fetch, ahead of time: on Friday night, or for a machine that others then get it from.
 */
import { systemClock } from '../base/clock.ts'
import type { Sha256Digest } from '../blob/digest.ts'
import { emptyTotals, type FetchTotals } from '../blob/fetch-all.ts'
import { type BlobSum, sumOfBlobs } from '../blob/source.ts'
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
import type { BegunEnvironment, FetchProgress } from './supply.ts'

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
  readonly missing: BlobSum
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
  let found: (BegunEnvironment & { readonly atMs: number }) | undefined
  const onFound = (begun: BegunEnvironment) => {
    for (const warning of begun.warnings) events.onWarning(warning)
    // Where a daemon ends on the way, it is found once more, and some blobs are here.
    const { missing } = found ?? begun
    found = { ...begun, missing, atMs: systemClock.nowMs() }
  }
  const bringing = { totals, onFound, onProgress: events.onFetch }
  const ask = (local: Sha256Digest | undefined, inner: AbortSignal) => {
    library.sweep(systemClock.wallMs())
    return supplies.bring(name, local, bringing, inner)
  }
  const places = { machine, settings, library, ask: (inner: AbortSignal) => ask(undefined, inner) }
  let first = await firstCatalog(name, { ...places, onWarning: events.onWarning }, signal)
  if (first?.catalog.source === 'library' && (await library.missing(first.catalog.catalog, signal)).length > 0) {
    first = await ask(first.catalog.sha256, signal)
  }
  if (first !== undefined) {
    const { catalog, warnings } = first
    const { source, publication } = catalog
    const missing = await library.missing(catalog.catalog, signal)
    const blobs = distinctBlobs(catalog.catalog).length
    onFound({ source, publication, warnings, blobs, missing: sumOfBlobs(missing) })
    if (source !== 'library' || missing.length > 0) await supplies.fetch(catalog, totals, events.onFetch, signal)
  }
  if (found === undefined) throw new Error('it was brought, but not found')
  const { source, publication, blobs, missing, atMs } = found
  const nowMs = systemClock.nowMs()
  return {
    blueprint: blueprint.hash,
    catalog: name,
    source,
    published: publishedView(publication),
    blobs,
    missing,
    fetched: totals,
    firstByteMs: totals.firstByteMs === undefined ? undefined : atMs + totals.firstByteMs,
    ms: { find: atMs - startedMs, fetch: nowMs - atMs, total: nowMs - startedMs },
  }
}
