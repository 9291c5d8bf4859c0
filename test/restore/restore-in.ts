/** One restore as the composition root does it: lock, inspect, plan, apply. */
import { never } from '../../src/base/clock.ts'
import type { LocalBlobs } from '../../src/blob/local.ts'
import { catalogTail } from '../../src/catalog/catalog-tail.ts'
import { spacePaths } from '../../src/catalog/layout.ts'
import { spaceTarget } from '../../src/catalog/relocation.ts'
import { spaceNote } from '../../src/catalog/space-note.ts'
import type { Strategy } from '../../src/catalog/strategies.ts'
import type { Catalog } from '../../src/catalog/tree.ts'
import { type ApplyOptions, applyPlan } from '../../src/restore/apply.ts'
import { inspectSpace } from '../../src/restore/inspect.ts'
import { planRestore, type RestorePlan } from '../../src/restore/plan.ts'
import { readNote } from '../../src/restore/read-note.ts'
import type { RestoreReport } from '../../src/restore/report.ts'
import type { StrategyOptions } from '../../src/restore/strategy.ts'
import { acquireLock } from '../../src/store/lock.ts'
import type { VerifiedCatalog } from '../../src/trust/verify-catalog.ts'

/** Tests make catalogs that no peer ever offered; the brand stands for the check that `verifyCatalog` is tested for. */
function trusted(catalog: Catalog): VerifiedCatalog {
  return { catalog, tail: () => catalogTail(catalog) } as VerifiedCatalog
}

export interface Restored {
  readonly plan: RestorePlan
  readonly report: RestoreReport
  readonly spacePath: string
}

export interface RestoreInOptions extends Partial<Pick<ApplyOptions, 'engine' | 'verification'>> {
  readonly strategy?: Strategy
  readonly hardlinkExcludes?: StrategyOptions['hardlinkExcludes']
  readonly copyPatterns?: StrategyOptions['copyPatterns']
  readonly deep?: boolean
  readonly keepExtra?: boolean
}

export async function restoreIn(
  catalog: Catalog,
  spaceName: string,
  blobs: LocalBlobs,
  signal: AbortSignal = never,
  options: RestoreInOptions = {},
): Promise<Restored> {
  const { strategy = 'auto', deep = false, keepExtra = false, verification = 'trusted', engine } = options
  const none = () => false
  const { path: spacePath } = spaceTarget(catalog, spaceName)
  await using lock = await acquireLock(spacePaths(spacePath).lock, { waitMs: 5_000, shared: false }, signal)
  const target = { spaceName, controller: 'rcc.user', space: 'gold' }
  const verified = trusted(catalog)
  const wanted = spaceNote(catalog, verified.tail, target)
  const noted = readNote(spacePaths(spacePath), { wanted, other: () => undefined, packed: undefined })
  const state = await inspectSpace(spacePath, catalog, { ...noted, deep }, signal)
  const { tree } = blobs
  const plan = planRestore(verified, target, state, {
    keepExtra,
    hardlinked: strategy === 'hardlink' || strategy === 'smart',
    blobPath:
      strategy !== 'symlink' || tree === undefined ? undefined : (digest) => `${tree.directory}/${tree.nameOf(digest)}`,
  })
  const ways = {
    strategy,
    hardlinkExcludes: options.hardlinkExcludes ?? none,
    copyPatterns: options.copyPatterns ?? none,
    linksExecutables: true,
  }
  const engineChoice = engine === undefined ? {} : { engine }
  const report = await applyPlan(plan, { blobs, lock, strategy: ways, verification, ...engineChoice }, signal)
  return { plan, report, spacePath }
}
