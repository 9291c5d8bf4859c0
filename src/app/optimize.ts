/** `optimize`: the library of this machine in the form that restores fastest, or back in the one that is smallest. */
import { systemClock } from '../base/clock.ts'
import type { Compression } from '../blob/gzip.ts'
import { pidsDirectory } from '../catalog/layout.ts'
import { Library } from '../store/library.ts'
import { noTotals, type OptimizeTotals, optimizeLibrary } from '../store/optimize-library.ts'
import { userName } from '../store/user-name.ts'
import { thisMachine } from './machine.ts'

export interface OptimizeOptions {
  readonly to: Compression
  readonly dryRun: boolean
}

/** How the caller hears of what takes long. */
export interface OptimizeEvents {
  readonly onProgress: (totals: Readonly<OptimizeTotals>, done: number, all: number) => void
  readonly onLockWait: (holders: readonly string[]) => void
}

export interface OptimizeOutcome {
  readonly library: string
  readonly to: Compression
  readonly dryRun: boolean
  /** A `compress.no` library: rcc itself keeps its blobs raw, under digests of its own, and reads no others there. */
  readonly compressNo: boolean
  readonly totals: Readonly<OptimizeTotals>
  readonly ms: number
}

/**
 * Bring every blob into the wanted form; corrupt ones are moved to quarantine and listed, the rest goes on.
 *
 * @throws {HoloError} blame `host`, `locked`: as `optimizeLibrary`; what was done by then is kept
 * @throws `signal.reason`, unwrapped, once `signal` aborts
 */
export async function optimize(
  { to, dryRun }: OptimizeOptions,
  { onProgress, onLockWait }: OptimizeEvents,
  signal: AbortSignal,
): Promise<OptimizeOutcome> {
  const { roots, environment } = thisMachine()
  const library = new Library(roots)
  const compressNo = library.digestKind() === 'siphash-128'
  const totals = noTotals()
  if (!compressNo) {
    const note = {
      directory: pidsDirectory(roots),
      controller: 'user',
      space: 'optimize',
      username: userName(environment),
    }
    await optimizeLibrary(library, { to, write: !dryRun, note, onProgress, onLockWait }, totals, signal)
  }
  return { library: roots.hololib, to, dryRun, compressNo, totals, ms: systemClock.nowMs() }
}
