/**
 * Blobs of a catalog that nobody in the fleet holds, from machines that hold others: versions of an environment share
 * most of theirs, and what comes over the LAN need not come from afar.
 */
import { deadline } from '../base/clock.ts'
import { HoloError } from '../base/errors.ts'
import { PEERS_BUDGET_MS } from '../base/substituter-limits.ts'
import type { Digest } from '../blob/digest.ts'
import { FetchIncompleteError, type FetchTotals, fetchAll, type SourceSet } from '../blob/fetch-all.ts'
import type { BlobRef, BlobSource, BlobStore } from '../blob/source.ts'

export interface SharedFetch {
  readonly store: BlobStore
  readonly sources: SourceSet
  readonly totals: FetchTotals
  readonly onProgress: (totals: FetchTotals) => void
}

/**
 * Ask every source which of `missing` it has, and fetch those. What does not come is left to whoever is asked next.
 *
 * @throws {HoloError} blame `host`; `signal.reason`
 */
export async function fetchShared(
  missing: readonly BlobRef[],
  { store, sources, totals, onProgress }: SharedFetch,
  signal: AbortSignal,
): Promise<void> {
  const digests = missing.map(({ digest }) => digest)
  const shared = new Set<Digest>()
  const limit = deadline(PEERS_BUDGET_MS, new Error('they have not answered in time'), signal)
  const ask = async (source: BlobSource): Promise<void> => {
    try {
      for (const digest of await source.has(digests, limit.signal)) shared.add(digest)
    } catch (error) {
      signal.throwIfAborted()
      if (!limit.signal.aborted && !(error instanceof HoloError && error.blame === 'source')) throw error
    }
  }
  try {
    await Promise.all(sources.list().map(ask))
  } finally {
    limit.clear()
  }
  const wanted = missing.filter(({ digest }) => shared.has(digest))
  // Somebody else is asked next, so nobody waits for machines that may still come.
  const present: SourceSet = {
    graceMs: 0,
    list: () => sources.list(),
    subscribe: (listener) => sources.subscribe(listener),
    drop: (source, error) => sources.drop(source, error),
  }
  try {
    await fetchAll(wanted, { store, sources: present, onProgress }, totals, signal)
  } catch (error) {
    if (!(error instanceof FetchIncompleteError)) throw error
  }
}
