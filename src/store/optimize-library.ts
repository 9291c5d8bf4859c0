/**
 * Turn all blobs of a library into raw ones, or back into gzip, while rcc and a daemon use it.
 *
 * Each blob is replaced by rename, so readers take no harm. rcc's global lock is held, since an import of rcc writes
 * blobs in place, but only for short turns: who waits for it, a restore of rcc, gets it between two of them. What is
 * done stays done whatever happens; a second run goes on. Knows nothing of catalogs.
 */
import { type Clock, systemClock } from '../base/clock.ts'
import { mapBounded } from '../base/concurrency.ts'
import type { HeldLock } from '../base/held-lock.ts'
import { LOCK_WAIT_MS, RECODE_BATCH_BLOBS, RECODE_PAUSE_MS, RECODE_TURN_MS } from '../base/limits.ts'
import { type Digest, isSha256, type Sha256Digest } from '../blob/digest.ts'
import type { Compression } from '../blob/gzip.ts'
import { globalLockPath } from '../catalog/layout.ts'
import { blobNames } from './blob-names.ts'
import type { Library } from './library.ts'
import { acquireLock, type LockNote } from './lock.ts'
import { type RecodedBlob, RecodeLane } from './recode-lane.ts'

/** Bytes are those of files. */
export interface OptimizeTotals {
  converted: number
  /** In the other form for good: the content begins like gzip. */
  kept: number
  already: number
  /** Gone before it was their turn. */
  absent: number
  /** Named by SipHash: rcc reads them raw, and nothing is gained. */
  foreign: number
  bytesBefore: number
  bytesAfter: number
  readonly corrupt: CorruptBlob[]
}

export interface CorruptBlob {
  readonly digest: Digest
  /** As the end of the sentence `the blob …`. */
  readonly fault: string
  /** Where it is now; undefined where nothing was to be changed. */
  readonly quarantined: string | undefined
}

/** Totals of nothing yet. */
export function noTotals(): OptimizeTotals {
  return { converted: 0, kept: 0, already: 0, absent: 0, foreign: 0, bytesBefore: 0, bytesAfter: 0, corrupt: [] }
}

export interface OptimizeTask {
  readonly to: Compression
  /** False to find out everything and change nothing; then no lock is taken either. */
  readonly write: boolean
  readonly note: LockNote
  readonly onLockWait: (holders: readonly string[]) => void
  /** @param done blobs of `all` */
  readonly onProgress: (totals: OptimizeTotals, done: number, all: number) => void
  /** How long the lock is held at a stretch. */
  readonly turnMs?: number
  readonly clock?: Clock
}

/** One more than this gains nothing on two cores, and the disk is the limit on more. */
const LANES = 2

/**
 * @param totals what the call does is added to it, also when it throws
 * @throws {HoloError} blame `host`: disk full, no permission; blame `locked`: rcc kept its lock for too long
 * @throws `signal.reason`, unwrapped, once `signal` aborts
 */
export async function optimizeLibrary(
  library: Library,
  task: OptimizeTask,
  totals: OptimizeTotals,
  signal: AbortSignal,
): Promise<void> {
  const { to, write } = task
  const clock = task.clock ?? systemClock
  if (write) library.sweep(clock.wallMs())
  const all = blobNames(library.roots)
  const digests = all.filter(isSha256)
  totals.foreign += all.length - digests.length
  const batches = batchesOf(digests)
  const lanes = batches.slice(0, LANES).map(() => new RecodeLane({ roots: library.roots, to, write }))
  await using _ended = { [Symbol.asyncDispose]: () => disposeAll(lanes) }
  let next = 0
  let done = 0
  const onDone = (results: readonly RecodedBlob[]) => {
    for (const result of results)
      addTo(totals, result, (digest) => (write ? library.quarantine(digest, clock.wallMs()) : undefined))
    done += results.length
    task.onProgress(totals, done, digests.length)
  }
  const workUntil = async (untilMs: number, lane: RecodeLane) => {
    try {
      for (;;) {
        const batch = batches[next++]
        if (batch !== undefined) await lane.recode(batch, onDone, signal)
        if (batch === undefined || clock.nowMs() >= untilMs) return
      }
    } catch (error) {
      // What stops one lane, a full disk, would stop the other.
      next = batches.length
      throw error
    }
  }
  const turn = async (untilMs: number) => {
    await mapBounded(lanes, lanes.length, (lane) => workUntil(untilMs, lane), signal)
  }
  // A look needs no lock, and so no turns. Awaited here: the lanes have to outlive it.
  if (!write) return await turn(Number.POSITIVE_INFINITY)
  while (next < batches.length) {
    {
      await using _lock = await lockOf(library, task, signal)
      await turn(clock.nowMs() + (task.turnMs ?? RECODE_TURN_MS))
    }
    if (next < batches.length) await clock.sleep(RECODE_PAUSE_MS, signal)
  }
}

function lockOf(library: Library, { note, onLockWait, clock }: OptimizeTask, signal: AbortSignal): Promise<HeldLock> {
  const { shared } = library.roots
  const options = { waitMs: LOCK_WAIT_MS, shared, note, onWait: onLockWait, ...(clock === undefined ? {} : { clock }) }
  return acquireLock(globalLockPath(library.roots), options, signal)
}

function batchesOf(digests: readonly Sha256Digest[]): Sha256Digest[][] {
  const batches: Sha256Digest[][] = []
  for (let from = 0; from < digests.length; from += RECODE_BATCH_BLOBS)
    batches.push(digests.slice(from, from + RECODE_BATCH_BLOBS))
  return batches
}

function addTo(
  totals: OptimizeTotals,
  { digest, recoded }: RecodedBlob,
  quarantine: (digest: Digest) => string | undefined,
): void {
  if (recoded.outcome === 'corrupt')
    totals.corrupt.push({ digest, fault: recoded.fault, quarantined: quarantine(digest) })
  else totals[recoded.outcome]++
  if (recoded.outcome === 'absent') return
  totals.bytesBefore += recoded.bytesBefore
  // A corrupt blob leaves the library.
  if (recoded.outcome !== 'corrupt') totals.bytesAfter += recoded.bytesAfter
}

async function disposeAll(lanes: readonly RecodeLane[]): Promise<void> {
  await Promise.all(lanes.map((lane) => lane[Symbol.asyncDispose]()))
}
