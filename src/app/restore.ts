/**
 * `restore`: robot.yaml → blueprint → catalog → inspect → plan → fetch → apply → report.
 *
 * The straight line of the product; ARCHITECTURE.md follows it.
 */
import { systemClock } from '../base/clock.ts'
import { catalogName } from '../catalog/names.ts'
import { loadBlueprint } from '../config/environment.ts'
import { Library } from '../store/library.ts'
import { PackedCatalogFolder } from '../store/packed-catalogs.ts'
import { firstCatalog } from './first-catalog.ts'
import { thisMachine } from './machine.ts'
import type { RestoreEvents, RestoreOptions, RestoreOutcome } from './restore-outcome.ts'
import { RestoreRun } from './restore-run.ts'
import { settingsOf } from './settings-of.ts'
import { chooseStrategy } from './strategy-choice.ts'
import { Supplies } from './supplies.ts'

/**
 * Restore the environment of a robot into a space.
 *
 * @throws {HoloError} blame `input`: robot.yaml or settings; `missing`: nobody has the environment; `trust`: those who have it are not
 *   trusted; `source`: those who
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
  const settings = await settingsOf(machine, { strategy: options.strategy, verification })
  const { holotree } = settings
  const strategy = chooseStrategy(holotree, machine.roots.shared)
  if (strategy.warning !== undefined) events.onWarning(strategy.warning)
  const packed = new PackedCatalogFolder(machine.state, { readOnly: options.dryRun })
  const library = new Library(machine.roots, { packed, compression: holotree.compression })
  await using supplies = new Supplies({
    machine,
    library,
    robotFile,
    offline: options.offline,
    refresh: options.refresh,
    allowRollback: options.allowRollback,
  })
  const quiet = options.fast || holotree.modes.fast
  const given = {
    machine,
    library,
    supplies,
    options,
    holotree,
    strategy,
    events: quiet ? warningsOnly(events) : events,
    startedMs,
  }
  const ask = (inner: AbortSignal) => supplies.find(name, undefined, inner)
  let found = await firstCatalog(name, { ...given, settings, ask, onWarning: events.onWarning }, signal)
  for (;;) {
    for (const warning of found.warnings) events.onWarning(warning)
    // Awaited here: the supplies have to outlive the run.
    const outcome = await new RestoreRun({ ...given, catalog: found.catalog }).run(signal)
    if (!('instead' in outcome)) return outcome
    found = outcome.instead
  }
}

function warningsOnly({ onWarning }: RestoreEvents): RestoreEvents {
  return { onWarning, onFetch: () => {}, onLockWait: () => {} }
}
