/**
 * Bring one verified environment into the library: pieces from many peers first, then what is left blob by blob, the
 * catalog last. The daemon and a command that has no daemon do it by the same steps.
 */
import { join } from 'node:path'
import { systemClock } from '../base/clock.ts'
import { HoloError, messageOf } from '../base/errors.ts'
import { FETCH_LOCK_WAIT_MS, PIECE_MISSING_SHARE_MIN, SOURCE_GRACE_MS } from '../base/limits.ts'
import { roomLogger } from '../base/log.ts'
import { systemRandom } from '../base/random.ts'
import { type Digest, type Sha256Digest, sha256Of } from '../blob/digest.ts'
import { FetchIncompleteError, type FetchTotals, fetchAll, type SourceSet } from '../blob/fetch-all.ts'
import type { BlobRef } from '../blob/source.ts'
import type { Pieces } from '../catalog/pieces.ts'
import { PieceFetch } from '../peer/piece-fetch.ts'
import type { Library } from '../store/library.ts'
import { acquireLock } from '../store/lock.ts'
import type { LibraryPieceSink } from '../store/piece-sink.ts'
import type { VerifiedCatalog } from '../trust/verify-catalog.ts'
import { type SinkLender, sinkFor, sinkOf } from './lent-sink.ts'
import { packAhead } from './pack-ahead.ts'
import type { PassedOn, PieceExchange } from './piece-exchange.ts'
import { settleCatalog } from './settle-catalog.ts'
import type { FetchProgress } from './supply.ts'

const log = roomLogger('app')

export interface FetchPlace {
  readonly library: Library
  /** Where the lock of this fetch lies. */
  readonly stateDirectory: string
  /** For what is fetched blob by blob. @param digests all that will be asked for */
  readonly sourcesFor: (digests: readonly Digest[]) => SourceSet
  /** Undefined where there are no peers to fetch from. */
  readonly exchange: PieceExchange | undefined
  /** As `EntryFetch.lend`. */
  readonly lend?: SinkLender | undefined
  /** Another machine is bringing it: what nobody holds yet is waited for, until `signal` aborts. */
  readonly isAwaited?: boolean
}

/**
 * @param totals what the call does is added to it, also when it throws
 * @throws {HoloError} as `fetchAll` and `settleCatalog`
 */
export async function fetchEnvironment(
  place: FetchPlace,
  verified: VerifiedCatalog,
  totals: FetchTotals,
  onProgress: FetchProgress,
  signal: AbortSignal,
): Promise<void> {
  const { library, stateDirectory, sourcesFor, exchange, lend, isAwaited = false } = place
  // Whoever else fetches it now does so for us, too: what it leaves is all that is missing then.
  await using _single = await acquireLock(
    join(stateDirectory, `fetch-${verified.name}.lck`),
    { waitMs: FETCH_LOCK_WAIT_MS, shared: false },
    signal,
  )
  const missing = await library.missing(verified.catalog, signal)
  const blobs = totals.blobs + missing.length
  onProgress(totals, blobs)
  if (missing.length === 0) return await settleCatalog(library, verified, signal)
  const lent = sinkFor(lend, () => sinkOf(library, verified, exchange))
  const { sink } = lent
  const { pieces } = sink
  let ended: PromiseLike<void> | undefined
  // Only pieces can be waited for, so none is left to its blobs then.
  const { wanted: lacking, held } = piecesLacking(pieces, missing, isAwaited ? 0 : PIECE_MISSING_SHARE_MIN)
  const wanted = lacking.filter((piece) => !sink.has(piece))
  using passedOn = wanted.length === 0 ? undefined : exchange?.begin(verified, sink, held)
  passedOn?.add(lacking.filter((piece) => sink.placeOf(piece) !== undefined))
  const ahead = packAhead(verified, library.packed, missing.length)
  const told = () => {
    onProgress(totals, blobs)
    ahead(blobs - totals.blobs)
  }
  try {
    try {
      const work = { pieces, missing, wanted, sink, passedOn, isAwaited }
      const { left, lost } = await fetchInPieces(exchange, verified, work, totals, told, signal)
      const sources = sourcesFor(left.map(({ digest }) => digest))
      await fetchAll(left, { store: sink.store, sources, onProgress: told }, totals, signal).catch((error: unknown) => {
        throw blaming(lost, error)
      })
    } finally {
      library.notes.flush()
      ended = lent[Symbol.asyncDispose]()
    }
    await settleCatalog(library, verified, signal)
    passedOn?.handOver()
  } finally {
    await ended
  }
}

/** That nobody has the rest is the fault of whoever had it, and was lost. */
function blaming(lost: HoloError | undefined, error: unknown): unknown {
  if (lost === undefined || !(error instanceof FetchIncompleteError) || error.blame !== 'missing') return error
  return new HoloError(`${lost.message}; ${error.rest}`, {
    code: lost.code,
    blame: 'source',
    cause: error,
    hint: lost.hint ?? 'run the same command again when that machine is back',
  })
}

interface PieceWork {
  readonly pieces: Pieces
  readonly missing: readonly BlobRef[]
  /** Numbers of the pieces to fetch. */
  readonly wanted: readonly number[]
  readonly sink: LibraryPieceSink
  readonly passedOn: PassedOn | undefined
  readonly isAwaited: boolean
}

interface PieceOutcome {
  /** What is still missing. */
  readonly left: readonly BlobRef[]
  /** The last peer that was lost on the way, as the error that names it. */
  readonly lost: HoloError | undefined
}

async function fetchInPieces(
  exchange: PieceExchange | undefined,
  { name, sha256, publication }: VerifiedCatalog,
  { pieces, missing, wanted, sink, passedOn, isAwaited }: PieceWork,
  totals: FetchTotals,
  onProgress: () => void,
  signal: AbortSignal,
): Promise<PieceOutcome> {
  if (wanted.length === 0 || exchange === undefined) return { left: missing, lost: undefined }
  const fetch = new PieceFetch({
    catalog: sha256,
    pieces: pieces.pieces,
    wanted,
    sink,
    clock: systemClock,
    random: systemRandom,
    log: roomLogger('peer'),
    holding: passedOn,
    downloadLimit: exchange.downloadLimit,
    graceMs: isAwaited ? Number.POSITIVE_INFINITY : SOURCE_GRACE_MS,
    totals,
    onProgress,
    drop: (peer, error) => exchange.drop(peer, error),
  })
  const over = new AbortController()
  const signed = publication.signature?.statement.pieceTable
  void proveByTable(exchange, { sha256, signed, pieces, sink, fetch }, AbortSignal.any([signal, over.signal]))
  try {
    const absent = await exchange.fetchPieces(fetch, signal)
    if (absent.length > 0) log.info`${absent.length} of ${wanted.length} pieces of ${name} were not to be had as such`
    const [tried, unhad] = [blobsOf(pieces, wanted), blobsOf(pieces, absent)]
    const left = missing.filter(({ digest }) => !tried.has(digest) || unhad.has(digest))
    return { left, lost: [...fetch.failures.values()].at(-1) }
  } finally {
    over.abort(new Error('the pieces are here'))
  }
}

/** Those that have a part in these pieces. */
function blobsOf({ blobs, pieces }: Pieces, numbers: readonly number[]): ReadonlySet<Digest> {
  const found = new Set<Digest>()
  for (const number of numbers) {
    const piece = pieces[number]
    for (const blob of piece === undefined ? [] : piece.kind === 'group' ? piece.blobs : [piece.blob]) {
      const ref = blobs[blob]
      if (ref !== undefined) found.add(ref.digest)
    }
  }
  return found
}

interface TableWork {
  readonly sha256: VerifiedCatalog['sha256']
  /** SHA-256 of the table that was signed with the catalog, where it is signed. */
  readonly signed: Sha256Digest | undefined
  readonly pieces: Pieces
  readonly sink: LibraryPieceSink
  readonly fetch: PieceFetch
}

/** With the table, ranges of large blobs may be passed on before their blob is whole; without it all goes on. */
async function proveByTable(
  exchange: PieceExchange,
  { sha256, signed, pieces, sink, fetch }: TableWork,
  signal: AbortSignal,
): Promise<void> {
  if (!exchange.passesOn) return
  try {
    const found = await exchange.findTable(sha256, pieces.pieces.length, signal)
    if (found === undefined) return
    if (signed !== undefined && sha256Of(found.table) !== signed) {
      log.warning`the piece table of ${found.source} is not the one that is signed, so it is done without`
      return
    }
    fetch.proved(await sink.setTable(found.table, found.source, signal))
  } catch (error) {
    if (!signal.aborted) log.warning`the piece table is done without: ${messageOf(error)}`
    if (!signal.aborted && !(error instanceof HoloError)) throw error
  }
}

/**
 * Which pieces are worth fetching, and which are here already.
 *
 * A group of which less than `shareMin` is missing is left to its blobs; of a large blob every range is needed.
 */
export function piecesLacking(
  { blobs, pieces }: Pieces,
  missing: readonly BlobRef[],
  shareMin = PIECE_MISSING_SHARE_MIN,
): { readonly wanted: readonly number[]; readonly held: readonly number[] } {
  const lacking = new Set(missing.map(({ digest }) => digest))
  const isMissing = (blob: number) => lacking.has(blobs[blob]?.digest ?? ('' as never))
  const wanted: number[] = []
  const held: number[] = []
  for (const [number, piece] of pieces.entries()) {
    const absent = piece.kind === 'range' ? [piece.blob].filter(isMissing) : piece.blobs.filter(isMissing)
    if (absent.length === 0) held.push(number)
    else if (piece.kind === 'range') wanted.push(number)
    else {
      const bytes = absent.reduce((sum, blob) => sum + (blobs[blob]?.sizeBytes ?? 0), 0)
      if (bytes >= piece.bytes * shareMin) wanted.push(number)
    }
  }
  return { wanted, held }
}
