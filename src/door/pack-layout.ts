/**
 * How a pack would lie in a file if there were one (docs/substituters.md, "Packs"), pure: which form each piece has, and
 * so where it begins, how long all of it is, and what it is known by.
 */
import { type Sha256Digest, sha256Hasher } from '../blob/digest.ts'
import type { PieceForm } from '../blob/pieces.ts'
import { packIndexBytes } from '../catalog/pack-index.ts'

export class PackLayout {
  /** Strong: two packs with the same tag have the same bytes, since hashes and content follow from the catalog. */
  readonly tag: string
  readonly indexBytes: number
  readonly sizeBytes: number
  /** Where each piece begins. */
  readonly #offsets: Float64Array

  /** @param forms of its pieces, in order */
  constructor(
    /** SHA-256 of the decoded catalog. */
    readonly catalog: Sha256Digest,
    readonly forms: readonly PieceForm[],
  ) {
    this.indexBytes = packIndexBytes(forms.length)
    this.#offsets = new Float64Array(forms.length)
    let at = this.indexBytes
    const marks = Buffer.alloc(8 * forms.length)
    for (const [piece, form] of forms.entries()) {
      this.#offsets[piece] = at
      at += form.bytes
      // Content has the length that the catalog says, so zeros stand for nothing else.
      if (form.encoding === 'identity') continue
      marks.writeUInt32LE(form.bytes, 8 * piece)
      marks.writeUInt32LE(form.crc, 8 * piece + 4)
    }
    this.sizeBytes = at
    const hasher = sha256Hasher()
    hasher.update(Buffer.from(catalog, 'hex'))
    hasher.update(marks)
    this.tag = hasher.digest()
  }

  offsetOf(piece: number): number {
    return this.#offsets[piece] ?? this.sizeBytes
  }

  /** The piece that the byte at `offset` belongs to, at or behind the index; an empty one never. */
  pieceAt(offset: number): number {
    let low = 0
    let high = this.forms.length
    while (low + 1 < high) {
      const middle = (low + high) >> 1
      if (this.offsetOf(middle) <= offset) low = middle
      else high = middle
    }
    return low
  }
}
