/** Pieces in memory, for tests of the wire: somebody who serves them, and somebody who takes them. */
import { crc32 } from 'node:zlib'
import { HoloError } from '../../src/base/errors.ts'
import { PIECE_BYTES } from '../../src/base/limits.ts'
import { type Sha256Digest, sha256Of } from '../../src/blob/digest.ts'
import type {
  PieceOnWire,
  PiecePreference,
  PieceReceipt,
  PieceRest,
  PieceSink,
  ServedPieces,
} from '../../src/blob/pieces.ts'
import type { Piece } from '../../src/catalog/pieces.ts'
import { ownBuffer } from '../../src/store/worker-lane.ts'

/** One environment of one-blob groups: numbers, and contents that differ. */
export class MadePieces {
  readonly contents: readonly Uint8Array[]
  readonly pieces: readonly Piece[]

  /** @param sizes bytes of each piece */
  constructor(sizes: readonly number[]) {
    this.contents = sizes.map((bytes, piece) => {
      const content = new Uint8Array(Math.min(bytes, PIECE_BYTES))
      for (let at = 0; at < content.byteLength; at++) content[at] = (at * 31 + piece * 7 + (at >> 8)) & 0x3f
      return content
    })
    this.pieces = this.contents.map(({ byteLength }, piece) => ({ kind: 'group', blobs: [piece], bytes: byteLength }))
  }

  get numbers(): number[] {
    return this.pieces.map((_, piece) => piece)
  }
}

/** Serves some pieces of one catalog; `lies` are sent with other bytes, `failing` are never sent, `slow` take for ever. */
export class MemoryServed implements ServedPieces {
  readonly held: Set<number>
  readonly lies = new Set<number>()
  readonly failing = new Set<number>()
  readonly slow = new Set<number>()
  readonly asked: number[] = []
  readonly rests: PieceRest[] = []

  constructor(
    private readonly catalog: Sha256Digest,
    private readonly made: MadePieces,
    held: Iterable<number> = made.numbers,
  ) {
    this.held = new Set(held)
  }

  pieceCount(catalog: Sha256Digest): number | undefined {
    return catalog === this.catalog ? this.made.pieces.length : undefined
  }

  async piece(_catalog: Sha256Digest, piece: number, preference: PiecePreference): Promise<PieceOnWire | undefined> {
    this.asked.push(piece)
    if (this.slow.has(piece)) await new Promise(() => {})
    const content = this.made.contents[piece]
    if (content === undefined || !this.held.has(piece) || this.failing.has(piece)) return undefined
    const sent = Uint8Array.from(content)
    if (this.lies.has(piece) && sent.byteLength > 0) sent[0] = (sent[0] ?? 0) ^ 1
    const small = preference === 'small' ? Bun.zstdCompressSync(sent) : sent
    return small.byteLength < sent.byteLength
      ? { encoding: 'zstd', bytes: new Uint8Array(small) }
      : { encoding: 'identity', bytes: sent }
  }

  async rest(catalog: Sha256Digest, piece: number, rest: PieceRest): Promise<Uint8Array | undefined> {
    this.rests.push(rest)
    const whole = await this.piece(catalog, piece, rest.encoding === 'zstd' ? 'small' : 'fast')
    if (whole?.encoding !== rest.encoding || whole.bytes.byteLength !== rest.wireBytes) return undefined
    const isKnown = crc32(whole.bytes.subarray(0, rest.knownBytes)) === rest.knownCrc
    return isKnown ? whole.bytes.slice(rest.from) : undefined
  }

  async table(catalog: Sha256Digest): Promise<Uint8Array | undefined> {
    if (catalog !== this.catalog) return undefined
    return Buffer.concat(this.made.contents.map((content) => Buffer.from(sha256Of(content), 'hex')))
  }
}

/** Takes pieces, their memory included, as the one of a library does, and knows which of them are right. */
export class MemorySink implements PieceSink {
  readonly stored = new Map<number, Uint8Array>()

  constructor(private readonly made: MadePieces) {}

  async put(piece: number, { encoding, bytes: given }: PieceOnWire, source: string): Promise<PieceReceipt> {
    const own = ownBuffer(given)
    const bytes = structuredClone(own, { transfer: [own.buffer] })
    const content = encoding === 'zstd' ? Bun.zstdDecompressSync(bytes) : bytes
    const nothing = { proved: [], liars: new Map<string, HoloError>() }
    if (!Buffer.from(content).equals(this.made.contents[piece] ?? new Uint8Array(0))) {
      const error = new HoloError(`${source} sent a wrong piece ${piece}`, { code: 'blob-corrupt', blame: 'source' })
      return { verdict: { verdict: 'wrong', error }, blobs: 0, blobBytes: 0, ...nothing }
    }
    this.stored.set(piece, content)
    return { verdict: { verdict: 'stored' }, blobs: 1, blobBytes: content.byteLength, ...nothing }
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
