/** What a Worker that serves pieces is told, and what it answers. */
import type { Sha256Digest } from '../blob/digest.ts'
import type { Roots } from '../catalog/layout.ts'
import type { PackedPieces } from './packed-pieces.ts'
import type { PiecePlace } from './piece-sink.ts'

/** What a Worker is started with. */
export interface PiecePlan {
  readonly roots: Roots
  /** Of its thread: 0, or how much it stands back behind others. */
  readonly nice: number
}

export interface PieceQuestion {
  readonly id: number
  readonly kind: 'piece'
  readonly catalog: Sha256Digest
  readonly piece: number
  readonly place: PiecePlace
  /** Level of zstd; undefined: raw. */
  readonly level: number | undefined
  /** Whether its SHA-256 is wanted. */
  readonly hash: boolean
  /** Whether its bytes are. */
  readonly bytes: boolean
  /** Where a raw one is to lie, with its buffer; as long as the content. */
  readonly memory: Uint8Array<ArrayBuffer> | undefined
}

/** A catalog is told once, before any question about it. */
export type PieceRequest =
  | { readonly kind: 'catalog'; readonly catalog: Sha256Digest; readonly pieces: PackedPieces }
  | { readonly kind: 'forget'; readonly catalog: Sha256Digest }
  | PieceQuestion

export interface PieceFound {
  /** `zstd` only where it was asked for, and is worth it. */
  readonly encoding: 'identity' | 'zstd'
  readonly bytes: Uint8Array | undefined
  readonly sha256: Sha256Digest | undefined
}

export interface PieceReply {
  readonly id: number
  readonly kind: 'piece'
  /** Undefined: it is not here, or not right. */
  readonly found: PieceFound | undefined
}
