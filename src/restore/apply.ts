/**
 * Carry out a restore plan: the only step that writes to a space.
 *
 * Guarantees that no byte of a blob that is not known to be right gets into the space, that nothing is written through a
 * link, and that `.meta` says what stands there only once it does. Killed at any instant, the next inspect and plan
 * repair the space. What is placed is not flushed to the disk: after a power cut, files that did not reach it show
 * another size or time.
 */
import { type Clock, systemClock } from '../base/clock.ts'
import { HoloError } from '../base/errors.ts'
import type { HeldLock } from '../base/held-lock.ts'
import type { BlobRef } from '../blob/source.ts'
import { nativeRun } from './native-run.ts'
import { isPristine, type RestorePlan } from './plan.ts'
import { portableRun } from './portable-run.ts'
import { probeReflink } from './probe-reflink.ts'
import { emptyReport, type RestoreReport } from './report.ts'
import type { Placing, PlacingRun, WayOf } from './run.ts'
import { type StrategyOptions, WayChooser } from './strategy.ts'
import { markRestoring, writeMeta } from './write-meta.ts'

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

export interface ApplyOptions extends Placing {
  readonly strategy: StrategyOptions
  /** Proof that the caller holds the lock of the plan's space. */
  readonly lock: HeldLock
  /** `native`: by system calls, Linux only, and only for blobs that are files; default where that is possible. */
  readonly engine?: 'native' | 'portable'
  readonly clock?: Clock
}

/**
 * Make the space what `plan` says.
 *
 * @throws {BlobsUnusableError} some local blobs are corrupt or absent; plan again after they were fetched
 * @throws {HoloError} blame `host`: the disk is full, a permission is missing; what was placed stays, and the same
 *   call after a new plan goes on from there; code `reflink-refused`: strategy `reflink` is not possible here
 * @throws `signal.reason`, unwrapped, once `signal` aborts; looked at between files
 */
export async function applyPlan(plan: RestorePlan, options: ApplyOptions, signal: AbortSignal): Promise<RestoreReport> {
  if (options.lock.path !== plan.paths.lock) {
    throw new TypeError(`${plan.paths.lock} must be held, not ${options.lock.path}`)
  }
  signal.throwIfAborted()
  const report = emptyReport(plan.totals, options.strategy.strategy)
  if (isPristine(plan)) return report
  const clock = options.clock ?? systemClock
  const startedMs = clock.nowMs()
  if (options.strategy.strategy === 'reflink') probeReflink(plan, options.blobs)
  await using run = startRun(plan, wayChoice(options.strategy, report), options, report)
  markRestoring(plan.paths)
  await run.prepare(signal)
  const preparedMs = clock.nowMs()
  report.ms.prepare = preparedMs - startedMs
  const unusable = await run.place(signal)
  run.settle()
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

function startRun(plan: RestorePlan, wayOf: WayOf, options: ApplyOptions, report: RestoreReport): PlacingRun {
  const { tree } = options.blobs
  const native = process.platform === 'linux' && options.engine !== 'portable' && tree !== undefined
  return native ? nativeRun(plan, wayOf, { ...options, tree }, report) : portableRun(plan, wayOf, options, report)
}

/** Choose for one file after another, and count the exceptions. */
function wayChoice(strategy: StrategyOptions, report: RestoreReport): WayOf {
  const chooser = new WayChooser(strategy)
  return ({ path }, file) => {
    const whole = path === '' ? file.name : `${path}/${file.name}`
    const { way, exception } = chooser.choose(whole, file)
    if (exception !== undefined) {
      report.exceptions[exception] = (report.exceptions[exception] ?? 0) + 1
      if (strategy.strategy === 'smart') report.exceptionPaths.push({ path: whole, reason: exception })
    }
    return way
  }
}
