/**
 * Everything that a library lacks of one catalog, from one substituter: what it delivers together, then the rest one by
 * one.
 */
import { mapBounded } from '../base/concurrency.ts'
import { HoloError } from '../base/errors.ts'
import { SUBSTITUTER_REQUESTS_MAX } from '../base/substituter-limits.ts'
import type { Digest } from '../blob/digest.ts'
import type { BlobRef, BlobStream } from '../blob/source.ts'
import type { Pieces } from '../catalog/pieces.ts'
import type { VerifiedCatalog } from '../trust/verify-catalog.ts'
import { piecesWanted } from './pack-reader.ts'
import { type ReceiveOptions, receive } from './receive.ts'
import type { Delivery, Substituter } from './substituter.ts'

/** Codes of failures after which the same source is asked for the rest. */
const GOES_ON = ['source-broke-off', 'source-changed']

/** Rounds for blobs that proved wrong because others had sent parts of them: after one, all of it is the source's own. */
const MIXED_ROUNDS_MAX = 2

export interface FetchBlobsOptions extends Pick<ReceiveOptions, 'sink' | 'onBlobs' | 'onBytes' | 'onTable'> {
  /** Of the catalog. */
  readonly pieces: Pieces
  /** As `Wanted.isHere`. */
  isHere(piece: number): boolean
  /** Those of `refs` that are not here, now. */
  lacking(refs: readonly BlobRef[], signal: AbortSignal): Promise<readonly BlobRef[]>
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
  const { pieces, lacking, isHere } = options
  const given = { ...options, source: source.name }
  let wanted = missing
  for (let inVain = 0; wanted.length > 0; ) {
    const asked = { blobs: wanted, isHere }
    const before = wanted.length
    try {
      const deliveries = await source.deliver(catalog, asked, signal)
      if (deliveries === undefined) break
      const pieceNumbers = new Set(piecesWanted(pieces, asked))
      const { whole, rested } = await receive(deliveries, { ...given, wanted: pieceNumbers }, signal)
      wanted = await lacking(outside(pieces, rested, wanted), signal)
      if (whole || ++inVain > MIXED_ROUNDS_MAX) break
    } catch (error) {
      // What has come by then need not come again, so it goes on as long as some does.
      if (!(error instanceof HoloError) || !GOES_ON.includes(error.code)) throw error
      wanted = await lacking(wanted, signal)
      if (wanted.length < before || ++inVain <= 1) continue
      // Mirrors behind one name may tell one file by many tags; blobs are the same with all of them.
      if (error.code === 'source-changed') break
      throw error
    }
  }
  const one = async (ref: BlobRef): Promise<void> => {
    const stream = await source.get(ref, signal)
    if (stream !== undefined) await receive(single(ref, stream), { ...given, wanted: new Set() }, signal)
  }
  await mapBounded(wanted, SUBSTITUTER_REQUESTS_MAX, one, signal)
  const left = await lacking(wanted, signal)
  const [first] = left
  if (first === undefined) return
  throw new HoloError(
    `${source.name} lacks ${left.length} ${left.length === 1 ? 'blob' : 'blobs'} of ${catalog.name}, such as ${first.digest}`,
    { code: 'blob-nowhere', blame: 'missing', hint: 'push the environment there again' },
  )
}

/** Those that did not come in one of these groups: about the others the disk need not be asked once more. */
function outside({ blobs, pieces }: Pieces, rested: ReadonlySet<number>, refs: readonly BlobRef[]): readonly BlobRef[] {
  const come = new Set<Digest | undefined>()
  for (const number of rested) {
    const piece = pieces[number]
    for (const blob of piece?.kind === 'group' ? piece.blobs : []) come.add(blobs[blob]?.digest)
  }
  return refs.filter(({ digest }) => !come.has(digest))
}

async function* single(ref: BlobRef, stream: BlobStream): AsyncGenerator<Delivery> {
  yield { kind: 'blob', ref, stream }
}
