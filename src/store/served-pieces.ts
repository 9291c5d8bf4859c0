/** temporary */
import type { Sha256Digest } from '../blob/digest.ts'
import type { PieceOnWire, PiecePreference, ServedPieces } from '../blob/pieces.ts'
import { type Pieces, piecesOf } from '../catalog/pieces.ts'
import type { Catalog } from '../catalog/tree.ts'
import type { Library } from './library.ts'
import type { LibraryPieceSink } from './piece-sink.ts'

export class LibraryServedPieces implements ServedPieces {
  readonly #pieces = new Map<Sha256Digest, Pieces>()
  readonly #partial = new Map<Sha256Digest, LibraryPieceSink>()
  readonly #frames = new Map<string, Uint8Array>()
  constructor(
    private readonly library: Library,
    private readonly catalogOf: (sha256: Sha256Digest) => Pick<Catalog, 'tree'> | undefined,
  ) {}
  begin(catalog: Sha256Digest, sink: LibraryPieceSink, _held: readonly number[]): Disposable {
    this.#partial.set(catalog, sink)
    return { [Symbol.dispose]: () => void this.#partial.delete(catalog) }
  }
  keep(catalog: Sha256Digest, piece: number, frame: Uint8Array): void {
    this.#frames.set(`${catalog}${piece}`, frame)
  }
  #of(catalog: Sha256Digest): Pieces | undefined {
    const known = this.#pieces.get(catalog) ?? this.#partial.get(catalog)?.pieces
    if (known !== undefined) return known
    const found = this.catalogOf(catalog)
    if (found === undefined) return undefined
    const pieces = piecesOf(found)
    this.#pieces.set(catalog, pieces)
    return pieces
  }
  pieceCount(catalog: Sha256Digest): number | undefined {
    return this.#of(catalog)?.pieces.length
  }
  async piece(catalog: Sha256Digest, piece: number, preference: PiecePreference): Promise<PieceOnWire | undefined> {
    const kept = this.#frames.get(`${catalog}${piece}`)
    if (kept !== undefined) return { encoding: 'zstd', bytes: kept.slice() }
    const pieces = this.#of(catalog)
    const shape = pieces?.pieces[piece]
    if (pieces === undefined || shape === undefined) return undefined
    const chunks: Uint8Array[] = []
    for (const blob of shape.kind === 'group' ? shape.blobs : [shape.blob]) {
      const ref = pieces.blobs[blob]
      const local = ref === undefined ? undefined : this.library.find(ref.digest)
      if (local === undefined || ref === undefined) return undefined
      chunks.push(local.whole(ref.sizeBytes))
    }
    const whole = Buffer.concat(chunks)
    const raw = shape.kind === 'group' ? whole : whole.subarray(shape.offset, shape.offset + shape.bytes)
    if (preference === 'small' && raw.length > 0) {
      const frame = Bun.zstdCompressSync(raw, { level: 3 })
      if (frame.length < raw.length * 0.95) {
        this.#frames.set(`${catalog}${piece}`, new Uint8Array(frame))
        return { encoding: 'zstd', bytes: new Uint8Array(frame) }
      }
    }
    return { encoding: 'identity', bytes: new Uint8Array(raw) }
  }
  async table(_catalog: Sha256Digest): Promise<Uint8Array | undefined> {
    return undefined
  }
}
