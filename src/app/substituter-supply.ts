/** One configured substituter as a supply: asked, held against the trust that it enjoys, and fetched from. */
import { systemClock } from '../base/clock.ts'
import { HoloError } from '../base/errors.ts'
import { FETCH_SILENCE_MS } from '../base/limits.ts'
import type { SubstituterSetting } from '../config/settings.ts'
import type { Library } from '../store/library.ts'
import { fetchBlobs } from '../substituters/fetch-blobs.ts'
import type { Guarded } from '../substituters/guarded.ts'
import { verifyCatalog } from '../trust/verify-catalog.ts'
import type { OrderedEntry } from './ordered-supply.ts'

/** @param setting what is said of it; without `trusted: true` it is not asked at all, since nothing is signed yet */
export function substituterSupply(source: Guarded, { trusted }: SubstituterSetting, library: Library): OrderedEntry {
  return {
    label: source.name,
    final: false,
    budgetMs: () => source.budgetMs(),
    silenceMs: FETCH_SILENCE_MS,
    wasSlow: () => source.wasSlow(),
    refresh: () => source.refresh(),
    condition: () => source.condition(),
    find: async (name, _local, signal) => {
      if (!trusted) throw untrusted(source.name)
      const offered = await source.find(name, signal)
      if (offered === undefined) return undefined
      try {
        const { stored } = offered
        return { catalog: verifyCatalog({ name, stored, source: source.name, announced: undefined }), warnings: [] }
      } catch (error) {
        if (error instanceof HoloError && error.blame === 'source') source.blame(error)
        throw error
      }
    },
    fetch: async (verified, totals, onProgress, signal) => {
      if (!trusted) throw untrusted(source.name)
      const missing = await library.missing(verified.catalog, signal)
      const blobs = totals.blobs + missing.length
      const startedMs = systemClock.nowMs()
      const bySource = () => totals.bySource.get(source.name) ?? 0
      try {
        await fetchBlobs(
          source,
          verified,
          missing,
          {
            store: library,
            onBytes: (bytes) => {
              totals.firstByteMs ??= systemClock.nowMs() - startedMs
              totals.wireBytes += bytes
            },
            onBlob: ({ sizeBytes }) => {
              totals.blobs++
              totals.blobBytes += sizeBytes
              totals.bySource.set(source.name, bySource() + 1)
              onProgress(totals, blobs)
            },
          },
          signal,
        )
      } catch (error) {
        if (error instanceof HoloError && error.code === 'blob-corrupt') {
          totals.dropped.set(source.name, error)
          source.blame(error)
        }
        throw error
      } finally {
        library.notes.flush()
      }
      if ((await library.complete(verified.name, signal)) === undefined) await library.putCatalog(verified, signal)
    },
    [Symbol.asyncDispose]: () => source[Symbol.asyncDispose](),
  }
}

function untrusted(name: string): HoloError {
  return new HoloError(`${name} is not asked, since nothing says that what it offers can be trusted`, {
    code: 'source-untrusted',
    blame: 'trust',
    hint: 'set `trusted: true` at that entry of holo-peer.substituters if you trust whoever writes there as you trust yourself',
  })
}
