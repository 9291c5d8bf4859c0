/**
 * `restore`: robot.yaml → blueprint → catalog → inspect → plan → fetch → apply → report.
 *
 * The straight line of the product; ARCHITECTURE.md follows it.
 */
import { systemClock } from '../base/clock.ts'
import { HoloError } from '../base/errors.ts'
import { catalogName } from '../catalog/names.ts'
import type { CatalogName } from '../catalog/tree.ts'
import { restoreBlobs } from '../catalog/walk.ts'
import { loadBlueprint } from '../config/environment.ts'
import { Library } from '../store/library.ts'
import { PackedCatalogFolder } from '../store/packed-catalogs.ts'
import { settingsOf } from './fleet.ts'
import { localCatalog } from './local-catalog.ts'
import { thisMachine } from './machine.ts'
import type { RestoreEvents, RestoreOptions, RestoreOutcome } from './restore-outcome.ts'
import { RestoreRun, type RunOptions } from './restore-run.ts'
import { chooseStrategy } from './strategy-choice.ts'
import { Supplies } from './supplies.ts'
import type { FoundEnvironment } from './supply.ts'

/**
 * Restore the environment of a robot into a space.
 *
 * @throws {HoloError} blame `input`: robot.yaml or settings; `missing`: nobody has the environment; `source`: those who
 *   have it failed; `host`: disk, permission; `locked`: another process holds the space
 * @throws `signal.reason`, unwrapped, once `signal` aborts
 */
export async function restore(
  options: RestoreOptions,
  events: RestoreEvents,
  signal: AbortSignal,
): Promise<RestoreOutcome> {
  const machine = thisMachine()
  const { robocorpHome, platform } = machine.roots
  const startedMs = systemClock.nowMs()
  const { blueprint, robotFile } = await loadBlueprint({ robotFile: options.robotFile, robocorpHome, platform }, signal)
  const name = catalogName(blueprint.hash, `${platform.os}_${platform.arch}`)
  const verification = options.fast ? 'trusted' : options.verification
  const { holotree } = await settingsOf(machine, { strategy: options.strategy, verification })
  const strategy = chooseStrategy(holotree, machine.roots.shared)
  if (strategy.warning !== undefined) events.onWarning(strategy.warning)
  const packed = new PackedCatalogFolder(machine.state, { readOnly: options.dryRun })
  const library = new Library(machine.roots, { packed, compression: holotree.compression })
  await using supplies = new Supplies({ machine, library, robotFile, offline: options.offline })
  const { catalog, warnings, lacking } = await findCatalog(name, library, supplies, signal)
  for (const warning of warnings) events.onWarning(warning)
  const run = new RestoreRun({
    machine,
    library,
    supplies,
    catalog,
    lacking,
    options,
    holotree,
    strategy,
    events: options.fast || holotree.modes.fast ? quiet(events) : events,
    startedMs,
  })
  // Awaited here: the supplies have to outlive the run.
  return await run.run(signal)
}

/** Warnings only. */
function quiet({ onWarning }: RestoreEvents): RestoreEvents {
  return { onWarning, onFetch: () => {}, onLockWait: () => {} }
}

/**
 * The library's own catalog where it has what a restore needs; else what the supplies have. rcc writes a catalog before
 * its blobs, so a recording that was cut off leaves one that is of no use: then the fleet's takes its place.
 */
async function findCatalog(
  name: CatalogName,
  library: Library,
  supplies: Supplies,
  signal: AbortSignal,
): Promise<FoundEnvironment & Pick<RunOptions, 'lacking'>> {
  const local = localCatalog(name, library)
  if (local === undefined) return { ...(await supplies.find(name, undefined, signal)), lacking: undefined }
  const missing = await library.missingOf(restoreBlobs(local.catalog), signal)
  const lacking = new Set(missing.map(({ digest }) => digest))
  const alone = { catalog: local, warnings: [], lacking }
  if (lacking.size === 0) return alone
  try {
    const found = await supplies.find(name, local.sha256, signal)
    return found.catalog.sha256 === local.sha256
      ? { ...alone, ...found, catalog: local }
      : { ...found, lacking: undefined }
  } catch (error) {
    signal.throwIfAborted()
    // The space may be as it should be and need none of the missing blobs; if not, the fetch says why it fails.
    if (error instanceof HoloError && (error.blame === 'missing' || error.blame === 'source')) return alone
    throw error
  }
}
