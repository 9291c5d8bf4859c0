/**
 * The pieces that we have asked one peer for and not got yet, and whether its answers fit.
 *
 * Every request is of one channel (the session, or a lane) and ends exactly once: when so many pieces as it wants have
 * come or been refused, or with its channel. Wire forms are put together here; what they hold, nobody here looks at.
 * What was asked for bounds what can come, so no credit is needed: memory is that of the pieces under way.
 */
import type { HoloError } from '../base/errors.ts'
import type { Backlog } from '../base/lane.ts'
import { PIECE_WIRE_BYTES_MAX } from '../base/limits.ts'
import { spareMemory } from '../base/spare-memory.ts'
import type { Sha256Digest } from '../blob/digest.ts'
import type { PieceOnWire, PiecePreference, PieceRest } from '../blob/pieces.ts'
import type {
  CancelPieces,
  PieceHead,
  PieceMore,
  Refusal,
  RefusePieces,
  WantPieces,
  WantRest,
} from './piece-messages.ts'
import { violation } from './wire.ts'

/** One way to the peer. */
export interface PieceChannel {
  /** @returns false when `drained` should be awaited before the next */
  send(message: WantPieces | WantRest | PieceHead | PieceMore | RefusePieces | CancelPieces): boolean
  drained(signal: AbortSignal): Promise<void>
  /** As `LaneLink.backlog`. */
  backlog?(): Backlog | undefined
}

/** What happens to one request; called in the order in which it comes. */
export interface WantEvents {
  /**
   * A piece begins.
   *
   * @returns false where it is not wanted any more: it is then passed over, and ends by `onRefused` as cancelled, whether
   *   the peer breaks it off or has sent it all by then
   */
  onHead(piece: number, wireBytes: number): boolean
  /** So many bytes of it have come. */
  onBytes(piece: number, bytes: number): void
  /** All of it has come; the bytes are the callee's. */
  onReceived(piece: number, wire: PieceOnWire): void
  /** These do not come, the one that is under way only where it is named; 'all': whatever else is left of the request. */
  onRefused(pieces: 'all' | readonly number[], reason: Refusal): void
  /** The channel is lost, and with it the rest of the request. */
  onLost(error: HoloError): void
}

export interface PieceQuestion {
  readonly catalog: Sha256Digest
  readonly count: number
  readonly preference: PiecePreference
  readonly choices: readonly number[]
  /** Bytes of the content of a piece, by number: its wire form is as long, or zstd and shorter. */
  readonly pieceBytes: (piece: number) => number
  /** Of the only choice no more than this: what came of it is all that `onReceived` gives. */
  readonly rest?: PieceRest | undefined
}

/** What has come of a piece that is under way; `bytes` is as long as the whole. */
export interface ArrivedPiece {
  readonly encoding: PieceOnWire['encoding']
  readonly bytes: Uint8Array
  readonly filled: number
}

interface Open {
  readonly channel: PieceChannel
  readonly question: PieceQuestion
  readonly events: WantEvents
  /** Choices that may still come. */
  readonly left: Set<number>
  remaining: number
}

interface UnderWay {
  readonly request: number
  readonly open: Open
  readonly piece: number
  readonly encoding: PieceOnWire['encoding']
  /** Undefined where it is passed over. */
  readonly bytes: Uint8Array | undefined
  readonly wireBytes: number
  filled: number
}

export class PieceWants {
  #nextRequest = 0
  readonly #open = new Map<number, Open>()
  readonly #underWay = new Map<PieceChannel, UnderWay>()

  /** Requests under way. */
  get openRequests(): number {
    return this.#open.size
  }

  /** Ask for pieces over `channel`. @returns the number of the request */
  ask(channel: PieceChannel, question: PieceQuestion, events: WantEvents): number {
    const request = this.#nextRequest++
    const { catalog, count, preference, choices, rest } = question
    this.#open.set(request, { channel, question, events, left: new Set(choices), remaining: count })
    const [piece = 0] = choices
    if (rest !== undefined) channel.send({ type: 'want-rest', request, catalog, piece, rest })
    else channel.send({ type: 'want-pieces', request, catalog, count, preference, choices })
    return request
  }

  /** What has come of the piece that is under way for this request, and goes on coming; undefined where none is. */
  arrived(request: number): ArrivedPiece | undefined {
    for (const { request: other, encoding, bytes, filled } of this.#underWay.values()) {
      if (other === request) return bytes === undefined ? undefined : { encoding, bytes, filled }
    }
    return undefined
  }

  /** @param pieces none: all that is left of the request. Each is still ended, by its bytes or by a refusal */
  cancel(request: number, pieces: readonly number[]): void {
    this.#open.get(request)?.channel.send({ type: 'cancel-pieces', request, pieces })
  }

  /** @throws {HoloError} `protocol-violation` */
  onHead(channel: PieceChannel, { request, piece, encoding, wireBytes, chunk }: PieceHead): void {
    if (this.#underWay.has(channel)) throw violation('a piece before the end of another one')
    const open = this.#find(channel, request)
    if (!open.left.delete(piece)) throw violation(`piece ${piece}, which nobody asked for`)
    open.remaining--
    const { pieceBytes, rest } = open.question
    const contentBytes = pieceBytes(piece)
    const wholeBytes = rest === undefined ? wireBytes : rest.from + wireBytes
    const fits = encoding === 'identity' ? wholeBytes === contentBytes : wholeBytes < contentBytes
    if (!fits || wireBytes > PIECE_WIRE_BYTES_MAX) throw violation(`a piece of ${contentBytes} bytes in ${wholeBytes}`)
    if (rest !== undefined && (encoding !== rest.encoding || wholeBytes !== rest.wireBytes)) {
      throw violation(`the rest of another form of piece ${piece}`)
    }
    const wanted = open.events.onHead(piece, wireBytes)
    if (!wanted && chunk.byteLength < wireBytes) this.cancel(request, [piece])
    // Filled before anybody sees it.
    const bytes = wanted ? spareMemory(wireBytes) : undefined
    const underWay = { request, open, piece, encoding, bytes, wireBytes, filled: 0 }
    this.#underWay.set(channel, underWay)
    this.#fill(channel, underWay, chunk)
  }

  /** @throws {HoloError} `protocol-violation` */
  onMore(channel: PieceChannel, { chunk }: PieceMore): void {
    const underWay = this.#underWay.get(channel)
    if (underWay === undefined || chunk.byteLength === 0) throw violation('the middle of a piece before its beginning')
    this.#fill(channel, underWay, chunk)
  }

  /** @throws {HoloError} `protocol-violation` */
  onRefused(channel: PieceChannel, { request, reason, pieces }: RefusePieces): void {
    const underWay = this.#underWay.get(channel)
    const broken = underWay?.request === request && pieces.includes(underWay.piece)
    const open = broken ? underWay.open : this.#find(channel, request)
    if (broken) this.#underWay.delete(channel)
    for (const piece of pieces) {
      if (!open.left.delete(piece) && !(broken && piece === underWay.piece)) {
        throw violation(`a refusal of piece ${piece}, which nobody asked for`)
      }
    }
    if (pieces.length === 0) open.left.clear()
    open.remaining = Math.min(open.remaining, open.left.size)
    this.#closeIfEnded(request, open, channel)
    open.events.onRefused(pieces.length === 0 ? 'all' : pieces, reason)
  }

  /** A channel is of no use any more. */
  lost(channel: PieceChannel, error: HoloError): void {
    this.#underWay.delete(channel)
    for (const [request, open] of [...this.#open]) {
      if (open.channel !== channel) continue
      this.#open.delete(request)
      open.events.onLost(error)
    }
  }

  /** The connection has ended. */
  end(error: HoloError): void {
    for (const { channel } of [...this.#open.values()]) this.lost(channel, error)
  }

  #fill(channel: PieceChannel, underWay: UnderWay, chunk: Uint8Array): void {
    const { request, open, piece, encoding, bytes, wireBytes, filled } = underWay
    if (filled + chunk.byteLength > wireBytes) throw violation('more of a piece than it told')
    if (bytes !== undefined) {
      bytes.set(chunk, filled)
      if (chunk.byteLength > 0) open.events.onBytes(piece, chunk.byteLength)
    }
    underWay.filled += chunk.byteLength
    if (underWay.filled < wireBytes) return
    this.#underWay.delete(channel)
    this.#closeIfEnded(request, open, channel)
    if (bytes !== undefined) open.events.onReceived(piece, { encoding, bytes })
    else open.events.onRefused([piece], 'cancelled')
  }

  #find(channel: PieceChannel, request: number): Open {
    const open = this.#open.get(request)
    if (open === undefined || open.channel !== channel) throw violation(`an answer to no want of ours (${request})`)
    return open
  }

  #closeIfEnded(request: number, open: Open, channel: PieceChannel): void {
    if (open.remaining === 0 && this.#underWay.get(channel)?.request !== request) this.#open.delete(request)
  }
}
