/**
 * Pieces that two peers send: the beginning comes from one of them, the rest from another one.
 *
 * Both must be of the same wire form, of which there are many where it is compressed: whoever is asked for a rest is told
 * a checksum of what has come. Whether the whole is right is found out as with any piece.
 */
import { crc32 } from 'node:zlib'
import type { PieceOnWire, PieceRest } from '../blob/pieces.ts'
import type { ArrivedPiece } from './piece-wants.ts'

/** A piece that is here, and who sent it: one, or the one who began it and the one who sent the rest. */
export interface SentPiece {
  readonly wire: PieceOnWire
  readonly senders: readonly string[]
}

interface Parts {
  readonly begun: ArrivedPiece
  readonly from: number
  /** Who begins it, and who sends the rest. */
  readonly senders: readonly string[]
}

export class PieceParts {
  readonly #parts = new Map<number, Parts>()

  /** The second of `senders` is about to be asked for what comes after `from` bytes; `begun` is what the first one sends. */
  begin(piece: number, begun: ArrivedPiece, from: number, senders: readonly string[]): PieceRest {
    this.#parts.set(piece, { begun, from, senders })
    const { encoding, bytes, filled } = begun
    const knownCrc = crc32(bytes.subarray(0, filled))
    return { encoding, wireBytes: bytes.byteLength, from, knownBytes: filled, knownCrc }
  }

  /** The rest is here. */
  keep(piece: number, rest: Uint8Array): void {
    const parts = this.#parts.get(piece)
    // In the same memory, so that nothing is held twice; what its peer may still send there is the same, or a lie.
    parts?.begun.bytes.set(rest, parts.from)
  }

  /** It came whole from one after all. */
  forget(piece: number): void {
    this.#parts.delete(piece)
  }

  /** Both are here. @returns the piece, in memory of its own; undefined where nobody was asked for a rest */
  take(piece: number): SentPiece | undefined {
    const parts = this.#parts.get(piece)
    if (parts === undefined) return undefined
    this.#parts.delete(piece)
    const { begun, senders } = parts
    return { wire: { encoding: begun.encoding, bytes: Uint8Array.from(begun.bytes) }, senders }
  }
}
