/**
 * The pieces that this machine sends to one peer: one at a time, the next one made ready meanwhile. A piece that cannot
 * be read is refused, and the peer asks others.
 */
import { type Clock, nextTurn } from '../base/clock.ts'
import { HoloError, messageOf } from '../base/errors.ts'
import type { Backlog } from '../base/lane.ts'
import { BAD_REQUESTS_MAX } from '../base/limits.ts'
import type { Logger } from '../base/log.ts'
import { giveBack } from '../base/spare-memory.ts'
import { UPLOAD_AHEAD_MAX, UPLOAD_WANTS_MAX } from '../base/upload-limits.ts'
import { parseSha256, type Sha256Digest } from '../blob/digest.ts'
import type { PieceOnWire, PiecePreference, PieceRest, ServedPieces } from '../blob/pieces.ts'
import type { CancelPieces, CatalogComing, Choke, PiecesGot, Refusal, WantPieces, WantRest } from './piece-messages.ts'
import type { PieceChannel } from './piece-wants.ts'
import type { SharedUploads } from './serve.ts'
import type { UploadGate } from './upload-gate.ts'
import type { Upload, UploadQueue } from './upload-queue.ts'
import { violation } from './wire.ts'

/** What the uploads to all peers share. */
export interface PieceUploadsServer extends SharedUploads {
  readonly options: {
    readonly served: ServedPieces
    readonly clock: Clock
    readonly log: Logger
    readonly wantsPerPeer?: number | undefined
  }
  readonly gate: UploadGate
  /** Peers to whom a piece goes out, and whose next one is being made ready, or is. */
  ahead: number
  /** Something was asked for, sent or given up: carry out what follows. */
  advance(): void
  /** Look again when it is time, as of now. */
  lookLater(): void
  detach(id: string): void
}

/** What the server needs of one connection. */
export interface PieceClient {
  /** Unique among the connections of this process. */
  readonly id: string
  /** Of the protocol. */
  readonly version: number
  /** On the session. */
  send(message: Choke | CatalogComing): void
  /** A bug: something else than a HoloError was thrown. */
  onCrash(error: unknown): void
}

interface Asked {
  readonly channel: PieceChannel
  /** How its pieces are to be made, or what of its only one is wanted. */
  readonly how: PiecePreference | PieceRest
  /** Choices that were neither sent nor refused. */
  readonly left: Set<number>
  /** How many of them are owed. */
  remaining: number
}

/** What one peer wants of us. */
export class PieceUploads {
  readonly #asked = new Map<number, Asked>()
  readonly #over = new AbortController()
  #pumping = false
  /** What is made ready, and what goes out. */
  #reading: { readonly upload: Upload; cancelled: boolean } | undefined
  #sending: { readonly request: number; readonly piece: number; cancelled: boolean } | undefined
  /** Wants of catalogs that are neither here nor on their way here, and those beyond what may be open. */
  #badRequests = 0
  /** Where something was sent last. */
  #channel: PieceChannel | undefined
  /** Bytes of wire forms sent so far. */
  sentBytes = 0

  constructor(
    private readonly server: PieceUploadsServer,
    private readonly client: PieceClient,
    private readonly queue: UploadQueue,
  ) {}

  /** Whether the peer waits for something. */
  get isAsked(): boolean {
    return this.#asked.size > 0
  }

  /** What of it is in the network; undefined where nothing tells. */
  get backlog(): Backlog | undefined {
    return this.#channel?.backlog?.()
  }

  /** @throws {HoloError} `protocol-violation` */
  want(channel: PieceChannel, message: WantPieces | WantRest): void {
    const { request, catalog } = message
    const isRest = message.type === 'want-rest'
    const [choices, count] = isRest ? [[message.piece], 1] : [message.choices, message.count]
    if (this.#asked.has(request)) throw violation(`request ${request} twice`)
    const { served, clock, wantsPerPeer = UPLOAD_WANTS_MAX } = this.server.options
    const pieces = served.pieceCount(catalog)
    const refusal = pieces === undefined ? 'not-held' : this.#asked.size >= wantsPerPeer ? 'choked' : undefined
    if (refusal !== undefined && ++this.#badRequests > BAD_REQUESTS_MAX) {
      throw violation(`${this.#badRequests} wants of what we never told of, or beyond what may be open`)
    }
    if (pieces !== undefined && choices.some((piece) => piece >= pieces)) {
      throw violation(`a want beyond the ${pieces} pieces of its catalog`)
    }
    if (refusal !== undefined) {
      channel.send({ type: 'refuse-pieces', request, reason: refusal, pieces: [] })
      return
    }
    const how = isRest ? message.rest : message.preference
    this.#asked.set(request, { channel, how, left: new Set(choices), remaining: count })
    const verdict = this.queue.onWant(this.client.id, { request, catalog, count, choices }, clock.nowMs())
    if (verdict === 'violation') throw violation('a want that asks for too much')
    this.server.advance()
  }

  /** The peer tells that it has these. */
  onGot({ catalog, pieces }: PiecesGot): void {
    this.queue.onGot(this.client.id, catalog, pieces, this.server.options.clock.nowMs())
    this.server.lookLater()
  }

  /** What ended while the cancel was on its way is passed over. */
  cancel({ request, pieces }: CancelPieces): void {
    const asked = this.#asked.get(request)
    if (asked === undefined) return
    this.#cancel(request, pieces.length === 0 ? 'all' : pieces, asked)
    this.server.advance()
  }

  #cancel(request: number, pieces: 'all' | readonly number[], { left }: Asked): void {
    const named = (each: { readonly request: number; readonly piece: number } | undefined) =>
      each?.request === request && (pieces === 'all' || pieces.includes(each.piece))
    if (this.#sending !== undefined && named(this.#sending)) this.#sending.cancelled = true
    if (this.#reading !== undefined && named(this.#reading.upload)) this.#reading.cancelled = true
    for (const piece of pieces === 'all' ? left : pieces) this.queue.onCancel(this.client.id, request, piece)
  }

  /** Nothing more can be said over this channel. */
  channelLost(channel: PieceChannel): void {
    for (const [request, asked] of [...this.#asked]) {
      if (asked.channel !== channel) continue
      this.#cancel(request, 'all', asked)
      this.#asked.delete(request)
    }
    this.server.advance()
  }

  tellComing(catalog: Sha256Digest): void {
    if (this.client.version >= 4) this.client.send({ type: 'catalog-coming', catalog })
  }

  choke(choked: boolean): void {
    this.client.send({ type: 'choke', choked })
  }

  refuse(request: number, pieces: 'all' | readonly number[], reason: Refusal): void {
    const asked = this.#asked.get(request)
    if (asked === undefined) return
    asked.channel.send({ type: 'refuse-pieces', request, reason, pieces: pieces === 'all' ? [] : pieces })
    if (pieces === 'all') asked.left.clear()
    else for (const piece of pieces) asked.left.delete(piece)
    this.#settle(request, asked)
  }

  /** It has ended where nothing more is owed, and nothing of it is under way. */
  #settle(request: number, asked: Asked): void {
    const isReady = this.#reading?.upload.request === request ? 1 : 0
    asked.remaining = Math.min(asked.remaining, asked.left.size + isReady)
    if (asked.remaining === 0 && this.#sending?.request !== request) this.#asked.delete(request)
  }

  stop(): void {
    if (this.#over.signal.aborted) return
    this.#over.abort(new Error('the connection has ended'))
    this.#asked.clear()
    this.server.detach(this.client.id)
  }

  /** Send what is wanted, unless that is being done. */
  pump(): void {
    if (this.#pumping || this.#over.signal.aborted) return
    this.#pumping = true
    this.#send().then(
      () => {
        this.#pumping = false
        // What rests has been found only now.
        this.server.lookLater()
      },
      (error: unknown) => {
        this.#pumping = false
        if (!this.#over.signal.aborted) this.client.onCrash(error)
      },
    )
  }

  /** One piece is made ready while the one before it goes out. */
  async #send(): Promise<void> {
    const { signal } = this.#over
    const { clock } = this.server.options
    const { id } = this.client
    let transmission: Promise<void> | undefined
    for (;;) {
      if (transmission !== undefined && this.server.ahead >= UPLOAD_AHEAD_MAX) {
        await transmission
        transmission = undefined
      }
      const upload = this.queue.next(id, clock.nowMs())
      if (upload === undefined) {
        if (transmission === undefined) return
        await transmission
        transmission = undefined
        continue
      }
      const { request, piece } = upload
      const asked = this.#asked.get(request)
      asked?.left.delete(piece)
      this.#reading = { upload, cancelled: false }
      const isAhead = transmission !== undefined
      if (isAhead) this.server.ahead++
      let wire: PieceOnWire | undefined
      try {
        wire = asked === undefined ? undefined : await this.#read(upload, asked.how)
        await transmission
      } finally {
        if (isAhead) this.server.ahead--
      }
      signal.throwIfAborted()
      const { cancelled } = this.#reading
      this.#reading = undefined
      if (asked === undefined || wire === undefined || cancelled) {
        this.queue.onUnsent(id, upload, { begun: false }, clock.nowMs())
        this.refuse(request, [piece], cancelled ? 'cancelled' : 'failed')
      } else {
        this.queue.onSent(id, upload, wire.bytes.byteLength, clock.nowMs())
        asked.remaining--
        transmission = this.#transmit(upload, asked, wire)
        // Whoever awaits it hears of its failure; until then it is nobody's.
        transmission.catch(() => {})
      }
      this.server.advance()
    }
  }

  async #read({ catalog, piece }: Upload, how: Asked['how']): Promise<PieceOnWire | undefined> {
    const { served, log } = this.server.options
    const { signal } = this.#over
    const sha256 = parseSha256(catalog)
    if (sha256 === undefined) return undefined
    try {
      if (typeof how === 'string') return await served.piece(sha256, piece, how, signal)
      const bytes = await served.rest(sha256, piece, how, signal)
      return bytes === undefined ? undefined : { encoding: how.encoding, bytes }
    } catch (error) {
      this.#over.signal.throwIfAborted()
      if (!(error instanceof HoloError)) throw error
      log.warn(`A peer was not served: ${messageOf(error)}`)
      return undefined
    }
  }

  /** Chunk by chunk, as far as the peer still wants it. */
  async #transmit({ request, piece }: Upload, asked: Asked, { encoding, bytes }: PieceOnWire): Promise<void> {
    const { signal } = this.#over
    const { catalogTurns, uploadLimit, gate } = this.server
    const { channel } = asked
    this.#channel = channel
    const turn = gate.turn(() => channel.backlog?.())
    const wireBytes = bytes.byteLength
    const sending = { request, piece, cancelled: false }
    this.#sending = sending
    let at = 0
    do {
      if (catalogTurns.holdsPieces) await catalogTurns.free(signal)
      await gate.pass(turn, signal)
      const chunk = bytes.subarray(at, at + gate.chunkBytes)
      if (uploadLimit !== undefined) await uploadLimit.pass(chunk.byteLength, signal)
      if (sending.cancelled) {
        channel.send({ type: 'refuse-pieces', request, reason: 'cancelled', pieces: [piece] })
        break
      }
      const hasRoom = channel.send(
        at === 0 ? { type: 'piece', request, piece, encoding, wireBytes, chunk } : { type: 'piece-more', chunk },
      )
      at += chunk.byteLength
      this.sentBytes += chunk.byteLength
      if (!hasRoom) await channel.drained(signal)
    } while (at < wireBytes)
    // Each is up to 1 MiB, and the collector would let them pile up: 200 MB with eight peers.
    giveBack(bytes)
    // So that other connections get their turn.
    await nextTurn()
    this.#sending = undefined
    this.#settle(request, asked)
  }
}
