/**
 * Where the pieces of one catalog come to rest in a library: hands them to Workers, and keeps account of what is here.
 *
 * What has come to rest can be served at once: `placeOf` tells where it lies. The bytes that are under way are the
 * caller's to bound; each Worker holds one piece decoded besides. Knows nothing of peers but their names.
 */
import { abortable } from '../base/concurrency.ts'
import { HoloError } from '../base/errors.ts'
import { PIECE_WIRE_BYTES_MAX } from '../base/limits.ts'
import { adopt, giveBack } from '../base/spare-memory.ts'
import { type Sha256Digest, sha256Of } from '../blob/digest.ts'
import type { PieceOnWire, PieceReceipt, PieceSink, PieceVerdict } from '../blob/pieces.ts'
import type { BlobStore } from '../blob/source.ts'
import type { Pieces } from '../catalog/pieces.ts'
import { corrupt } from './ingest.ts'
import type { PieceOutcome, PieceTable } from './ingest-messages.ts'
import { type IngestLane, IngestPool, type IngestPoolOptions } from './ingest-pool.ts'
import type { Library } from './library.ts'
import { packPieces } from './packed-pieces.ts'
import { PieceTurns, workOf } from './piece-turns.ts'
import { receivedError } from './sent-error.ts'
import { ownBuffer } from './worker-lane.ts'

const DIGEST_BYTES = 32
const EMPTY = sha256Of(new Uint8Array(0))
const ABSENT = 0
const HELD = 1
const STORED = 2

export interface PieceSinkOptions extends IngestPoolOptions {
  /** Called with each zstd frame that came and whose content is proved, for those who pass it on; it is theirs then. */
  readonly onFrame?: (piece: number, frame: Uint8Array) => void
}

/** Where a piece that may be passed on lies. */
export type PiecePlace =
  /** In its blobs, in the library. */
  | { readonly kind: 'library' }
  /** In a blob that is not whole yet; the file may get its final name at any time. */
  | {
      readonly kind: 'temporary'
      readonly path: string
      readonly offset: number
      readonly bytes: number
      readonly sha256: Sha256Digest
    }

export class LibraryPieceSink implements PieceSink {
  readonly #pool: IngestPool
  readonly #turns: PieceTurns<IngestLane>
  readonly #state: Uint8Array
  /** By blob: the file that its ranges lie in, until it is whole. */
  readonly #temporaries = new Map<number, string>()
  #table: PieceTable | undefined

  /** @throws {HoloError} blame `input`, code `library-no-compress` */
  constructor(
    private readonly library: Library,
    readonly pieces: Pieces,
    private readonly options: PieceSinkOptions = {},
  ) {
    this.#state = new Uint8Array(pieces.pieces.length)
    this.#pool = IngestPool.of(library, options)
    this.#turns = new PieceTurns(this.#pool.lanes, pieces.blobs)
    const packed = packPieces(pieces)
    const keepFrames = options.onFrame !== undefined
    for (const lane of this.#pool.lanes) lane.tell({ kind: 'pieces', pieces: packed, keepFrames })
  }

  /** The same Workers for blobs that come one by one. */
  get store(): BlobStore {
    return this.#pool
  }

  /** The table in use, which covers ranges that are proved by nothing else. */
  get table(): Uint8Array | undefined {
    return this.#table?.digests
  }

  /** @throws also blame `source`, code `piece-unknown`: the catalog has no such piece; {Error} a Worker crashed */
  async put(piece: number, wire: PieceOnWire, source: string, signal: AbortSignal): Promise<PieceReceipt> {
    signal.throwIfAborted()
    const shape = this.pieces.pieces[piece]
    if (shape === undefined) {
      throw new HoloError(`${source} sent piece ${piece} of a catalog that has ${this.pieces.pieces.length}`, {
        code: 'piece-unknown',
        blame: 'source',
      })
    }
    const sizeBytes = wire.bytes.byteLength
    if (sizeBytes > PIECE_WIRE_BYTES_MAX || (wire.encoding === 'identity' && sizeBytes !== shape.bytes)) {
      return wrongAtOnce(this.#wrongLength(piece, sizeBytes, source))
    }
    const bytes = ownBuffer(wire.bytes)
    const ask = async (lane: IngestLane): Promise<PieceOutcome> => {
      const request = { kind: 'piece', id: lane.nextId(), piece, encoding: wire.encoding, bytes, source } as const
      const answer = await lane.ask(request, workOf(shape), [bytes.buffer])
      if (answer.kind !== 'piece') throw new Error(`a piece was answered with ${answer.kind}`)
      // Also where whoever waited has gone: it is at rest.
      this.library.notes.addRecords(answer.notes)
      this.#account(piece, answer.outcome)
      if (answer.spare !== undefined) giveBack(adopt(new Uint8Array(answer.spare)))
      return answer.outcome
    }
    return receiptOf(await this.#turns.run(shape, ask, signal))
  }

  /**
   * Look which pieces need not be fetched, since all their blobs are in the library; they can be served from now on.
   *
   * @returns their numbers
   * @throws `signal.reason` once `signal` aborts
   */
  async survey(signal: AbortSignal): Promise<number[]> {
    const missing = new Set((await this.library.missingOf(this.pieces.blobs, signal)).map(({ digest }) => digest))
    const isHere = (blob: number) => !missing.has(this.pieces.blobs[blob]?.digest ?? EMPTY)
    const here = [...this.pieces.pieces.entries()].flatMap(([piece, shape]) =>
      (shape.kind === 'group' ? shape.blobs.every(isHere) : isHere(shape.blob)) ? [piece] : [],
    )
    this.hold(here)
    return here
  }

  /**
   * Judge ranges by their hashes from now on, and those that are here already. To be given only where it is trusted as
   * the catalog is: what it proves is passed on. Where it proves wrong, its giver is named in the receipt of the blob.
   *
   * @param digests SHA-256 of every piece, back to back
   * @returns pieces that it proves
   * @throws {HoloError} blame `source`, code `piece-table-wrong`: it is not one of this catalog; blame `host`;
   *   `signal.reason`
   */
  async setTable(digests: Uint8Array, source: string, signal: AbortSignal): Promise<number[]> {
    const wanted = DIGEST_BYTES * this.pieces.pieces.length
    if (digests.byteLength !== wanted) {
      throw new HoloError(`${source} sent a table of pieces of ${digests.byteLength} bytes instead of ${wanted}`, {
        code: 'piece-table-wrong',
        blame: 'source',
      })
    }
    this.#table = { digests: new Uint8Array(digests), source }
    for (const [piece, shape] of this.pieces.pieces.entries()) {
      const unfinished = shape.kind === 'range' && this.#temporaries.has(shape.blob)
      if (unfinished && this.#state[piece] === STORED) this.#state[piece] = HELD
    }
    const proved = await abortable(this.#tellTable(this.#table, this.#pool.lanes), signal)
    for (const piece of proved) this.#state[piece] = STORED
    return proved
  }

  /** These are in the library already: all of their blobs lie there. */
  hold(pieces: readonly number[]): void {
    for (const piece of pieces) {
      const shape = this.pieces.pieces[piece]
      this.#state[piece] = STORED
      // Its blob may have come another way while its ranges were gathered.
      if (shape?.kind === 'range') this.#temporaries.delete(shape.blob)
    }
  }

  /** Whether a piece has come to rest, be it that nothing proves it yet. */
  has(piece: number): boolean {
    return this.#state[piece] !== ABSENT
  }

  /** @returns undefined where the piece is not here, or not proved */
  placeOf(piece: number): PiecePlace | undefined {
    const shape = this.pieces.pieces[piece]
    if (shape === undefined || this.#state[piece] !== STORED) return undefined
    const path = shape.kind === 'range' ? this.#temporaries.get(shape.blob) : undefined
    if (shape.kind === 'group' || path === undefined) return { kind: 'library' }
    const { offset, bytes } = shape
    const at = DIGEST_BYTES * piece
    const hash = this.#table?.digests.subarray(at, at + DIGEST_BYTES)
    if (hash === undefined) return undefined
    return { kind: 'temporary', path, offset, bytes, sha256: Buffer.from(hash).toString('hex') as Sha256Digest }
  }

  /**
   * Ends the Workers at once: what is whole is kept, and still has its place; ranges of unfinished blobs are lost. Notes
   * are not flushed.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const [piece, shape] of this.pieces.pieces.entries()) {
      if (shape.kind === 'range' && this.#temporaries.has(shape.blob)) this.#state[piece] = ABSENT
    }
    await this.#pool[Symbol.asyncDispose]()
  }

  #account(piece: number, outcome: PieceOutcome): void {
    const { verdict, proved, again, temporary, frame, tableVoid } = outcome
    const shape = this.pieces.pieces[piece]
    if (shape?.kind === 'range' && verdict !== 'wrong') {
      if (temporary === undefined) this.#temporaries.delete(shape.blob)
      else this.#temporaries.set(shape.blob, temporary)
    }
    if (verdict === 'stored' || verdict === 'held') this.#state[piece] = verdict === 'stored' ? STORED : HELD
    for (const other of proved) this.#state[other] = STORED
    for (const other of again) this.#state[other] = ABSENT
    if (tableVoid) this.#voidTable()
    if (frame !== undefined) this.options.onFrame?.(piece, frame)
  }

  /** What only the table proved is not passed on any more. */
  #voidTable(): void {
    this.#table = undefined
    for (const [piece, shape] of this.pieces.pieces.entries()) {
      if (shape.kind === 'range' && this.#temporaries.has(shape.blob) && this.#state[piece] === STORED) {
        this.#state[piece] = HELD
      }
    }
    // A Worker that has ended fails what is asked next.
    this.#tellTable(undefined, this.#pool.lanes).catch(() => {})
  }

  async #tellTable(table: PieceTable | undefined, lanes: readonly IngestLane[]): Promise<number[]> {
    const answers = await Promise.all(lanes.map((lane) => lane.ask({ kind: 'table', id: lane.nextId(), table }, 0, [])))
    return answers.flatMap((answer) => (answer.kind === 'table' ? answer.proved : []))
  }

  #wrongLength(piece: number, sizeBytes: number, source: string): HoloError {
    const shape = this.pieces.pieces[piece]
    const first = shape?.kind === 'group' ? shape.blobs[0] : shape?.blob
    const digest = this.pieces.blobs[first ?? 0]?.digest ?? EMPTY
    return corrupt({ digest }, { source }, `piece ${piece} has ${sizeBytes} bytes instead of ${shape?.bytes}`)
  }
}

function wrongAtOnce(error: HoloError): PieceReceipt {
  return { verdict: { verdict: 'wrong', error }, proved: [], liars: new Map(), blobs: 0, blobBytes: 0 }
}

function receiptOf(outcome: PieceOutcome): PieceReceipt {
  const { proved, blobs, blobBytes } = outcome
  const liars = new Map(outcome.liars.map(([source, error]) => [source, receivedError(error)]))
  return { verdict: verdictOf(outcome), proved, liars, blobs, blobBytes }
}

function verdictOf({ verdict, error, again }: PieceOutcome): PieceVerdict {
  if (verdict === 'stored' || verdict === 'held') return { verdict }
  if (error === undefined) throw new Error(`a piece is ${verdict} without a reason`)
  return verdict === 'wrong'
    ? { verdict, error: receivedError(error) }
    : { verdict, pieces: again, error: receivedError(error) }
}
