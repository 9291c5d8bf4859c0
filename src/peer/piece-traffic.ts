/**
 * All that one connection says about pieces: routed to our wants, to what we send, or to what the peer holds.
 *
 * Wants go over the lane where there is one, else over the session; an answer comes on the channel of its want.
 */
import type { HoloError } from '../base/errors.ts'
import type { Sha256Digest } from '../blob/digest.ts'
import type { Bitfield } from './bitfield.ts'
import type { HeldCatalog } from './messages.ts'
import type { PieceMessage, PieceTrafficMessage, TableRequest } from './piece-messages.ts'
import type { PiecePeer } from './piece-requests.ts'
import type { PieceUploads } from './piece-uploads.ts'
import { type ArrivedPiece, type PieceChannel, type PieceQuestion, PieceWants, type WantEvents } from './piece-wants.ts'
import { RemoteHoldings } from './remote-holdings.ts'

/** Messages about pieces, but for the question about a table, which is answered as that about a catalog is. */
export type ToldOfPieces = Exclude<PieceMessage, TableRequest>

/** What of a connection pieces need. */
export interface PieceTrafficEnds {
  /** Of the peer, in errors and log lines. */
  name(): string
  /** What the peer holds completely. */
  complete(): Iterable<HeldCatalog>
  /** Whether it knows what the rest of a piece is. */
  sendsRests(): boolean
  /** The best way to the peer now. */
  channel(): PieceChannel
  /** Pieces are about to be asked for: the time to see to a lane. */
  onWanted(): void
  /** The peer owes us pieces and sends nothing. */
  giveUp(why: string): void
  /** The peer has told what it holds of a catalog, anew. */
  onHeld(catalog: Sha256Digest): void
  /** It holds these besides. */
  onGot(catalog: Sha256Digest, pieces: readonly number[]): void
  onChoke(choked: boolean): void
}

export class PieceTraffic implements PiecePeer {
  readonly #wants = new PieceWants()
  readonly #holdings = new RemoteHoldings()
  readonly #ends: PieceTrafficEnds
  #uploads: PieceUploads | undefined
  #choked = false
  #over = false

  constructor(ends: PieceTrafficEnds) {
    this.#ends = ends
  }

  /** Send pieces from now on, too. */
  serve(uploads: PieceUploads): void {
    this.#uploads = uploads
  }

  get name(): string {
    return this.#ends.name()
  }

  /** Whether the peer refuses our wants for now. */
  get choked(): boolean {
    return this.#choked
  }

  get isOpen(): boolean {
    return !this.#over
  }

  /** Whether either side owes the other pieces. */
  get isBusy(): boolean {
    return this.#wants.openRequests > 0 || this.#uploads?.isAsked === true
  }

  /** Bytes of pieces sent so far. */
  get sentBytes(): number {
    return this.#uploads?.sentBytes ?? 0
  }

  holdings(catalog: Sha256Digest): 'all' | Bitfield | undefined {
    for (const held of this.#ends.complete()) if (held.sha256 === catalog) return 'all'
    return this.#holdings.of(catalog)
  }

  /** Whether it has this catalog, or some of it, since it fetches that, too. */
  hasCatalog(catalog: Sha256Digest): boolean {
    return this.holdings(catalog) !== undefined || this.#holdings.isComing(catalog)
  }

  ask(question: PieceQuestion, events: WantEvents): number {
    this.#ends.onWanted()
    return this.#wants.ask(this.#ends.channel(), question, events)
  }

  get sendsRests(): boolean {
    return this.#ends.sendsRests()
  }

  arrived(request: number): ArrivedPiece | undefined {
    return this.#wants.arrived(request)
  }

  cancel(request: number, pieces: readonly number[]): void {
    this.#wants.cancel(request, pieces)
  }

  giveUp(why: string): void {
    this.#ends.giveUp(why)
  }

  /** What came on the session. @throws {HoloError} `protocol-violation` */
  take(message: ToldOfPieces, channel: PieceChannel): void {
    switch (message.type) {
      case 'pieces-held':
        this.#holdings.onHeld(message)
        this.#ends.onHeld(message.catalog)
        break
      case 'pieces-got':
        this.#holdings.onGot(message)
        this.#uploads?.onGot(message)
        this.#ends.onGot(message.catalog, message.pieces)
        break
      case 'catalog-coming':
        this.#holdings.onComing(message.catalog)
        this.#ends.onHeld(message.catalog)
        break
      case 'choke':
        this.#choked = message.choked
        this.#ends.onChoke(message.choked)
        break
      default:
        this.takeTraffic(message, channel)
    }
  }

  /** What came on any channel. @throws {HoloError} `protocol-violation` */
  takeTraffic(message: PieceTrafficMessage, channel: PieceChannel): void {
    switch (message.type) {
      case 'piece':
        this.#wants.onHead(channel, message)
        break
      case 'piece-more':
        this.#wants.onMore(channel, message)
        break
      case 'refuse-pieces':
        this.#wants.onRefused(channel, message)
        break
      case 'want-pieces':
      case 'want-rest': {
        const { request } = message
        if (this.#uploads !== undefined) this.#uploads.want(channel, message)
        else channel.send({ type: 'refuse-pieces', request, reason: 'not-held', pieces: [] })
        break
      }
      case 'cancel-pieces':
        this.#uploads?.cancel(message)
    }
  }

  /** A lane has ended. */
  channelLost(channel: PieceChannel, error: HoloError): void {
    this.#uploads?.channelLost(channel)
    this.#wants.lost(channel, error)
  }

  /** The connection has ended. */
  end(error: HoloError): void {
    this.#over = true
    this.#uploads?.stop()
    this.#wants.end(error)
  }
}

const TRAFFIC: ReadonlySet<string> = new Set([
  'want-pieces',
  'want-rest',
  'piece',
  'piece-more',
  'refuse-pieces',
  'cancel-pieces',
])

/** Whether a message is one that any channel may carry. */
export function isPieceTraffic(message: { readonly type: string }): message is PieceTrafficMessage {
  return TRAFFIC.has(message.type)
}

/** Whether a message of a session is for `PieceTraffic`. */
export function isPieceMessage(message: { readonly type: string }): message is ToldOfPieces {
  return isPieceTraffic(message) || ['pieces-held', 'pieces-got', 'catalog-coming', 'choke'].includes(message.type)
}
