/**
 * The pieces that this machine sends, over all its connections.
 *
 * Which piece goes to whom, and who has to wait, is `UploadQueue`'s; here it is carried out: one piece at a time per
 * peer, the next one made ready while the last drains. A piece that cannot be read is refused, and the peer asks others.
 */
import { type Clock, nextTurn } from '../base/clock.ts'
import { HoloError, messageOf } from '../base/errors.ts'
import { PIECE_CHUNK_BYTES_MAX, UPLOAD_SLOTS, UPLOAD_WANTS_MAX } from '../base/limits.ts'
import type { Logger } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import { parseSha256 } from '../blob/digest.ts'
import type { PieceOnWire, PiecePreference, ServedPieces } from '../blob/pieces.ts'
import type { CancelPieces, Choke, RefusePieces, WantPieces } from './piece-messages.ts'
import type { PieceChannel } from './piece-wants.ts'
import type { RateLimit } from './rate-limit.ts'
import { UploadQueue } from './upload-queue.ts'
import { violation } from './wire.ts'

export interface PieceServerOptions {
  readonly served: ServedPieces
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  /** Peers that are served at the same time; undefined for the usual number. */
  readonly slots?: number | undefined
  /** Wants that one peer may have open; undefined for the usual number. */
  readonly wantsPerPeer?: number | undefined
  /** What leaves this machine, in bytes a second; undefined for as much as goes. */
  readonly uploadLimit?: RateLimit | undefined
}

/** What the server needs of one connection. */
export interface PieceClient {
  /** Unique among the connections of this process. */
  readonly id: string
  /** On the session. */
  send(message: Choke): void
  /** A bug: something else than a HoloError was thrown. */
  onCrash(error: unknown): void
}

interface Asked {
  readonly channel: PieceChannel
  readonly preference: PiecePreference
  /** Pieces that may still be sent, or refused. */
  readonly left: Set<number>
  remaining: number
  /** The piece that is being sent, and whether the peer has cancelled it meanwhile. */
  underWay: number | undefined
  cancelled: boolean
}

/** The pieces of one process for all its peers. */
export class PieceServer {
  readonly #queue: UploadQueue
  readonly #peers = new Map<string, PieceUploads>()
  #ticking = false

  constructor(readonly options: PieceServerOptions) {
    this.#queue = new UploadQueue({ slots: options.slots ?? UPLOAD_SLOTS, random: options.random })
  }

  /** A member has come. */
  attach(client: PieceClient): PieceUploads {
    const uploads = new PieceUploads(this, client, this.#queue)
    this.#peers.set(client.id, uploads)
    this.#queue.addPeer(client.id, this.options.clock.nowMs())
    return uploads
  }

  detach(id: string): void {
    this.#peers.delete(id)
    this.#queue.removePeer(id)
    this.advance()
  }

  /** Slots may have come free, or filled: tell those concerned, and look again when it is time. */
  advance(): void {
    const { clock } = this.options
    for (const { peer, choked } of this.#queue.tick(clock.nowMs())) this.#peers.get(peer)?.choke(choked)
    for (const uploads of this.#peers.values()) uploads.pump()
    const { wakeMs } = this.#queue
    if (this.#ticking || wakeMs === undefined || this.#peers.size === 0) return
    this.#ticking = true
    // Peers that leave end what it is for; the wait itself is bounded by the choke interval.
    void clock.sleep(Math.max(10, wakeMs - clock.nowMs()), new AbortController().signal).then(() => {
      this.#ticking = false
      this.advance()
    })
  }
}

/** What one peer wants of us. */
export class PieceUploads {
  readonly #asked = new Map<number, Asked>()
  readonly #over = new AbortController()
  #pumping = false
  /** Bytes of wire forms sent so far. */
  sentBytes = 0

  constructor(
    private readonly server: PieceServer,
    private readonly client: PieceClient,
    private readonly queue: UploadQueue,
  ) {}

  /** @throws {HoloError} `protocol-violation` */
  want(channel: PieceChannel, { request, catalog, count, preference, choices }: WantPieces): void {
    if (this.#asked.has(request)) throw violation(`request ${request} twice`)
    if (this.#asked.size >= UPLOAD_WANTS_MAX) throw violation(`more than ${UPLOAD_WANTS_MAX} wants of pieces at once`)
    const { served, clock, wantsPerPeer = UPLOAD_WANTS_MAX } = this.server.options
    if (this.#asked.size >= wantsPerPeer) {
      channel.send({ type: 'refuse-pieces', request, reason: 'choked', pieces: [] })
      return
    }
    const pieces = served.pieceCount(catalog)
    if (pieces === undefined) {
      channel.send({ type: 'refuse-pieces', request, reason: 'not-held', pieces: [] })
      return
    }
    if (choices.some((piece) => piece >= pieces)) throw violation(`a want beyond the ${pieces} pieces of its catalog`)
    const left = new Set(choices)
    this.#asked.set(request, { channel, preference, left, remaining: count, underWay: undefined, cancelled: false })
    this.queue.onWant(this.client.id, { request, catalog, count, choices }, clock.nowMs())
    this.server.advance()
  }

  /** Unknown numbers are of what ended while the cancel was on its way. */
  cancel({ request, pieces }: CancelPieces): void {
    const asked = this.#asked.get(request)
    if (asked === undefined) return
    const { underWay } = asked
    if (underWay !== undefined && (pieces.length === 0 || pieces.includes(underWay))) asked.cancelled = true
    const waiting = pieces.length === 0 ? [...asked.left] : pieces.filter((piece) => asked.left.has(piece))
    this.#refuse(request, asked, 'cancelled', waiting)
  }

  /** Wants over this channel are its own end's business no more. */
  channelLost(channel: PieceChannel): void {
    for (const [request, asked] of [...this.#asked]) {
      if (asked.channel === channel) this.#forget(request)
    }
  }

  choke(choked: boolean): void {
    this.client.send({ type: 'choke', choked })
    if (!choked) return
    for (const [request, asked] of [...this.#asked]) this.#refuse(request, asked, 'choked', [...asked.left])
  }

  stop(): void {
    if (this.#over.signal.aborted) return
    this.#over.abort(new Error('the connection has ended'))
    this.#asked.clear()
    this.server.detach(this.client.id)
  }

  pump(): void {
    if (this.#pumping || this.#over.signal.aborted) return
    this.#pumping = true
    this.#send().then(
      () => {
        this.#pumping = false
      },
      (error: unknown) => {
        this.#pumping = false
        if (!this.#over.signal.aborted) this.client.onCrash(error)
      },
    )
  }

  async #send(): Promise<void> {
    const { signal } = this.#over
    const { clock } = this.server.options
    for (let job = this.#next(); job !== undefined; job = this.#next()) {
      const { request, catalog, piece } = job
      const asked = this.#asked.get(request)
      let sentBytes = 0
      if (asked?.left.delete(piece)) {
        asked.remaining--
        asked.underWay = piece
        asked.cancelled = false
        const wire = await this.#read(catalog, piece, asked.preference)
        signal.throwIfAborted()
        sentBytes = wire === undefined ? 0 : await this.#transmit(request, piece, asked, wire)
        signal.throwIfAborted()
        if (wire === undefined)
          asked.channel.send({ type: 'refuse-pieces', request, reason: 'failed', pieces: [piece] })
        asked.underWay = undefined
        if (asked.remaining === 0) this.#forget(request)
      }
      this.queue.onSent(this.client.id, request, catalog, piece, sentBytes, clock.nowMs())
    }
  }

  #next(): ReturnType<UploadQueue['next']> {
    return this.queue.next(this.client.id, this.server.options.clock.nowMs())
  }

  async #read(catalog: string, piece: number, preference: PiecePreference): Promise<PieceOnWire | undefined> {
    const { served, log } = this.server.options
    const sha256 = parseSha256(catalog)
    if (sha256 === undefined) return undefined
    try {
      return await served.piece(sha256, piece, preference, this.#over.signal)
    } catch (error) {
      this.#over.signal.throwIfAborted()
      if (!(error instanceof HoloError)) throw error
      log.warn(`A peer was not served: ${messageOf(error)}`)
      return undefined
    }
  }

  /** Chunk by chunk, as far as the peer still wants it. @returns bytes that were sent */
  async #transmit(request: number, piece: number, asked: Asked, { encoding, bytes }: PieceOnWire): Promise<number> {
    const { signal } = this.#over
    const { uploadLimit } = this.server.options
    const { channel } = asked
    const wireBytes = bytes.byteLength
    let at = 0
    do {
      const chunk = bytes.subarray(at, at + PIECE_CHUNK_BYTES_MAX)
      if (uploadLimit !== undefined) await uploadLimit.pass(chunk.byteLength, signal)
      if (asked.cancelled) {
        channel.send({ type: 'refuse-pieces', request, reason: 'cancelled', pieces: [piece] })
        return at
      }
      const hasRoom = channel.send(
        at === 0 ? { type: 'piece', request, piece, encoding, wireBytes, chunk } : { type: 'piece-more', chunk },
      )
      at += chunk.byteLength
      this.sentBytes += chunk.byteLength
      if (!hasRoom) await channel.drained(signal)
    } while (at < wireBytes)
    // So that other connections get their turn.
    await nextTurn()
    return at
  }

  /** @param pieces that wait to be sent */
  #refuse(request: number, asked: Asked, reason: RefusePieces['reason'], pieces: readonly number[]): void {
    for (const piece of pieces) {
      asked.left.delete(piece)
      this.queue.onCancel(this.client.id, request, piece, this.server.options.clock.nowMs())
    }
    asked.remaining = Math.min(asked.remaining, asked.left.size)
    if (pieces.length > 0) asked.channel.send({ type: 'refuse-pieces', request, reason, pieces })
    if (asked.remaining === 0 && asked.underWay === undefined) this.#forget(request)
  }

  #forget(request: number): void {
    this.#asked.delete(request)
    this.queue.onCancel(this.client.id, request, undefined, this.server.options.clock.nowMs())
  }
}
