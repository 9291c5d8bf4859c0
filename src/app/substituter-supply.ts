/** One configured substituter as an entry of the list: asked, judged, and fetched from. */
import { systemClock } from '../base/clock.ts'
import { HoloError } from '../base/errors.ts'
import { FETCH_SILENCE_MS } from '../base/substituter-limits.ts'
import type { SubstituterSetting } from '../config/settings.ts'
import type { Library } from '../store/library.ts'
import { fetchBlobs } from '../substituters/fetch-blobs.ts'
import type { Guarded } from '../substituters/guarded.ts'
import { parseKey } from '../trust/key-text.ts'
import { signatureLines } from '../trust/signature-json.ts'
import { verifyCatalog } from '../trust/verify-catalog.ts'
import { sinkFor, sinkOf } from './lent-sink.ts'
import type { Machine } from './machine.ts'
import type { OrderedEntry } from './ordered-supply.ts'
import { packAhead } from './pack-ahead.ts'
import { passOn } from './passing-sink.ts'
import type { PieceExchange } from './piece-exchange.ts'
import { settleCatalog } from './settle-catalog.ts'
import { offerJudge } from './trust.ts'

export interface SubstituterPlace {
  readonly machine: Machine
  readonly library: Library
  /** Undefined where nobody gets from here what comes here. */
  readonly exchange: PieceExchange | undefined
  /** Whether one machine of the fleet asks it for all of them. */
  readonly isWan: boolean
}

/** @param setting what is said of it: whether it is trusted, and whose signatures count for it */
export function substituterSupply(
  source: Guarded,
  { trusted, trustedKeys }: SubstituterSetting,
  { machine, library, exchange, isWan }: SubstituterPlace,
): OrderedEntry {
  const sourceKeys = trustedKeys.map(parseKey).filter((key) => key !== undefined)
  return {
    label: source.name,
    wan: isWan ? 'pays' : 'never',
    budgetMs: () => source.budgetMs(),
    silenceMs: FETCH_SILENCE_MS,
    wasSlow: () => source.wasSlow(),
    refresh: () => source.refresh(),
    condition: () => source.condition(),
    find: async (name, _local, trust, signal) => {
      const offered = await source.find(name, signal)
      if (offered === undefined) return undefined
      const { stored, signatures } = offered
      const judge = await offerJudge(machine, { ...trust, sourceKeys })
      const lines = signatures === undefined ? [] : signatureLines(signatures)
      const found = { name, stored, source: source.name, announced: undefined }
      try {
        const judged = judge({ kind: 'substituter', trusted }, lines)
        return { catalog: verifyCatalog({ ...found, judge: judged }), warnings: [] }
      } catch (error) {
        if (error instanceof HoloError && error.blame === 'source') source.blame(error)
        throw error
      }
    },
    fetch: async ({ catalog: verified, totals, onProgress, lend }, signal) => {
      const missing = await library.missing(verified.catalog, signal)
      if (missing.length === 0) return await settleCatalog(library, verified, signal)
      const blobs = totals.blobs + missing.length
      const startedMs = systemClock.nowMs()
      const lent = sinkFor(lend, () => sinkOf(library, verified, exchange))
      const { sink } = lent
      const ahead = packAhead(verified, library.packed, missing.length)
      let ended: PromiseLike<void> | undefined
      using passing = passOn(exchange, verified, sink, { missing, source: source.name, signal })
      try {
        try {
          await fetchBlobs(
            source,
            verified,
            missing,
            {
              sink: passing?.sink ?? sink,
              onTable: passing?.onTable,
              pieces: sink.pieces,
              isHere: (piece) => sink.has(piece),
              lacking: (refs, inner) => library.missingOf(refs, inner),
              onBytes: (bytes) => {
                totals.firstByteMs ??= systemClock.nowMs() - startedMs
                totals.wireBytes += bytes
              },
              onBlobs: (count, bytes) => {
                totals.blobs += count
                totals.blobBytes += bytes
                totals.bySource.set(source.name, (totals.bySource.get(source.name) ?? 0) + count)
                onProgress(totals, blobs)
                ahead(blobs - totals.blobs)
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
          ended = lent[Symbol.asyncDispose]()
        }
        await settleCatalog(library, verified, signal)
        passing?.handOver()
      } finally {
        await ended
      }
    },
    [Symbol.asyncDispose]: () => source[Symbol.asyncDispose](),
  }
}
