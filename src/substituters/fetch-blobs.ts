/**
 * Everything that a store lacks of one catalog, from one substituter: what it delivers together, then the rest one by
 * one.
 */
import { mapBounded } from '../base/concurrency.ts'
import { HoloError } from '../base/errors.ts'
import { SUBSTITUTER_REQUESTS_MAX } from '../base/limits.ts'
import type { Digest } from '../blob/digest.ts'
import type { BlobRef, BlobStore } from '../blob/source.ts'
import { piecesOf } from '../catalog/pieces.ts'
import type { VerifiedCatalog } from '../trust/verify-catalog.ts'
import { receive } from './receive.ts'
import type { Substituter } from './substituter.ts'

export interface FetchBlobsOptions {
  readonly store: BlobStore
  /** Called for each blob that has come to rest. */
  readonly onBlob: (ref: BlobRef) => void
  /** Called for bytes as they came over the wire. */
  readonly onBytes: (bytes: number) => void
}

/**
 * @param missing blobs of `catalog`; those that have come stay, also when this throws
 * @throws {HoloError} blame `missing`: the source does not have some of them, and all the others have come; blame
 *   `source`: it fails, code `blob-corrupt`: what it sent is wrong; blame `host`
 * @throws `signal.reason` once `signal` aborts
 */
export async function fetchBlobs(
  source: Substituter,
  catalog: VerifiedCatalog,
  missing: readonly BlobRef[],
  options: FetchBlobsOptions,
  signal: AbortSignal,
): Promise<void> {
  const { store, onBytes, onBlob } = options
  const wanted = new Map<Digest, BlobRef>(missing.map((ref) => [ref.digest, ref]))
  const given = { source: source.name, store, pieces: piecesOf(catalog.catalog), wanted, onBlob, onBytes }
  for (let inVain = 0; ; ) {
    const lacking = wanted.size
    const deliveries = lacking === 0 ? undefined : await source.deliver(catalog, [...wanted.values()], signal)
    if (deliveries === undefined) break
    try {
      await receive(deliveries, given, signal)
      break
    } catch (error) {
      // What has come by then need not come again, so it goes on as long as some does.
      if (!(error instanceof HoloError) || error.code !== 'source-broke-off') throw error
      if (wanted.size === lacking && ++inVain > 1) throw error
    }
  }
  const one = async (ref: BlobRef): Promise<void> => {
    // Another source may have brought it meanwhile.
    if (await store.has(ref.digest)) {
      wanted.delete(ref.digest)
      return
    }
    const stream = await source.get(ref, signal)
    if (stream === undefined) return
    await receive(single(ref, stream), given, signal)
  }
  await mapBounded([...wanted.values()], SUBSTITUTER_REQUESTS_MAX, one, signal)
  const [first] = wanted.keys()
  if (first === undefined) return
  throw new HoloError(
    `${source.name} lacks ${wanted.size} ${wanted.size === 1 ? 'blob' : 'blobs'} of ${catalog.name}, such as ${first}`,
    { code: 'blob-nowhere', blame: 'missing', hint: 'push the environment there again' },
  )
}

async function* single(ref: BlobRef, stream: Parameters<BlobStore['put']>[1]) {
  yield { kind: 'blob' as const, ref, stream }
}
