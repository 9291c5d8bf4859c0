/**
 * Bring one verified environment into the library: blobs first, the catalog last. The daemon and a command that has no
 * daemon do it by the same steps.
 */
import { type FetchTotals, fetchAll, type SourceSet } from '../blob/fetch-all.ts'
import type { Library } from '../store/library.ts'
import type { VerifiedCatalog } from '../trust/verify-catalog.ts'
import type { FetchProgress } from './supply.ts'

/**
 * @param totals what the call does is added to it, also when it throws
 * @throws {HoloError} as `fetchAll` and `Library.putCatalog`
 */
export async function fetchEnvironment(
  { library, sources }: { library: Library; sources: SourceSet },
  verified: VerifiedCatalog,
  totals: FetchTotals,
  onProgress: FetchProgress,
  signal: AbortSignal,
): Promise<void> {
  const missing = await library.missing(verified.catalog, signal)
  const blobs = totals.blobs + missing.length
  onProgress(totals, blobs)
  try {
    await fetchAll(
      missing,
      { store: library, sources, onProgress: (moment) => onProgress(moment, blobs) },
      totals,
      signal,
    )
  } finally {
    library.notes.flush()
  }
  // A usable catalog that is here wins over the one that was found; a torn one gives way.
  if ((await library.complete(verified.name, signal)) === undefined) await library.putCatalog(verified, signal)
}
