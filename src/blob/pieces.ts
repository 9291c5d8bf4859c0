/**
 * The doors between pieces on the wire and blobs at rest, for the fetching side and for the serving one.
 *
 * A piece is numbered within its catalog (catalog/pieces.ts). Its wire form is its content as it is, or one zstd frame
 * that tells its content size.
 */
import type { HoloError } from '../base/errors.ts'
import type { Sha256Digest } from './digest.ts'

export interface PieceOnWire {
  readonly encoding: 'identity' | 'zstd'
  /** Owned by whoever is given it: it may be handed to another thread. */
  readonly bytes: Uint8Array
}

/**
 * One of the wire forms that a piece can be sent in, so exactly that the same one means the same bytes: content follows
 * from the catalog, but frames of it can be made in many ways.
 */
export type PieceForm =
  | { readonly encoding: 'identity'; readonly bytes: number }
  | {
      readonly encoding: 'zstd'
      /** Length of the frame, less than that of the content. */
      readonly bytes: number
      /** CRC-32 of the frame. */
      readonly crc: number
    }

/** What is wanted of a piece of which the beginning is here: the rest of that very wire form. */
export interface PieceRest {
  readonly encoding: PieceOnWire['encoding']
  /** Of the whole wire form. */
  readonly wireBytes: number
  /** Where the rest begins, below `wireBytes`. */
  readonly from: number
  /** Bytes of the beginning by which the form is known, and their CRC-32: frames of one content can be made in many ways. */
  readonly knownBytes: number
  readonly knownCrc: number
}

/** What became of a piece that was received. */
export type PieceVerdict =
  /** Its bytes are proved by digest, and at rest: a group's blobs, or a range of a blob that is whole now or is in the table. */
  | { readonly verdict: 'stored' }
  /** A range at rest that only the rest of its blob can prove. */
  | { readonly verdict: 'held' }
  /** Those bytes are not what the catalog, or the piece table, says; `error` names source and blob. */
  | { readonly verdict: 'wrong'; readonly error: HoloError }
  /** The blob is whole and wrong, and no table tells which range is: all of these are to be fetched again, from one source. */
  | { readonly verdict: 'blob-wrong'; readonly pieces: readonly number[]; readonly error: HoloError }

export interface PieceReceipt {
  readonly verdict: PieceVerdict
  /** Pieces that this one has proved besides itself: ranges of the same blob. */
  readonly proved: readonly number[]
  /** Sources whose earlier ranges of this blob are known to be wrong now, with the error that names them. */
  readonly liars: ReadonlyMap<string, HoloError>
  /** Blobs that have come to rest by this piece, and their bytes. */
  readonly blobs: number
  readonly blobBytes: number
}

/** Where the pieces of one environment come to rest, away from the thread that runs the network. */
export interface PieceSink extends AsyncDisposable {
  /**
   * Decode, verify and write one piece. Many may be under way; each holds its bytes until it is through.
   *
   * @param wire belongs to the sink from the call on: its bytes have no length any more once a thread has them
   * @param source who sent it, for errors and for tracing liars
   * @throws {HoloError} blame `host` when writing fails; `signal.reason`
   */
  put(piece: number, wire: PieceOnWire, source: string, signal: AbortSignal): Promise<PieceReceipt>
}

/** How a piece may be sent: `small` may cost the sender time to compress it, `fast` never does. */
export type PiecePreference = 'fast' | 'small'

/** Pieces of what this machine holds, complete catalogs and those that are being fetched. */
export interface ServedPieces {
  /** @returns undefined where the catalog is neither held nor being fetched */
  pieceCount(catalog: Sha256Digest): number | undefined
  /**
   * @returns undefined where the piece is not held (any more)
   * @throws {HoloError} blame `host`; `signal.reason`
   */
  piece(
    catalog: Sha256Digest,
    piece: number,
    preference: PiecePreference,
    signal: AbortSignal,
  ): Promise<PieceOnWire | undefined>
  /**
   * Bytes `rest.from` to the end of the wire form that `rest` describes, without making one.
   *
   * @returns undefined where the piece, or that form of it, is not held
   * @throws {HoloError} blame `host`; `signal.reason`
   */
  rest(catalog: Sha256Digest, piece: number, rest: PieceRest, signal: AbortSignal): Promise<Uint8Array | undefined>
  /** The SHA-256 of every piece, back to back. @returns undefined where it is not made yet */
  table(catalog: Sha256Digest, signal: AbortSignal): Promise<Uint8Array | undefined>
}

/** The same for who has to know the length of every piece before the first one is sent. Complete catalogs only. */
export interface FormedPieces {
  /**
   * The form in which each piece can be sent without making one: a frame that was prepared, else its content. Another
   * call may tell other ones, since frames come and go.
   *
   * @returns undefined where the catalog is not held whole
   */
  forms(catalog: Sha256Digest): readonly PieceForm[] | undefined
  /** Whether pieces are still to be had in these forms, which were told before. */
  areKept(catalog: Sha256Digest, forms: readonly PieceForm[]): boolean
  /**
   * @returns undefined where the piece is not to be had in this form (any more)
   * @throws {HoloError} blame `host`; `signal.reason`
   */
  inForm(catalog: Sha256Digest, piece: number, form: PieceForm, signal: AbortSignal): Promise<Uint8Array | undefined>
  /**
   * The SHA-256 of every piece, back to back, in chunks: at once where the table is kept, else as they are computed.
   * Ends early where a piece is not here, or not right.
   *
   * @throws {HoloError} while iterating: blame `host`; `signal.reason`
   */
  hashes(catalog: Sha256Digest, signal: AbortSignal): AsyncGenerator<Uint8Array>
}
