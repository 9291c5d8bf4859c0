/**
 * The pieces of one catalog as flat columns in shared memory: given to several Workers once, without a copy.
 *
 * Knows nothing of what is done with pieces.
 */
import { PIECE_BYTES } from '../base/limits.ts'
import type { Sha256Digest } from '../blob/digest.ts'
import type { BlobRef } from '../blob/source.ts'
import type { Pieces } from '../catalog/pieces.ts'

const DIGEST_BYTES = 32

/** Blobs and pieces by number, as in catalog/pieces.ts. */
export interface PackedPieces {
  /** 32 bytes a blob. */
  readonly digests: Uint8Array
  readonly sizes: Float64Array
  /** Where in `members` the blobs of each piece begin; one more than there are pieces. */
  readonly from: Uint32Array
  /** Blobs of all pieces: those of a group, or the one of a range. */
  readonly members: Uint32Array
  /** Of a range: where it begins in its blob. */
  readonly offsets: Float64Array
}

/** Which range of which blob a piece is. */
export interface RangePlace {
  readonly blob: number
  /** From 0. */
  readonly range: number
  readonly bytes: number
}

export function packPieces({ blobs, pieces }: Pieces): PackedPieces {
  const memberCount = pieces.reduce((sum, piece) => sum + (piece.kind === 'group' ? piece.blobs.length : 1), 0)
  const packed = {
    digests: new Uint8Array(new SharedArrayBuffer(DIGEST_BYTES * blobs.length)),
    sizes: new Float64Array(new SharedArrayBuffer(8 * blobs.length)),
    from: new Uint32Array(new SharedArrayBuffer(4 * (pieces.length + 1))),
    members: new Uint32Array(new SharedArrayBuffer(4 * memberCount)),
    offsets: new Float64Array(new SharedArrayBuffer(8 * pieces.length)),
  }
  const digestText = Buffer.from(packed.digests.buffer)
  for (const [blob, { digest, sizeBytes }] of blobs.entries()) {
    digestText.write(digest, DIGEST_BYTES * blob, 'hex')
    packed.sizes[blob] = sizeBytes
  }
  let at = 0
  for (const [number, piece] of pieces.entries()) {
    packed.from[number] = at
    if (piece.kind === 'group') {
      packed.members.set(piece.blobs, at)
      at += piece.blobs.length
    } else {
      packed.members[at++] = piece.blob
      packed.offsets[number] = piece.offset
    }
  }
  packed.from[pieces.length] = at
  return packed
}

/** Numbers of the blobs of one piece. */
export function membersOf({ from, members }: PackedPieces, piece: number): Uint32Array {
  return members.subarray(from[piece] ?? 0, from[piece + 1] ?? 0)
}

/** @returns undefined for a group */
export function rangeOf(pieces: PackedPieces, piece: number): RangePlace | undefined {
  const blob = membersOf(pieces, piece)[0] ?? 0
  const sizeBytes = pieces.sizes[blob] ?? 0
  if (sizeBytes <= PIECE_BYTES) return undefined
  const offset = pieces.offsets[piece] ?? 0
  return { blob, range: Math.floor(offset / PIECE_BYTES), bytes: Math.min(PIECE_BYTES, sizeBytes - offset) }
}

/** Bytes of the content of one piece. */
export function contentBytes(pieces: PackedPieces, piece: number): number {
  const range = rangeOf(pieces, piece)
  if (range !== undefined) return range.bytes
  return membersOf(pieces, piece).reduce((sum, blob) => sum + (pieces.sizes[blob] ?? 0), 0)
}

export function refOf({ digests, sizes }: PackedPieces, blob: number): BlobRef & { readonly digest: Sha256Digest } {
  const hex = Buffer.from(digests.buffer, digests.byteOffset + DIGEST_BYTES * blob, DIGEST_BYTES).toString('hex')
  return { digest: hex as Sha256Digest, sizeBytes: sizes[blob] ?? 0 }
}
