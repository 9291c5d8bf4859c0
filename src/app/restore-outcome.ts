/** What a restore is asked, tells on the way, and reports in the end. */
import type { FetchTotals } from '../blob/fetch-all.ts'
import { STRATEGIES, type Strategy, VERIFICATIONS, type Verification } from '../catalog/strategies.ts'
import type { CatalogName } from '../catalog/tree.ts'
import type { PlanTotals } from '../restore/plan.ts'
import type { RestoreReport } from '../restore/report.ts'
import type { PublishedView } from './published-view.ts'
import type { FetchProgress } from './supply.ts'

export { STRATEGIES, type Strategy, VERIFICATIONS, type Verification }

export interface RestoreOptions {
  readonly robotFile: string
  readonly space: string
  readonly controller: string
  readonly dryRun: boolean
  readonly offline: boolean
  /** Let a daemon ask again what it remembers of its substituters. */
  readonly refresh: boolean
  /** Take an older catalog of a key for a newer one that it has signed. */
  readonly allowRollback: boolean
  /** Undefined: as the settings say. */
  readonly strategy: Strategy | undefined
  readonly verification: Verification | undefined
  /** Verification `trusted`, and no output but the result; also where RCC_FAST_MODE says so. */
  readonly fast: boolean
  /** Hash every file of the space that looks right. */
  readonly deep: boolean
  /** Leave what the catalog does not have. */
  readonly keepExtra: boolean
}

/** How the caller hears of what takes long. */
export interface RestoreEvents {
  readonly onFetch: FetchProgress
  readonly onWarning: (text: string) => void
  readonly onLockWait: (lock: string, holders: readonly string[]) => void
}

export interface RestoreOutcome {
  readonly blueprint: string
  readonly catalog: CatalogName
  /** Who the catalog came from: `library`, the path of a hololib.zip, or a peer. */
  readonly source: string
  /** On whose word it was used. */
  readonly published: PublishedView
  readonly space: {
    readonly name: string
    readonly controller: string
    readonly directory: string
    readonly path: string
  }
  readonly dryRun: boolean
  /** The user wants the result only. */
  readonly fast: boolean
  /** What the space lacked, as planned before anything was done. */
  readonly plan: PlanTotals
  /** Blobs that the library lacked, by then. */
  readonly missing: { readonly blobs: number; readonly bytes: number }
  readonly fetched: FetchTotals
  /** Undefined in a dry run. */
  readonly restored: RestoreReport | undefined
  /** Blobs of the library whose bytes proved wrong: where they lie now. */
  readonly quarantined: readonly string[]
  /** Milliseconds from the start of this process to the first byte of a blob, where one was fetched. */
  readonly firstByteMs: number | undefined
  /** When each stage began and ended, in milliseconds since the process began; stages that did not happen are left out. */
  readonly timeline: readonly StageTime[]
  /** Milliseconds of each stage, and of the whole. */
  readonly ms: {
    readonly find: number
    readonly plan: number
    readonly fetch: number
    readonly apply: number
    readonly total: number
  }
}

export interface StageTime {
  readonly stage: 'start' | 'find' | 'plan' | 'fetch' | 'prepare' | 'place' | 'note'
  readonly fromMs: number
  readonly untilMs: number
}

/** Two rounds of one restore; what the first found unchanged is what was unchanged. */
export function sumOfReports(first: RestoreReport, second: RestoreReport): RestoreReport {
  const ms = { ...first.ms }
  for (const stage of Object.keys(ms) as (keyof typeof ms)[]) ms[stage] += second.ms[stage]
  const methods = structuredClone(first.methods)
  for (const [method, { files, bytes }] of Object.entries(second.methods)) {
    const sum = methods[method as keyof typeof methods]
    sum.files += files
    sum.bytes += bytes
  }
  const refusals = { ...first.refusals }
  for (const [name, count] of Object.entries(second.refusals)) refusals[name] = (refusals[name] ?? 0) + count
  return {
    strategy: first.strategy,
    filesPlaced: first.filesPlaced + second.filesPlaced,
    bytes: first.bytes + second.bytes,
    methods,
    relocated: first.relocated + second.relocated,
    linksMade: first.linksMade + second.linksMade,
    directoriesMade: first.directoriesMade + second.directoriesMade,
    removed: first.removed + second.removed,
    metaWritten: first.metaWritten || second.metaWritten,
    unchanged: first.unchanged,
    refusals,
    // The second round chooses anew for what the first left over: what it says of a file is said already.
    exceptions: first.exceptions,
    exceptionPaths: first.exceptionPaths,
    limits: [...new Set([...first.limits, ...second.limits])],
    ms,
  }
}
