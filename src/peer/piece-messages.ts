/**
 * What two peers say about pieces: types of versions 2 and 4 of `holo-peer/1` (docs/protocol.md, "Pieces").
 *
 * A piece is numbered within its catalog, which is named by the SHA-256 of its decoded JSON. What is held is told on the
 * session; wants and what answers them go over the lane where there is one, else over the session.
 */

import type { Sha256Digest } from '../blob/digest.ts'
import type { PiecePreference, PieceRest } from '../blob/pieces.ts'

/** Which pieces the sender holds of a catalog that it does not hold completely; takes the place of what it said before. */
export interface PiecesHeld {
  readonly type: 'pieces-held'
  readonly catalog: Sha256Digest
  /** Pieces of the catalog; 0 takes back what was said. */
  readonly count: number
  /** One bit each, the first piece in the highest bit of the first byte; unused bits are zero. */
  readonly bits: Uint8Array
}

/** Pieces that the sender holds besides. */
export interface PiecesGot {
  readonly type: 'pieces-got'
  readonly catalog: Sha256Digest
  readonly pieces: readonly number[]
}

/** The sender is being sent this catalog, and sends on what has come of it, to whoever asks. Of version 4. */
export interface CatalogComing {
  readonly type: 'catalog-coming'
  readonly catalog: Sha256Digest
}

/** Send `count` of `choices`, whichever you have served least. */
export interface WantPieces {
  readonly type: 'want-pieces'
  readonly request: number
  readonly catalog: Sha256Digest
  readonly count: number
  /** Whether the sender may spend time to make it small. */
  readonly preference: PiecePreference
  readonly choices: readonly number[]
}

/**
 * Send what comes after `from` bytes of a piece's wire form: the one that has this encoding and length, and begins with
 * bytes that have this checksum. Of version 4; answered as a want of one piece, whose wire form is that rest.
 */
export interface WantRest {
  readonly type: 'want-rest'
  readonly request: number
  readonly catalog: Sha256Digest
  readonly piece: number
  readonly rest: PieceRest
}

/** A piece begins; what `chunk` lacks of its wire form follows in `piece-more`, with no other piece between on this link. */
export interface PieceHead {
  readonly type: 'piece'
  readonly request: number
  readonly piece: number
  readonly encoding: 'identity' | 'zstd'
  /** Of the wire form. */
  readonly wireBytes: number
  readonly chunk: Uint8Array
}

export interface PieceMore {
  readonly type: 'piece-more'
  readonly chunk: Uint8Array
}

export const REFUSALS = ['not-held', 'choked', 'cancelled', 'failed'] as const
export type Refusal = (typeof REFUSALS)[number]

/** These choices do not come, or no further; with none named, nothing of the request does that has not begun. */
export interface RefusePieces {
  readonly type: 'refuse-pieces'
  readonly request: number
  readonly reason: Refusal
  readonly pieces: readonly number[]
}

/** Do not send these any more, the one under way included; with none named, nothing of the request. */
export interface CancelPieces {
  readonly type: 'cancel-pieces'
  readonly request: number
  readonly pieces: readonly number[]
}

/** Whether wants are refused for now. */
export interface Choke {
  readonly type: 'choke'
  readonly choked: boolean
}

/** Ask for the SHA-256 of every piece of a catalog; answered by one part, numbered 0, as `catalog` is. */
export interface TableRequest {
  readonly type: 'piece-table'
  readonly request: number
  readonly catalog: Sha256Digest
}

/** What is said on the link that pieces travel on. */
export type PieceTrafficMessage = WantPieces | WantRest | PieceHead | PieceMore | RefusePieces | CancelPieces

export type PieceMessage = PiecesHeld | PiecesGot | CatalogComing | PieceTrafficMessage | Choke | TableRequest
