/**
 * Make many blobs present locally, from sources that come and go while it runs.
 *
 * Every blob goes through `ensureBlob`; this module only decides who is asked first (the source with the fewest blobs
 * under way), how many are under way in all, and what happens when a source lies: it is dropped at once, and what it
 * still owed is asked of the others, including those that appear a little later. What was fetched stays, so a call
 * that failed is continued by calling again.
 */
import { systemClock } from '../base/clock.ts'
import { mapBounded } from '../base/concurrency.ts'
import { HoloError } from '../base/errors.ts'
import { LANE_LOSSES_MAX } from '../base/lane-limits.ts'
import { BLOBS_IN_FLIGHT_MAX } from '../base/limits.ts'
import { type Attempt, BlobUnavailableError, ensureBlob } from './ensure.ts'
import type { BlobRef, BlobSource, BlobStore, BlobStream } from './source.ts'

/** The sources of one fetch: a list that changes as peers come and go. */
export interface SourceSet {
  /** How long a blob that no present source delivers waits for another source to appear; 0 where none can. */
  readonly graceMs: number
  list(): readonly BlobSource[]
  /** Call `listener` after every change of the list. @returns ends the subscription */
  subscribe(listener: () => void): () => void
  /** Never use this source again: it sent bytes that do not match their digest. */
  drop(source: string, error: HoloError): void
}

/** Running totals; the same object grows while a fetch runs. */
export interface FetchTotals {
  blobs: number
  /** Decoded bytes of the fetched blobs. */
  blobBytes: number
  /** Bytes as they came over the wire, failed attempts included. */
  wireBytes: number
  /** Milliseconds from the call to the first byte of a blob, undefined before that. */
  firstByteMs: number | undefined
  /** Blobs delivered, by source. */
  bySource: Map<string, number>
  /** Sources that were dropped because they sent wrong bytes, with the error that names blob and source. */
  dropped: Map<string, HoloError>
}

export function emptyTotals(): FetchTotals {
  return { blobs: 0, blobBytes: 0, wireBytes: 0, firstByteMs: undefined, bySource: new Map(), dropped: new Map() }
}

/** A fetch that could not complete although everything that could be fetched was. */
export class FetchIncompleteError extends HoloError {
  /** How much is missing and how much is kept, as the end of a sentence. */
  readonly rest: string

  constructor(unavailable: BlobUnavailableError, totals: FetchTotals, missing: number) {
    const liar = [...totals.dropped.values()].at(0)
    const rest = `${missing} ${missing === 1 ? 'blob is' : 'blobs are'} still missing, ${totals.blobs} fetched ones are kept`
    super(
      liar === undefined
        ? `${unavailable.message}; ${rest}`
        : `${liar.message}; it was dropped, and no other source has that blob (${rest})`,
      {
        code: liar === undefined ? unavailable.code : 'blob-corrupt',
        blame: liar === undefined ? unavailable.blame : 'source',
        hint:
          liar === undefined
            ? (unavailable.hint ?? 'run the same command again when a peer that holds this environment is up')
            : 'run `rcc holotree check` on that machine, or start a daemon on another one that holds this environment',
        cause: unavailable,
      },
    )
    this.name = 'FetchIncompleteError'
    this.rest = rest
  }
}

export interface FetchOptions {
  readonly store: BlobStore
  readonly sources: SourceSet
  /** Called after every blob. */
  readonly onProgress?: (totals: FetchTotals) => void
}

/**
 * Fetch every blob of `refs` that `store` lacks, `BLOBS_IN_FLIGHT_MAX` at a time.
 *
 * @param totals grows while the call runs, and tells what was done when it throws
 * @throws {FetchIncompleteError} some blob could not be had from any source; a source that appears within
 *   `graceMs` of a failure is still asked
 * @throws {HoloError} blame `host` when the store cannot write
 * @throws `signal.reason`, unwrapped, once `signal` aborts
 */
export async function fetchAll(
  refs: readonly BlobRef[],
  { store, sources, onProgress }: FetchOptions,
  totals: FetchTotals,
  signal: AbortSignal,
): Promise<void> {
  const startedMs = systemClock.nowMs()
  const underWay = new Map<string, number>()
  const counted = (stream: BlobStream): BlobStream => ({
    ...stream,
    bytes: countBytes(stream.bytes, totals, startedMs),
  })
  const asked = (source: BlobSource): BlobSource => ({
    name: source.name,
    has: (digests, inner) => source.has(digests, inner),
    get: async (ref, inner) => {
      const stream = await source.get(ref, inner)
      return stream === undefined ? undefined : counted(stream)
    },
  })
  // A lie is found here, where the store compares digests, before the next source is asked.
  const watched: BlobStore = {
    has: (digest) => store.has(digest),
    put: async (ref, stream, inner) => {
      try {
        await store.put(ref, stream, inner)
      } catch (error) {
        if (error instanceof HoloError && error.code === 'blob-corrupt' && !totals.dropped.has(stream.source)) {
          totals.dropped.set(stream.source, error)
          sources.drop(stream.source, error)
        }
        throw error
      }
    },
  }

  const fetchOne = async (ref: BlobRef): Promise<void> => {
    const tried = new Map<string, Attempt>()
    let lost = 0
    const untried = () =>
      sources
        .list()
        .filter(({ name }) => !tried.has(name) && !totals.dropped.has(name))
        .sort((left, right) => (underWay.get(left.name) ?? 0) - (underWay.get(right.name) ?? 0))
    for (;;) {
      const candidates = untried()
      const first = candidates[0]?.name
      if (first !== undefined) underWay.set(first, (underWay.get(first) ?? 0) + 1)
      try {
        const ensured = await ensureBlob(ref, { store: watched, sources: candidates.map(asked) }, signal)
        if (ensured.source === undefined) return
        totals.blobs++
        totals.blobBytes += ref.sizeBytes
        totals.bySource.set(ensured.source, (totals.bySource.get(ensured.source) ?? 0) + 1)
        onProgress?.(totals)
        return
      } catch (error) {
        if (!(error instanceof BlobUnavailableError)) throw error
        for (const attempt of error.attempts) {
          // Its source is well, only the way to it was lost in the middle of this blob: it may be asked again.
          if (attempt.error?.code === 'lane-lost' && ++lost <= LANE_LOSSES_MAX) continue
          tried.set(attempt.source, attempt)
        }
        const another = await appears(sources, () => untried().length > 0, signal)
        if (!another) throw new BlobUnavailableError(ref, [...tried.values()])
      } finally {
        if (first !== undefined) underWay.set(first, (underWay.get(first) ?? 1) - 1)
      }
    }
  }

  try {
    await mapBounded(refs, BLOBS_IN_FLIGHT_MAX, fetchOne, signal)
  } catch (error) {
    if (!(error instanceof BlobUnavailableError)) throw error
    throw new FetchIncompleteError(error, totals, await countMissing(refs, store))
  }
}

/** Wait until `found` holds after a change of the sources. @returns false after `graceMs` */
async function appears(sources: SourceSet, found: () => boolean, signal: AbortSignal): Promise<boolean> {
  if (found()) return true
  if (sources.graceMs === 0) return false
  const stop = new AbortController()
  const both = AbortSignal.any([stop.signal, signal])
  let unsubscribe = () => {}
  const change = new Promise<boolean>((resolve) => {
    unsubscribe = sources.subscribe(() => {
      if (found()) resolve(true)
    })
  })
  try {
    return await Promise.race([change, systemClock.sleep(sources.graceMs, both).then(() => false)])
  } finally {
    unsubscribe()
    stop.abort(new Error('the wait for another source is over'))
  }
}

async function* countBytes(
  bytes: AsyncIterable<Uint8Array>,
  totals: FetchTotals,
  startedMs: number,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of bytes) {
    totals.firstByteMs ??= systemClock.nowMs() - startedMs
    totals.wireBytes += chunk.byteLength
    yield chunk
  }
}

async function countMissing(refs: readonly BlobRef[], store: BlobStore): Promise<number> {
  let missing = 0
  for (const { digest } of refs) if (!(await store.has(digest))) missing++
  return missing
}
