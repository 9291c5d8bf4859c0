/**
 * Carry out a restore plan: the only step that writes to a space.
 *
 * Guarantees that nothing appears under its final name that is not verified and complete, that nothing is written
 * through a link, and that `.meta` says what stands there only once it does. Killed at any instant, the next
 * inspect and plan repair the space. What is placed is not flushed to the disk: after a power cut, files that did not
 * reach it show another size or time.
 */
import * as fs from 'node:fs'
import { dirname, join } from 'node:path'
import { type Clock, systemClock } from '../base/clock.ts'
import { HoloError, hostError } from '../base/errors.ts'
import type { HeldLock } from '../base/held-lock.ts'
import type { LocalBlobs } from '../blob/local.ts'
import type { BlobRef } from '../blob/source.ts'
import { PRIVATE_DIRECTORY_MODE, TEMPORARY_PREFIX } from '../catalog/layout.ts'
import { RESTORED_TIME_S } from './file-mode.ts'
import { Placer } from './place.ts'
import { type DirectoryStep, isPristine, type PlanTotals, type RestorePlan } from './plan.ts'
import { removeTree, removeUndecodable } from './remove-tree.ts'
import { markRestoring, writeMeta } from './write-meta.ts'

/** What was done; `unchanged` counts are those of the plan. */
export interface RestoreReport {
  filesPlaced: number
  /** Bytes of the placed files, however they came there. */
  bytes: number
  /** Of the files placed. */
  cloned: number
  copied: number
  empty: number
  relocated: number
  linksMade: number
  directoriesMade: number
  removed: number
  metaWritten: boolean
  unchanged: { directories: number; links: number; files: number }
  /** Milliseconds per stage. */
  ms: { prepare: number; place: number; meta: number; total: number }
}

/** Blobs of the library that could not be used; everything else of the plan was done, but `.meta` was not written. */
export class BlobsUnusableError extends HoloError {
  constructor(
    /** Their bytes are wrong: to be quarantined and fetched again. */
    readonly corrupt: readonly BlobRef[],
    /** They are not there: to be fetched. */
    readonly absent: readonly BlobRef[],
    readonly report: RestoreReport,
  ) {
    const first = corrupt[0] ?? absent[0]
    const count = corrupt.length + absent.length
    const others = count > 1 ? ` and ${count - 1} more` : ''
    const how = corrupt.length > 0 ? 'corrupt in' : 'missing from'
    super(`Blob ${first?.digest}${others} ${count === 1 ? 'is' : 'are'} ${how} the local library`, {
      code: 'local-blob-unusable',
      blame: 'source',
      hint: 'run the same command again while a peer that holds this environment is up',
    })
    this.name = 'BlobsUnusableError'
  }
}

export interface ApplyOptions {
  readonly blobs: LocalBlobs
  /** Proof that the caller holds the lock of the plan's space. */
  readonly lock: HeldLock
  /** Called after each directory with files. */
  readonly onProgress?: (report: Readonly<RestoreReport>) => void
  readonly clock?: Clock
}

/**
 * Make the space what `plan` says.
 *
 * @throws {BlobsUnusableError} some local blobs are corrupt or absent; plan again after they were fetched
 * @throws {HoloError} blame `host`: the disk is full, a permission is missing; what was placed stays, and the same
 *   call after a new plan goes on from there
 * @throws `signal.reason`, unwrapped, once `signal` aborts; looked at between files
 */
export async function applyPlan(plan: RestorePlan, options: ApplyOptions, signal: AbortSignal): Promise<RestoreReport> {
  if (options.lock.path !== plan.paths.lock) {
    throw new TypeError(`${plan.paths.lock} must be held, not ${options.lock.path}`)
  }
  signal.throwIfAborted()
  const report = emptyReport(plan.totals)
  if (isPristine(plan)) return report
  const clock = options.clock ?? systemClock
  const startedMs = clock.nowMs()
  markRestoring(plan.paths)
  prepareDirectories(plan, report)
  const preparedMs = clock.nowMs()
  report.ms.prepare = preparedMs - startedMs
  const unusable = await new Application(plan, options, report).run(signal)
  for (const step of [...plan.steps].reverse()) if (step.settle) settle(join(plan.paths.directory, step.path))
  const placedMs = clock.nowMs()
  report.ms.place = placedMs - preparedMs
  report.ms.total = placedMs - startedMs
  if (unusable.corrupt.length + unusable.absent.length > 0) {
    throw new BlobsUnusableError(unusable.corrupt, unusable.absent, report)
  }
  if (plan.writeMeta) {
    writeMeta(plan.paths, plan.note)
    report.metaWritten = true
  }
  report.ms.meta = clock.nowMs() - placedMs
  report.ms.total = clock.nowMs() - startedMs
  return report
}

/** Clear what stands in the way and make directories, parents first, so that a failure shows before any copying. */
function prepareDirectories({ paths, clearRoot, steps }: RestorePlan, report: RestoreReport): void {
  if (clearRoot) removeTree(paths.directory)
  makeDirectory(paths.directory, true)
  const real = fs.realpathSync(paths.directory)
  for (const step of steps) {
    const directory = join(paths.directory, step.path)
    if (step.make) {
      if (step.path !== '') {
        checkReal(real, dirname(step.path), dirname(directory))
        makeDirectory(directory, false)
      }
      report.directoriesMade++
    }
    if (step.remove.length > 0 || step.removeUndecodable) {
      checkReal(real, step.path, directory)
      for (const name of step.remove) removeTree(join(directory, name))
      report.removed += step.remove.length
      if (step.removeUndecodable) removeUndecodable(directory)
    }
  }
}

class Application {
  readonly #placer: Placer
  readonly #corrupt = new Map<string, BlobRef>()
  readonly #absent = new Map<string, BlobRef>()

  constructor(
    private readonly plan: RestorePlan,
    private readonly options: ApplyOptions,
    private readonly report: RestoreReport,
  ) {
    this.#placer = new Placer(options.blobs, plan.spaceName)
  }

  async run(signal: AbortSignal): Promise<{ corrupt: BlobRef[]; absent: BlobRef[] }> {
    const real = this.plan.steps.length === 0 ? '' : fs.realpathSync(this.plan.paths.directory)
    for (const step of this.plan.steps) {
      if (step.links.length + step.files.length === 0) continue
      const directory = join(this.plan.paths.directory, step.path)
      checkReal(real, step.path, directory)
      for (const { name, target } of step.links) {
        signal.throwIfAborted()
        makeLink(directory, name, target)
        this.report.linksMade++
      }
      await this.#placeFiles(step, directory, signal)
      this.options.onProgress?.(this.report)
      // The work above is synchronous: sockets and signals get their turn here.
      await new Promise((resolve) => setImmediate(resolve))
    }
    return { corrupt: [...this.#corrupt.values()], absent: [...this.#absent.values()] }
  }

  async #placeFiles(step: DirectoryStep, directory: string, signal: AbortSignal): Promise<void> {
    const { report } = this
    for (const file of step.files) {
      signal.throwIfAborted()
      const { digest, sizeBytes } = file
      const placed = await this.#placer.place(file, directory, signal)
      if (placed === 'corrupt' || placed === 'absent') {
        const list = placed === 'corrupt' ? this.#corrupt : this.#absent
        list.set(digest, { digest, sizeBytes })
        continue
      }
      report[placed]++
      report.filesPlaced++
      report.bytes += sizeBytes
      if (file.rewrite.length > 0) report.relocated++
    }
  }
}

/**
 * A directory that the plan takes for real must still be one, and so must all above it up to the space: a robot that
 * runs in the space could have put a link there since.
 */
function checkReal(realRoot: string, path: string, directory: string): void {
  const expected = path === '' || path === '.' ? realRoot : `${realRoot}/${path}`
  let actual: string
  try {
    actual = fs.realpathSync(directory)
  } catch (error) {
    throw hostError(`enter ${directory}`, error)
  }
  if (actual === expected) return
  throw new HoloError(`${directory} became a link to ${actual} while it was restored`, {
    code: 'space-changed',
    blame: 'host',
    hint: 'stop what runs in this space, then run the same command again',
  })
}

function makeDirectory(directory: string, recursive: boolean): void {
  try {
    fs.mkdirSync(directory, { recursive, mode: PRIVATE_DIRECTORY_MODE })
  } catch (error) {
    throw hostError(`make the directory ${directory}`, error)
  }
}

/** Make a link, or replace a file or link of that name by it in one step. */
function makeLink(directory: string, name: string, target: string): void {
  const temporary = join(directory, `${TEMPORARY_PREFIX}${process.pid}-link`)
  try {
    fs.symlinkSync(target, temporary)
    fs.renameSync(temporary, join(directory, name))
  } catch (error) {
    fs.rmSync(temporary, { force: true })
    throw hostError(`make the link ${join(directory, name)}`, error)
  }
}

function settle(directory: string): void {
  try {
    fs.utimesSync(directory, RESTORED_TIME_S, RESTORED_TIME_S)
  } catch (error) {
    throw hostError(`set the time of ${directory}`, error)
  }
}

function emptyReport(totals: PlanTotals): RestoreReport {
  return {
    filesPlaced: 0,
    bytes: 0,
    cloned: 0,
    copied: 0,
    empty: 0,
    relocated: 0,
    linksMade: 0,
    directoriesMade: 0,
    removed: 0,
    metaWritten: false,
    unchanged: {
      directories: totals.directoriesUnchanged,
      links: totals.linksUnchanged,
      files: totals.filesUnchanged,
    },
    ms: { prepare: 0, place: 0, meta: 0, total: 0 },
  }
}
