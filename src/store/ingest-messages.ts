/** What an ingest Worker is told, and what it answers: few messages, each for about 1 MiB of blobs. */
import type { Sha256Digest } from '../blob/digest.ts'
import type { Compression } from '../blob/gzip.ts'
import type { PieceOnWire } from '../blob/pieces.ts'
import type { BlobStream } from '../blob/source.ts'
import type { Roots } from '../catalog/layout.ts'
import type { PackedPieces } from './packed-pieces.ts'
import type { SentError } from './sent-error.ts'

/** What a Worker is started with. */
export interface IngestPlan {
  readonly roots: Roots
  readonly compression: Compression
}

/** A blob of the old path, by digest. */
export interface OneBlob {
  readonly digest: Sha256Digest
  readonly sizeBytes: number
  readonly encoding: BlobStream['encoding']
  readonly source: string
}

/** A small blob, and the bytes that it has in the array of its batch. */
export interface BatchedBlob extends OneBlob {
  readonly storedBytes: number
}

/** Each is answered once, by its `id`, but for `pieces` and what belongs to an open blob. */
export type IngestRequest =
  /** @property keepFrames whether frames that prove right are wanted back */
  | { readonly kind: 'pieces'; readonly pieces: PackedPieces; readonly keepFrames: boolean }
  | {
      readonly kind: 'piece'
      readonly id: number
      readonly piece: number
      readonly encoding: PieceOnWire['encoding']
      /** With its buffer. */
      readonly bytes: Uint8Array<ArrayBuffer>
      readonly source: string
    }
  /** SHA-256 of every piece, and who gave them; undefined: there is none any more. */
  | { readonly kind: 'table'; readonly id: number; readonly table: PieceTable | undefined }
  | { readonly kind: 'batch'; readonly id: number; readonly blobs: readonly BatchedBlob[]; readonly bytes: Uint8Array }
  | { readonly kind: 'open'; readonly id: number; readonly blob: OneBlob }
  | { readonly kind: 'chunk'; readonly id: number; readonly bytes: Uint8Array }
  /** All of an open blob has been sent. */
  | { readonly kind: 'last'; readonly id: number }
  /** Nobody waits for this blob any more. */
  | { readonly kind: 'drop'; readonly id: number }

export interface PieceTable {
  /** 32 bytes a piece. */
  readonly digests: Uint8Array
  readonly source: string
}

export interface PieceOutcome {
  readonly verdict: 'stored' | 'held' | 'wrong' | 'blob-wrong'
  /** Of `wrong` and `blob-wrong`. */
  readonly error?: SentError
  /** Pieces to be fetched again, of `blob-wrong`. */
  readonly again: readonly number[]
  readonly proved: readonly number[]
  readonly liars: readonly (readonly [source: string, error: SentError])[]
  /** The table is proved wrong. */
  readonly tableVoid: boolean
  readonly blobs: number
  readonly blobBytes: number
  /** Where the ranges of this blob lie until it is whole. */
  readonly temporary: string | undefined
  /** The zstd frame that came, where what it holds is proved, and somebody keeps it. */
  readonly frame: Uint8Array | undefined
}

export interface BlobOutcome {
  /** Undefined where the blob is at rest. */
  readonly error: SentError | undefined
}

export type IngestAnswer = { readonly id: number } & (
  | {
      readonly kind: 'piece'
      readonly outcome: PieceOutcome
      readonly notes: Uint32Array
      /** The memory that the piece came in, unless the outcome has its frame there. */
      readonly spare: ArrayBuffer | undefined
    }
  | { readonly kind: 'table'; readonly proved: readonly number[] }
  | { readonly kind: 'batch'; readonly outcomes: readonly BlobOutcome[]; readonly notes: Uint32Array }
  | { readonly kind: 'blob'; readonly outcome: BlobOutcome; readonly notes: Uint32Array }
)
