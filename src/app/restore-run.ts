/**
 * One restore from a verified catalog on: lock, inspect, plan, fetch, apply, and again where a blob proved rotten.
 *
 * Nothing is fetched before the target is known to be writable, nothing is written before the plan is made.
 */
import { systemClock } from '../base/clock.ts'
import { HoloError } from '../base/errors.ts'
import type { HeldLock } from '../base/held-lock.ts'
import { LITE_STAMP_AGE_MS, LOCK_WAIT_MS } from '../base/limits.ts'
import { emptyTotals } from '../blob/fetch-all.ts'
import { type BlobRef, type BlobSum, sumOfBlobs } from '../blob/source.ts'
import { catalogPath, pidsDirectory, spacePaths } from '../catalog/layout.ts'
import { controllerIdentity, spaceName } from '../catalog/names.ts'
import { spaceTarget } from '../catalog/relocation.ts'
import { spaceNote } from '../catalog/space-note.ts'
import type { HolotreeSettings } from '../config/holotree-settings.ts'
import { applyPlan, BlobsUnusableError } from '../restore/apply.ts'
import { ensureBaseDirectory } from '../restore/base-directory.ts'
import { inspectSpace } from '../restore/inspect.ts'
import { type PlanTotals, planRestore, type RestorePlan } from '../restore/plan.ts'
import { readNote } from '../restore/read-note.ts'
import type { RestoreReport } from '../restore/report.ts'
import { bearsDigest, faultOf } from '../store/blob-file.ts'
import { countUse, dirtyness, journalUse } from '../store/journal.ts'
import type { Library } from '../store/library.ts'
import { acquireLock } from '../store/lock.ts'
import { userName } from '../store/user-name.ts'
import type { VerifiedCatalog } from '../trust/verify-catalog.ts'
import { localNote } from './local-catalog.ts'
import type { Machine } from './machine.ts'
import { publishedView } from './published-view.ts'
import {
  type RestoreEvents,
  type RestoreOptions,
  type RestoreOutcome,
  type StageTime,
  sumOfReports,
} from './restore-outcome.ts'
import type { StrategyChoice } from './strategy-choice.ts'
import type { Supplies } from './supplies.ts'
import type { FoundEnvironment } from './supply.ts'
import { VERSION } from './version.ts'

/** A blob that rotted is fetched again and the space planned anew; more rounds than this mean a dying disk. */
const ROUNDS_MAX = 3

export interface RunOptions {
  readonly machine: Machine
  readonly library: Library
  readonly supplies: Supplies
  readonly catalog: VerifiedCatalog
  readonly options: RestoreOptions
  readonly holotree: HolotreeSettings
  readonly strategy: StrategyChoice
  readonly events: RestoreEvents
  readonly startedMs: number
}

export class RestoreRun {
  readonly #given: RunOptions
  readonly #controller: string
  readonly #name: string
  readonly #path: string
  readonly #base: string
  readonly #fetched = emptyTotals()
  readonly #quarantined: string[] = []
  #fetchMs = 0
  #fetchStartedMs: number | undefined

  constructor(given: RunOptions) {
    this.#given = given
    const { catalog, machine, options } = given
    this.#controller = controllerIdentity(options.controller)
    const { userIdentity } = machine.roots
    this.#name = spaceName({ userIdentity, controller: this.#controller, space: options.space })
    const { base, path } = spaceTarget(catalog.catalog, this.#name)
    this.#base = base
    this.#path = path
  }

  /** @returns the outcome, or the catalog that is to be restored in place of the library's own, which lacks blobs */
  async run(signal: AbortSignal): Promise<RestoreOutcome | { readonly instead: FoundEnvironment }> {
    const { options, machine, events } = this.#given
    const foundMs = systemClock.nowMs()
    if (options.dryRun) {
      const plan = await this.#plan(signal)
      const missing = await this.#lacking(plan, signal)
      const instead = await this.#better(missing, signal)
      if (instead !== undefined) return { instead }
      return this.#outcome(plan.totals, undefined, missing, foundMs, systemClock.nowMs())
    }
    ensureBaseDirectory(this.#base, machine.roots.shared)
    const lockPath = spacePaths(this.#path).lock
    const note = {
      directory: pidsDirectory(machine.roots),
      controller: options.controller,
      space: options.space,
      username: userName(machine.environment),
    }
    const onWait = (holders: readonly string[]) => events.onLockWait(lockPath, holders)
    await using lock = await acquireLock(
      lockPath,
      { waitMs: LOCK_WAIT_MS, shared: machine.roots.shared, note, onWait },
      signal,
    )
    const first = await this.#plan(signal)
    const missing = await this.#lacking(first, signal)
    const instead = await this.#better(missing, signal)
    if (instead !== undefined) return { instead }
    const plannedMs = systemClock.nowMs()
    const restored = await this.#fetchAndApply(first, missing.blobs > 0, lock, signal)
    this.#noteUse(first.totals)
    return this.#outcome(first.totals, restored, missing, foundMs, plannedMs)
  }

  async #fetchAndApply(
    first: RestorePlan,
    lacksBlobs: boolean,
    lock: HeldLock,
    signal: AbortSignal,
  ): Promise<RestoreReport> {
    const { library, catalog, strategy } = this.#given
    // A catalog that is not in the library yet comes with all its blobs, so that rcc can use it and others get it here.
    if (catalog.source !== 'library' || lacksBlobs) await this.#fetch(signal)
    let plan = first
    let before: RestoreReport | undefined
    for (let round = 1; ; round++) {
      try {
        const report = await applyPlan(
          plan,
          { blobs: library, lock, strategy: strategy.options, verification: this.#given.holotree.verification },
          signal,
        )
        return before === undefined ? report : sumOfReports(before, report)
      } catch (error) {
        if (!(error instanceof BlobsUnusableError) || round === ROUNDS_MAX) throw error
        before = before === undefined ? error.report : sumOfReports(before, error.report)
        await this.#quarantine(error, signal)
        const unusable = [...error.corrupt, ...error.absent]
        // A second look may have found all of them right, or another process may have brought them.
        if ((await library.missingOf(unusable, signal, 1)).length > 0) await this.#fetch(signal)
        plan = await this.#plan(signal)
      }
    }
  }

  async #plan(signal: AbortSignal): Promise<RestorePlan> {
    const { catalog, options, library } = this.#given
    const { strategy } = this.#given.strategy.options
    const target = { spaceName: this.#name, controller: this.#controller, space: options.space }
    const noted = readNote(spacePaths(this.#path), {
      wanted: spaceNote(catalog.catalog, () => catalog.tail(), target),
      other: (name) => localNote(name, library, target),
      packed: library.packed,
    })
    const state = await inspectSpace(this.#path, catalog.catalog, { ...noted, deep: options.deep }, signal)
    return planRestore(catalog, target, state, {
      keepExtra: options.keepExtra,
      hardlinked: strategy === 'hardlink' || strategy === 'smart',
      blobPath:
        strategy === 'symlink' ? (digest) => `${library.tree.directory}/${library.tree.nameOf(digest)}` : undefined,
    })
  }

  async #lacking({ needed }: RestorePlan, signal: AbortSignal): Promise<BlobSum> {
    const { library, options } = this.#given
    const missing = await (options.dryRun ? library.missingOf(needed, signal) : library.lacking(needed, signal))
    return sumOfBlobs(missing)
  }

  /**
   * rcc writes a catalog before its blobs, so a recording that was cut off leaves one that is of no use: then the fleet's
   * takes its place, if it is another one.
   */
  async #better({ blobs }: { readonly blobs: number }, signal: AbortSignal): Promise<FoundEnvironment | undefined> {
    const { catalog, supplies, events } = this.#given
    if (blobs === 0 || catalog.source !== 'library') return undefined
    try {
      const found = await supplies.find(catalog.name, catalog.sha256, signal)
      if (found.catalog.sha256 !== catalog.sha256) return found
      for (const warning of found.warnings) events.onWarning(warning)
    } catch (error) {
      signal.throwIfAborted()
      // If nobody has the blobs either, the fetch says why it fails.
      if (!(error instanceof HoloError) || !['missing', 'source'].includes(error.blame)) throw error
    }
    return undefined
  }

  async #fetch(signal: AbortSignal): Promise<void> {
    const { library, supplies, catalog, events } = this.#given
    const startedMs = systemClock.nowMs()
    // What a killed fetch left goes before the first byte of this one.
    if (this.#fetchStartedMs === undefined) library.sweep(systemClock.wallMs())
    this.#fetchStartedMs ??= startedMs
    try {
      await supplies.fetch(catalog, this.#fetched, events.onFetch, signal)
    } catch (error) {
      const [place] = this.#quarantined
      if (place === undefined || !(error instanceof HoloError)) throw error
      throw new HoloError(
        `A blob of the library was corrupt (now ${place}), and could not be fetched again: ${error.message}`,
        {
          code: 'local-blob-corrupt',
          blame: error.blame,
          hint: error.hint ?? 'run the same command again when a peer that holds this environment is up',
          cause: error,
        },
      )
    } finally {
      this.#fetchMs += systemClock.nowMs() - startedMs
    }
  }

  /**
   * Out of the library go those that a second look finds wrong, too.
   *
   * @throws {HoloError} blame `source`, code `catalog-invalid`: a blob is right, and the catalog is wrong about its size;
   *   other environments need that blob
   */
  async #quarantine({ corrupt }: BlobsUnusableError, signal: AbortSignal): Promise<void> {
    const { library, catalog } = this.#given
    for (const ref of corrupt) {
      const blob = library.find(ref.digest)
      if (blob === undefined || (await faultOf(blob, ref, signal)) === undefined) continue
      if (await bearsDigest(blob, ref.digest, signal)) throw lyingCatalog(catalog.name, ref)
      const place = library.quarantine(ref.digest, systemClock.wallMs())
      if (place !== undefined) this.#quarantined.push(place)
    }
  }

  /** What rcc's clean-up, listings and statistics go by; in lite mode no more than its clean-up needs. */
  #noteUse(plan: PlanTotals): void {
    const { library, catalog, machine, options, startedMs, holotree } = this.#given
    const { lite } = holotree.modes
    const nowMs = systemClock.wallMs()
    const { use, meta } = spacePaths(this.#path)
    const renewAfterMs = lite ? LITE_STAMP_AGE_MS : 0
    library.touchUsage(catalog.name, nowMs, renewAfterMs)
    countUse(use, nowMs, renewAfterMs)
    if (lite) return
    const dirty = plan.filesToPlace + plan.linksToMake + plan.entriesToRemove
    const right = plan.filesUnchanged + plan.linksUnchanged + plan.directoriesUnchanged + plan.directoriesToMake
    journalUse(machine.roots, {
      nowMs,
      version: `holo-peer ${VERSION}`,
      controller: options.controller,
      space: options.space,
      metaPath: meta,
      catalogPath: catalogPath(machine.roots, catalog.name),
      blueprint: catalog.catalog.blueprint,
      startedS: startedMs / 1000,
      restoredS: systemClock.nowMs() / 1000,
      dirtyness: dirtyness(dirty, dirty + right),
    })
  }

  /** The clock's zero is the start of the process. */
  #firstByteMs(): number | undefined {
    const { firstByteMs } = this.#fetched
    return firstByteMs === undefined || this.#fetchStartedMs === undefined
      ? undefined
      : this.#fetchStartedMs + firstByteMs
  }

  #timeline(restored: RestoreReport | undefined, foundMs: number, plannedMs: number, nowMs: number): StageTime[] {
    const { startedMs } = this.#given
    const fetchedMs = plannedMs + this.#fetchMs
    const { prepare = 0, place = 0 } = restored?.ms ?? {}
    const ends: [StageTime['stage'], number][] = [
      ['start', startedMs],
      ['find', foundMs],
      ['plan', plannedMs],
      ['fetch', fetchedMs],
      ['prepare', fetchedMs + prepare],
      ['place', fetchedMs + prepare + place],
      ['note', nowMs],
    ]
    return ends
      .map(([stage, untilMs], index) => ({ stage, fromMs: ends[index - 1]?.[1] ?? 0, untilMs }))
      .filter(({ fromMs, untilMs }) => untilMs > fromMs)
  }

  #outcome(
    plan: PlanTotals,
    restored: RestoreReport | undefined,
    missing: BlobSum,
    foundMs: number,
    plannedMs: number,
  ): RestoreOutcome {
    const { catalog, options, startedMs } = this.#given
    const nowMs = systemClock.nowMs()
    return {
      blueprint: catalog.catalog.blueprint,
      catalog: catalog.name,
      source: catalog.source,
      published: publishedView(catalog.publication),
      space: { name: options.space, controller: this.#controller, directory: this.#name, path: this.#path },
      dryRun: options.dryRun,
      fast: options.fast || this.#given.holotree.modes.fast,
      plan,
      missing,
      fetched: this.#fetched,
      restored,
      quarantined: this.#quarantined,
      firstByteMs: this.#firstByteMs(),
      timeline: this.#timeline(restored, foundMs, plannedMs, nowMs),
      ms: {
        find: foundMs - startedMs,
        plan: plannedMs - foundMs,
        fetch: this.#fetchMs,
        apply: options.dryRun ? 0 : nowMs - plannedMs - this.#fetchMs,
        total: nowMs - startedMs,
      },
    }
  }
}

function lyingCatalog(name: string, { digest, sizeBytes }: BlobRef): HoloError {
  return new HoloError(`Catalog ${name} gives blob ${digest} a size of ${sizeBytes} bytes, which it does not have`, {
    code: 'catalog-invalid',
    blame: 'source',
    hint: 'take the environment from another source, or let rcc record it again',
  })
}
