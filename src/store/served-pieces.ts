/**
 * Pieces of what a library holds, and of what it is being filled with, in the form that they are sent in.
 *
 * A prepared zstd frame is sent where there is one; else, where the receiver would rather wait than carry more, one is
 * made and kept, so that it is made once; else the content goes raw. Reading, verifying and compressing happen in
 * Workers that start at the first question and end when there are no more. Nothing is sent that was not held against a
 * digest or is as it was then; a frame against its checksum. Knows nothing of peers.
 */
import { availableParallelism } from 'node:os'
import { crc32 } from 'node:zlib'
import { never, nextTurn } from '../base/clock.ts'
import { abortable } from '../base/concurrency.ts'
import {
  BACKGROUND_NICE,
  FRAME_LEVEL,
  FRAME_LEVEL_AHEAD,
  SERVE_WORKERS_MAX,
  SERVED_CATALOGS_MAX,
} from '../base/limits.ts'
import type { Sha256Digest } from '../blob/digest.ts'
import type { FormedPieces, PieceForm, PieceOnWire, PiecePreference, PieceRest, ServedPieces } from '../blob/pieces.ts'
import { statePaths } from '../catalog/layout.ts'
import { type Pieces, piecesOf } from '../catalog/pieces.ts'
import type { Catalog } from '../catalog/tree.ts'
import type { Library } from './library.ts'
import { contentBytes, type PackedPieces, packPieces } from './packed-pieces.ts'
import { PieceFolder, type PieceFolderOptions } from './piece-folder.ts'
import { PieceHashes } from './piece-hashes.ts'
import { PieceLanes } from './piece-lanes.ts'
import type { PieceFound } from './piece-messages.ts'
import type { LibraryPieceSink, PiecePlace } from './piece-sink.ts'

const DIGEST_BYTES = 32
const NOTHING = new Uint8Array(0)

/** The complete catalogs of this machine, by the SHA-256 of their JSON. */
export interface CompleteCatalogs {
  /** Asked for every piece. */
  has(catalog: Sha256Digest): boolean
  /** Asked once for a catalog that is served. @returns undefined where it has gone, or cannot be read */
  load(catalog: Sha256Digest): Pick<Catalog, 'tree'> | undefined
}

export interface LibraryPiecesOptions extends PieceFolderOptions {
  /** Default: one a core, at most `SERVE_WORKERS_MAX`. */
  readonly workers?: number
}

export interface PrepareOptions {
  /** All frames too, harder compressed than those that somebody waits for. */
  readonly frames: boolean
}

/** A piece that is held. */
interface LocatedPiece {
  readonly catalog: Sha256Digest
  readonly pieces: PackedPieces
  readonly piece: number
  readonly place: PiecePlace
}

export class LibraryPieces implements ServedPieces, FormedPieces, AsyncDisposable {
  readonly #folder: PieceFolder
  readonly #lanes: PieceLanes
  /** Least recently used first. */
  readonly #known = new Map<Sha256Digest, PackedPieces>()
  readonly #partial = new Map<Sha256Digest, LibraryPieceSink>()
  /** Pieces whose frames were made for somebody who waited, so not as small as they could be. */
  readonly #hasty = new Map<Sha256Digest, Set<number>>()
  /** Frames that are being made. */
  readonly #making = new Map<string, Promise<PieceFound | undefined>>()
  /** Tables that are being made. */
  readonly #hashing = new Map<Sha256Digest, PieceHashes>()
  readonly #workers: number

  constructor(
    private readonly library: Library,
    private readonly catalogs: CompleteCatalogs,
    { workers = Math.min(availableParallelism(), SERVE_WORKERS_MAX), ...folder }: LibraryPiecesOptions = {},
  ) {
    this.#folder = new PieceFolder(statePaths(library.roots).pieces, folder)
    this.#lanes = new PieceLanes(library.roots, workers)
    this.#workers = workers
  }

  pieceCount(catalog: Sha256Digest): number | undefined {
    return this.#piecesOf(catalog)?.offsets.length
  }

  async piece(
    catalog: Sha256Digest,
    piece: number,
    preference: PiecePreference,
    signal: AbortSignal,
  ): Promise<PieceOnWire | undefined> {
    signal.throwIfAborted()
    const located = this.#locate(catalog, piece)
    if (located === undefined) return undefined
    const frame = await abortable(this.#folder.frame(catalog, piece), signal)
    if (frame !== undefined && frame !== 'raw') return { encoding: 'zstd', bytes: frame }
    const found =
      preference === 'small' && frame === undefined
        ? await abortable(this.#made(located), signal)
        : await this.#read(located, signal)
    return found?.bytes === undefined ? undefined : { encoding: found.encoding, bytes: found.bytes }
  }

  async rest(
    catalog: Sha256Digest,
    piece: number,
    { encoding, wireBytes, from, knownBytes, knownCrc }: PieceRest,
    signal: AbortSignal,
  ): Promise<Uint8Array | undefined> {
    signal.throwIfAborted()
    const located = this.#locate(catalog, piece)
    if (located === undefined) return undefined
    const bytes =
      encoding === 'zstd'
        ? await abortable(this.#folder.frame(catalog, piece), signal)
        : (await this.#read(located, signal))?.bytes
    if (bytes === undefined || bytes === 'raw' || bytes.byteLength !== wireBytes) return undefined
    if (crc32(bytes.subarray(0, knownBytes)) !== knownCrc) return undefined
    // Its own, since whoever sends it gives its memory back.
    return bytes.slice(from)
  }

  async table(catalog: Sha256Digest, signal: AbortSignal): Promise<Uint8Array | undefined> {
    signal.throwIfAborted()
    const count = this.pieceCount(catalog)
    const partial = this.#partial.get(catalog)?.table
    if (count === undefined) return undefined
    return partial === undefined ? this.#folder.table(catalog, count) : partial.slice()
  }

  forms(catalog: Sha256Digest): readonly PieceForm[] | undefined {
    const pieces = this.catalogs.has(catalog) ? this.#piecesOf(catalog) : undefined
    if (pieces === undefined) return undefined
    return this.#folder.marks(catalog, pieces.offsets.length).map((mark, piece) => {
      const content = contentBytes(pieces, piece)
      const isFrame = mark !== undefined && mark.bytes > 0 && mark.bytes < content
      return isFrame ? { encoding: 'zstd', ...mark } : { encoding: 'identity', bytes: content }
    })
  }

  areKept(catalog: Sha256Digest, forms: readonly PieceForm[]): boolean {
    return forms.every((form, piece) => form.encoding === 'identity' || this.#folder.hasMark(catalog, piece, form))
  }

  async inForm(
    catalog: Sha256Digest,
    piece: number,
    form: PieceForm,
    signal: AbortSignal,
  ): Promise<Uint8Array | undefined> {
    signal.throwIfAborted()
    if (form.encoding === 'zstd') {
      const frame = await abortable(this.#folder.frame(catalog, piece, form), signal)
      return frame === 'raw' ? undefined : frame
    }
    const located = this.#locate(catalog, piece)
    if (located === undefined) return undefined
    return (await this.#read(located, signal))?.bytes
  }

  async *hashes(catalog: Sha256Digest, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const pieces = this.#piecesOf(catalog)
    if (pieces === undefined) return
    const kept = this.#folder.table(catalog, pieces.offsets.length)
    if (kept !== undefined) yield kept
    else yield* (this.#hashing.get(catalog) ?? this.#hash(catalog, pieces)).read(signal)
  }

  /**
   * Keep a frame that came with a verdict of `stored`, so that it need not be made here. Returns at once.
   *
   * @param frame ours from now on
   */
  keep(catalog: Sha256Digest, piece: number, frame: Uint8Array): void {
    this.#folder.keep(catalog, piece, frame)
  }

  /** Serve what `sink` has brought to rest so far, too. @returns ends that; a complete catalog then counts */
  serve(catalog: Sha256Digest, sink: LibraryPieceSink): Disposable {
    this.#partial.set(catalog, sink)
    this.#know(catalog, sink.pieces)
    return {
      [Symbol.dispose]: () => {
        if (this.#partial.get(catalog) === sink) this.#partial.delete(catalog)
      },
    }
  }

  /**
   * Make the table of a complete catalog, in the background and one piece after the other; what there is already is not made
   * again, but for frames that were made in haste.
   *
   * @returns the table, of blobs that are proved; undefined where one lacks, or is not right
   * @throws {HoloError} blame `host`; `signal.reason`
   */
  async prepare(
    catalog: Sha256Digest,
    { frames }: PrepareOptions,
    signal: AbortSignal,
  ): Promise<Uint8Array | undefined> {
    const pieces = this.#piecesOf(catalog)
    if (pieces === undefined) return undefined
    const count = pieces.offsets.length
    const asked = this.#hashing.get(catalog)?.whole
    const kept = this.#folder.table(catalog, count) ?? (asked && (await abortable(asked, signal)))
    const table = kept ?? new Uint8Array(DIGEST_BYTES * count)
    await using lanes = new PieceLanes(this.library.roots, 1, BACKGROUND_NICE)
    for (let piece = 0; piece < count; piece++) {
      const isHasty = frames && this.#hasty.get(catalog)?.delete(piece) === true
      const bytes = frames && (isHasty || !this.#folder.hasFrame(catalog, piece))
      if (kept !== undefined && !bytes) continue
      const level = bytes ? FRAME_LEVEL_AHEAD : undefined
      const place = { kind: 'library' } as const
      const found = await lanes.ask({ catalog, pieces, piece, place, level, hash: true, bytes }, signal)
      // Always there where it was asked for.
      if (found?.sha256 === undefined) return undefined
      table.set(Buffer.from(found.sha256, 'hex'), DIGEST_BYTES * piece)
      if (found.bytes !== undefined) this.#keepMade(catalog, piece, found, isHasty)
      await nextTurn()
    }
    if (kept === undefined) this.#folder.keepTable(catalog, table)
    return table
  }

  /** End the Workers at once, and wait until what was to be kept is written. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lanes[Symbol.asyncDispose]()
    await this.#folder[Symbol.asyncDispose]()
  }

  /** @returns undefined where the piece is not held */
  #locate(catalog: Sha256Digest, piece: number): LocatedPiece | undefined {
    const pieces = this.#piecesOf(catalog)
    const place = pieces === undefined ? undefined : this.#placeOf(catalog, pieces, piece)
    return pieces === undefined || place === undefined ? undefined : { catalog, pieces, piece, place }
  }

  /** Its content. */
  #read(located: LocatedPiece, signal: AbortSignal): Promise<PieceFound | undefined> {
    return this.#lanes.ask({ ...located, level: undefined, hash: false, bytes: true }, signal)
  }

  #placeOf(catalog: Sha256Digest, pieces: PackedPieces, piece: number): PiecePlace | undefined {
    if (!Number.isInteger(piece) || piece < 0 || piece >= pieces.offsets.length) return undefined
    const partial = this.#partial.get(catalog)
    return partial === undefined ? { kind: 'library' } : partial.placeOf(piece)
  }

  /** One frame is made at a time for however many wait; whoever waits for it gets bytes of his own. */
  async #made(located: LocatedPiece) {
    const { catalog, piece } = located
    const key = `${catalog} ${piece}`
    const making = this.#making.get(key) ?? this.#make(located)
    this.#making.set(key, making)
    try {
      const found = await making
      return found?.bytes === undefined ? undefined : { ...found, bytes: found.bytes.slice() }
    } finally {
      this.#making.delete(key)
    }
  }

  async #make(located: LocatedPiece) {
    const { catalog, piece } = located
    // Who asked first may leave while others wait.
    const found = await this.#lanes.ask({ ...located, level: FRAME_LEVEL, hash: false, bytes: true }, never)
    if (found?.bytes === undefined) return found
    this.#keepMade(catalog, piece, { ...found, bytes: found.bytes.slice() }, false)
    const hasty = this.#hasty.get(catalog) ?? new Set()
    if (found.encoding === 'zstd') this.#hasty.set(catalog, hasty.add(piece))
    return found
  }

  /** Goes on where those who wait have left: it is kept for the next. */
  #hash(catalog: Sha256Digest, pieces: PackedPieces): PieceHashes {
    const place = { kind: 'library' } as const
    const hashOf = async (piece: number) => {
      const task = { catalog, pieces, piece, place, level: undefined, hash: true, bytes: false }
      return (await this.#lanes.ask(task, never))?.sha256
    }
    // While one answer is looked at, each Worker has another question.
    const hashing = new PieceHashes(pieces.offsets.length, hashOf, 2 * this.#workers)
    this.#hashing.set(catalog, hashing)
    void hashing.whole.then((table) => {
      this.#hashing.delete(catalog)
      if (table !== undefined) this.#folder.keepTable(catalog, table)
    })
    return hashing
  }

  /** @param found its bytes are the folder's from now on */
  #keepMade(catalog: Sha256Digest, piece: number, { encoding, bytes = NOTHING }: PieceFound, replace: boolean): void {
    this.#folder.keep(catalog, piece, encoding === 'zstd' ? bytes : NOTHING, { replace })
  }

  #piecesOf(catalog: Sha256Digest): PackedPieces | undefined {
    const partial = this.#partial.get(catalog)
    if (partial === undefined && !this.catalogs.has(catalog)) return undefined
    const known = this.#known.get(catalog)
    if (known !== undefined) {
      this.#known.delete(catalog)
      this.#known.set(catalog, known)
      return known
    }
    if (partial !== undefined) return this.#know(catalog, partial.pieces)
    const loaded = this.catalogs.load(catalog)
    return loaded === undefined ? undefined : this.#know(catalog, piecesOf(loaded))
  }

  #know(catalog: Sha256Digest, pieces: Pieces): PackedPieces {
    const packed = this.#known.get(catalog) ?? packPieces(pieces)
    this.#known.set(catalog, packed)
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= SERVED_CATALOGS_MAX) break
      this.#known.delete(oldest)
      this.#hasty.delete(oldest)
      this.#lanes.forget(oldest)
    }
    return packed
  }
}
