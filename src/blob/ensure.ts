/**
 * Make a blob present locally: the one fallback loop of holo-peer.
 *
 * Sources hand out unverified streams. `store.put` is where bytes become a blob: it hashes what it writes and renames
 * only on a match. Knows nothing of peers, HTTP or files.
 */
import { HoloError, messageOf } from '../base/errors.ts'
import type { BlobRef, BlobSource, BlobStore } from './source.ts'

/** One source that was asked: it missed, or it failed with `error`. */
export interface Attempt {
  readonly source: string
  readonly error?: HoloError
}

/** What `ensureBlob` did. `failed` names the sources that were passed over because of an error, in order. */
export interface Ensured {
  /** The source that delivered, undefined where the store had the blob already. */
  readonly source: string | undefined
  readonly failed: readonly Attempt[]
}

export class BlobUnavailableError extends HoloError {
  constructor(
    readonly ref: BlobRef,
    readonly attempts: readonly Attempt[],
  ) {
    const reasons = attempts.map(
      ({ source, error }) => `${source}: ${error === undefined ? 'does not have it' : messageOf(error)}`,
    )
    const failed = attempts.some(({ error }) => error !== undefined)
    super(
      `Blob ${ref.digest} could not be fetched from any source (${reasons.length === 0 ? 'none to ask' : reasons.join('; ')})`,
      {
        code: failed ? 'sources-failed' : 'blob-nowhere',
        blame: failed ? 'source' : 'missing',
        hint: 'start a daemon on a machine that holds this environment, or build it here with rcc',
      },
    )
    this.name = 'BlobUnavailableError'
  }
}

/**
 * Make `store` hold the verified blob `ref`, fetching it if absent.
 *
 * Sources are asked in the order given. A miss, or an error that blames the source, moves on; any other error ends
 * the call. A fallback starts the blob anew: two half-streams of different sources are never spliced.
 *
 * @throws {BlobUnavailableError} every source missed or failed
 * @throws `signal.reason`, unwrapped, once `signal` aborts
 */
export async function ensureBlob(
  ref: BlobRef,
  { store, sources }: { store: BlobStore; sources: readonly BlobSource[] },
  signal: AbortSignal,
): Promise<Ensured> {
  if (await store.has(ref.digest)) return { source: undefined, failed: [] }

  const attempts: Attempt[] = []
  for (const source of sources) {
    try {
      const stream = await source.get(ref, signal)
      if (stream === undefined) {
        attempts.push({ source: source.name })
        continue
      }
      await store.put(ref, stream, signal)
      return { source: source.name, failed: attempts.filter(({ error }) => error !== undefined) }
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof HoloError) || error.blame !== 'source') throw error
      attempts.push({ source: source.name, error })
    }
  }
  throw new BlobUnavailableError(ref, attempts)
}
