/** What a restore did to a space: counts, what limited it, and how long it took. Types, and the empty value. */

import type { Strategy } from '../catalog/strategies.ts'
import type { PlanTotals } from './plan.ts'
import type { LinkException, Method } from './strategy.ts'

/** How a file that was placed came to its content. */
export type PlacedMethod = Exclude<Method, 'absent' | 'corrupt'>

export interface MethodCount {
  files: number
  bytes: number
}

export interface RestoreReport {
  /** What was used, which may be less than what was asked for: then `limits` says why. */
  strategy: Strategy
  filesPlaced: number
  /** Bytes of the placed files, however they came there. */
  bytes: number
  /**
   * Of the files placed: blocks shared, copied within the kernel, read and written, decoded from gzip, linked, or
   * nothing to fill them with.
   */
  methods: Record<PlacedMethod, MethodCount>
  relocated: number
  linksMade: number
  directoriesMade: number
  removed: number
  metaWritten: boolean
  unchanged: { directories: number; links: number; files: number }
  /** Files that a primitive was refused for, by errno: `{ EXDEV: 12 }`; `MODE`: the blob's mode is in use elsewhere. */
  refusals: Record<string, number>
  /** Files that a linking strategy did not link, by reason. */
  exceptions: Partial<Record<LinkException, number>>
  /** The same one by one, for `smart`: path relative to the space. */
  exceptionPaths: { path: string; reason: LinkException }[]
  /** What limited the strategy, one sentence each. */
  limits: string[]
  /** Milliseconds per stage. */
  ms: { prepare: number; place: number; meta: number; total: number }
}

export function emptyReport(totals: PlanTotals, strategy: Strategy): RestoreReport {
  const none = () => ({ files: 0, bytes: 0 })
  return {
    strategy,
    filesPlaced: 0,
    bytes: 0,
    methods: {
      reflinked: none(),
      copied: none(),
      written: none(),
      decoded: none(),
      hardlinked: none(),
      symlinked: none(),
      empty: none(),
    },
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
    refusals: {},
    exceptions: {},
    exceptionPaths: [],
    limits: [],
    ms: { prepare: 0, place: 0, meta: 0, total: 0 },
  }
}

/** Count one placed file. */
export function countPlaced(
  report: RestoreReport,
  method: PlacedMethod,
  { sizeBytes, rewrite }: { readonly sizeBytes: number; readonly rewrite: readonly number[] },
): void {
  report.methods[method].files++
  report.methods[method].bytes += sizeBytes
  report.filesPlaced++
  report.bytes += sizeBytes
  if (rewrite.length > 0) report.relocated++
}
