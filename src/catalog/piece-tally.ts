/**
 * Which pieces of a catalog are here, counted from the blobs that come one by one. Pure.
 */
import type { Digest } from '../blob/digest.ts'
import type { Pieces } from './pieces.ts'

export class PieceTally {
  /** Of each piece: how many of its blobs are missing. */
  readonly #lacking: Uint32Array
  /** The pieces that a missing blob has a part in. */
  readonly #piecesOf = new Map<Digest, number[]>()

  /** @param missing digests of the blobs that are not here */
  constructor({ blobs, pieces }: Pieces, missing: readonly Digest[]) {
    this.#lacking = new Uint32Array(pieces.length)
    for (const digest of missing) this.#piecesOf.set(digest, [])
    for (const [number, piece] of pieces.entries()) {
      for (const blob of piece.kind === 'group' ? piece.blobs : [piece.blob]) {
        const ref = blobs[blob]
        const parts = ref === undefined ? undefined : this.#piecesOf.get(ref.digest)
        if (parts === undefined) continue
        parts.push(number)
        this.#lacking[number] = (this.#lacking[number] ?? 0) + 1
      }
    }
  }

  /** Numbers of the pieces whose blobs are all here, ascending. */
  whole(): number[] {
    return [...this.#lacking.keys()].filter((piece) => this.#lacking[piece] === 0)
  }

  /** A blob has come. @returns numbers of the pieces that are whole by that; none where it was not missing */
  came(digest: Digest): number[] {
    const parts = this.#piecesOf.get(digest) ?? []
    this.#piecesOf.delete(digest)
    return parts.filter((piece) => {
      const left = (this.#lacking[piece] ?? 1) - 1
      this.#lacking[piece] = left
      return left === 0
    })
  }
}
