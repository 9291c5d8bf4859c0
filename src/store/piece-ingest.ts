/**
 * What an ingest Worker does with the pieces of one catalog: decode, verify, write.
 *
 * A group's blobs are proved one by one, and those that are right are kept even where another is wrong. Ranges gather in
 * a temporary of their blob (`RangedBlob`). One piece is held decoded at a time, at most `PIECE_BYTES`, besides the one
 * on the wire. Knows nothing of threads and of who is asked for what.
 */
import * as fs from 'node:fs'
import { HoloError, hostError } from '../base/errors.ts'
import { freeNow } from '../base/free-now.ts'
import { CHUNK_BYTES, PIECE_BYTES } from '../base/limits.ts'
import type { Sha256Digest } from '../blob/digest.ts'
import { type Compression, gzipStream, gzipWhole } from '../blob/gzip.ts'
import type { PieceOnWire } from '../blob/pieces.ts'
import type { BlobRef } from '../blob/source.ts'
import { unzstdExactly, ZstdError } from '../blob/zstd.ts'
import { blobPath, libraryDirectory, type Roots } from '../catalog/layout.ts'
import { BlobPlaces } from './blob-places.ts'
import { contentFault, corrupt, formAtRest } from './ingest.ts'
import type { PieceOutcome, PieceTable } from './ingest-messages.ts'
import type { LibraryFiles } from './library-files.ts'
import type { NoteRecords } from './note-records.ts'
import { contentBytes, membersOf, type PackedPieces, type RangePlace, rangeOf, refOf } from './packed-pieces.ts'
import { RangedBlob, type RangeOutcome, type RangeTable } from './ranged-blob.ts'
import { sentError } from './sent-error.ts'

const DIGEST_BYTES = 32
const STORED: PieceOutcome = {
  verdict: 'stored',
  again: [],
  proved: [],
  liars: [],
  tableVoid: false,
  blobs: 0,
  blobBytes: 0,
  temporary: undefined,
  frame: undefined,
}

export interface IngestPlaces {
  readonly roots: Roots
  readonly compression: Compression
  readonly files: LibraryFiles
  readonly notes: NoteRecords
  /** Whether the outcome has the frame that came. */
  readonly keepFrames: boolean
}

export class PieceIngest implements Disposable {
  readonly #temporaries: string
  readonly #blobs: BlobPlaces
  readonly #ranged = new Map<number, RangedBlob>()
  /** Large blobs that are in the library. */
  readonly #whole = new Set<number>()
  /** The number of the piece that is the first range of a blob. */
  readonly #firstPiece = new Map<number, number>()
  #table: PieceTable | undefined

  /** @throws {HoloError} blame `host`: the library cannot be made */
  constructor(
    private readonly places: IngestPlaces,
    private readonly pieces: PackedPieces,
  ) {
    this.#temporaries = libraryDirectory(places.roots)
    this.#blobs = new BlobPlaces(places.roots, places.files)
    for (let piece = pieces.offsets.length - 1; piece >= 0; piece--) {
      const place = rangeOf(pieces, piece)
      if (place === undefined) break
      if (place.range === 0) this.#firstPiece.set(place.blob, piece)
    }
  }

  /**
   * @param bytes belong to this call
   * @throws {HoloError} blame `host`; `signal.reason`
   */
  async put(
    piece: number,
    encoding: PieceOnWire['encoding'],
    bytes: Uint8Array,
    source: string,
    signal: AbortSignal,
  ): Promise<PieceOutcome> {
    const place = rangeOf(this.pieces, piece)
    const members = membersOf(this.pieces, piece)
    const sizeBytes = contentBytes(this.pieces, piece)
    let content: Uint8Array
    try {
      content = encoding === 'zstd' ? unzstdExactly(bytes, sizeBytes) : bytes
      if (content.byteLength !== sizeBytes) {
        throw new ZstdError(`has ${content.byteLength} bytes instead of ${sizeBytes}`)
      }
    } catch (error) {
      if (!(error instanceof ZstdError)) throw error
      const { digest } = refOf(this.pieces, members[0] ?? 0)
      return {
        ...STORED,
        verdict: 'wrong',
        error: sentError(corrupt({ digest }, { source }, `piece ${piece} ${error.message}`)),
      }
    }
    const outcome =
      place === undefined ? this.#group(members, content, source) : await this.#range(place, content, source, signal)
    if (content !== bytes) freeNow(content)
    const isKept = this.places.keepFrames && encoding === 'zstd' && outcome.sound
    return isKept ? { ...outcome.outcome, frame: bytes } : outcome.outcome
  }

  /**
   * Judge what is here by another table from now on.
   *
   * @returns the pieces that it proves @throws {HoloError} blame `host`
   */
  setTable(table: PieceTable | undefined): number[] {
    this.#table = table
    return [...this.#ranged].flatMap(([blob, ranged]) =>
      ranged.judge(this.#tableOf(blob)).map((range) => (this.#firstPiece.get(blob) ?? 0) + range),
    )
  }

  /** Nothing is to be put to rest any more. */
  [Symbol.dispose](): void {
    this.#blobs[Symbol.dispose]()
  }

  #group(members: Uint32Array, content: Uint8Array, source: string): Judged {
    let at = 0
    let blobs = 0
    let blobBytes = 0
    let error: HoloError | undefined
    for (const blob of members) {
      const ref = refOf(this.pieces, blob)
      const own = content.subarray(at, at + ref.sizeBytes)
      at += ref.sizeBytes
      try {
        if (this.#restOne(ref, own, source)) {
          blobs++
          blobBytes += ref.sizeBytes
        }
      } catch (thrown) {
        if (!(thrown instanceof HoloError) || thrown.blame !== 'source') throw thrown
        error ??= thrown
      }
    }
    const outcome = { ...STORED, blobs, blobBytes }
    if (error === undefined) return { outcome, sound: true }
    return { outcome: { ...outcome, verdict: 'wrong', error: sentError(error) }, sound: false }
  }

  /** @returns whether it was not there before */
  #restOne(ref: ReturnType<typeof refOf>, content: Uint8Array, source: string): boolean {
    const fault = contentFault(ref, content)
    if (fault !== undefined) throw corrupt(ref, { source }, fault)
    const { notes, compression } = this.places
    const form = formAtRest(compression, content)
    const stamp = this.#blobs.add(ref.digest, () => (form === 'gzip' ? gzipWhole(content) : content))
    if (stamp !== undefined) notes.add(ref.digest, form, stamp, 0)
    return stamp !== undefined
  }

  async #range({ blob, range }: RangePlace, content: Uint8Array, source: string, signal: AbortSignal): Promise<Judged> {
    const ref = refOf(this.pieces, blob)
    const first = this.#firstPiece.get(blob) ?? 0
    const isNew = !this.#whole.has(blob) && !this.#ranged.has(blob)
    if (isNew && this.places.files.isFile(blobPath(this.places.roots, ref.digest))) this.#whole.add(blob)
    if (this.#whole.has(blob)) {
      const proved = this.#piecesOf(ref, first).filter((piece) => piece !== first + range)
      return { outcome: { ...STORED, proved }, sound: false }
    }
    const ranged = this.#ranged.get(blob) ?? new RangedBlob(ref, this.places.files, this.#temporaries)
    this.#ranged.set(blob, ranged)
    const result = ranged.put(range, content, source, this.#tableOf(blob))
    const { temporary } = ranged
    switch (result.kind) {
      case 'held':
        return { outcome: { ...STORED, verdict: 'held', temporary }, sound: false }
      case 'proved':
        return { outcome: { ...STORED, temporary }, sound: result.same }
      case 'whole': {
        await this.#rest(blob, ranged, content, range, signal)
        const proved = result.proved.filter((each) => each !== range).map((each) => first + each)
        return {
          outcome: { ...STORED, ...this.#blamed(result), proved, blobs: 1, blobBytes: ref.sizeBytes },
          sound: true,
        }
      }
      case 'wrong': {
        const again = result.again.map((each) => first + each)
        const from = result.sources.join(', ')
        const error = sentError(corrupt(ref, { source: from }, 'its ranges together have another SHA-256'))
        return {
          outcome: { ...STORED, ...this.#blamed(result), verdict: 'blob-wrong', again, error, temporary },
          sound: false,
        }
      }
    }
  }

  /** The sources that are known for liars now, the giver of the table among them. */
  #blamed(result: Extract<RangeOutcome, { liars: unknown }>): Pick<PieceOutcome, 'liars' | 'tableVoid'> {
    const liars = [...result.liars].map(([source, error]) => [source, sentError(error)] as const)
    if (!result.tableWrong || this.#table === undefined) return { liars, tableVoid: false }
    const { source } = this.#table
    this.setTable(undefined)
    return { liars: [...liars, [source, sentError(tableError(source))]], tableVoid: true }
  }

  /** Give a whole blob its name, in the form that it is to have at rest. @param content of one of its ranges */
  async #rest(
    blob: number,
    ranged: RangedBlob,
    content: Uint8Array,
    range: number,
    signal: AbortSignal,
  ): Promise<void> {
    const { files, notes, compression, roots } = this.places
    const { ref, temporary } = ranged
    const target = blobPath(roots, ref.digest)
    this.#ranged.delete(blob)
    using _removed = ranged
    await ranged.opened(async (descriptor) => {
      const head = range === 0 ? content : readHead(descriptor, temporary)
      const gzip = formAtRest(compression, head) === 'gzip'
      const { stamp } = gzip
        ? await files.writeChunks(
            target,
            gzipStream(chunksOf(descriptor, temporary, ref.sizeBytes, signal)),
            this.#temporaries,
          )
        : files.named(descriptor, temporary, target, ref.sizeBytes)
      notes.add(ref.digest, gzip ? 'gzip' : 'identity', stamp, 0)
    })
    this.#whole.add(blob)
  }

  #piecesOf({ sizeBytes }: BlobRef, first: number): number[] {
    return Array.from({ length: Math.ceil(sizeBytes / PIECE_BYTES) }, (_, range) => first + range)
  }

  #tableOf(blob: number): RangeTable {
    const first = this.#firstPiece.get(blob)
    const digests = this.#table?.digests
    if (first === undefined || digests === undefined) return undefined
    return (range) => {
      const at = DIGEST_BYTES * (first + range)
      return Buffer.from(digests.buffer, digests.byteOffset + at, DIGEST_BYTES).toString('hex') as Sha256Digest
    }
  }
}

interface Judged {
  readonly outcome: PieceOutcome
  /** What came in this very piece is proved. */
  readonly sound: boolean
}

function tableError(source: string): HoloError {
  return new HoloError(`${source} sent a table of pieces that is wrong: a blob that it does not fit has its SHA-256`, {
    code: 'piece-table-wrong',
    blame: 'source',
    hint: 'run `rcc holotree check` on that machine',
  })
}

function readHead(descriptor: number, path: string): Uint8Array {
  const head = new Uint8Array(3)
  try {
    fs.readSync(descriptor, head, 0, head.byteLength, 0)
  } catch (error) {
    throw hostError(`read ${path}`, error)
  }
  return head
}

async function* chunksOf(
  descriptor: number,
  path: string,
  sizeBytes: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < sizeBytes; ) {
    signal.throwIfAborted()
    const chunk = new Uint8Array(Math.min(CHUNK_BYTES, sizeBytes - at))
    let count: number
    try {
      count = fs.readSync(descriptor, chunk, 0, chunk.byteLength, at)
      if (count === 0) throw new Error('it has become shorter')
    } catch (error) {
      throw hostError(`read ${path}`, error)
    }
    at += count
    yield chunk.subarray(0, count)
  }
}
