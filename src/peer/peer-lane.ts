/**
 * One lane of a peer in use: wishes and blobs of both sides, by the same messages as on the session.
 *
 * Only wants of blobs and pieces, questions for catalogs, what answers and cancels them, `credit` and `bye` are said on
 * it; numbers of requests for blobs, credit and bounds are its own. What breaks the protocol on it ends the peer, what
 * merely breaks it off does not.
 */
import type { Clock } from '../base/clock.ts'
import { HoloError, messageOf } from '../base/errors.ts'
import type { LaneLink } from '../base/lane.ts'
import type { Logger } from '../base/log.ts'
import { Channel } from './channel.ts'
import { decodeMessage, encodeInTwo } from './codec.ts'
import { isKept } from './message-types.ts'
import type { Message } from './messages.ts'
import { OpenQuestions } from './open-questions.ts'
import { isPieceTraffic, type PieceTraffic } from './piece-traffic.ts'
import type { PieceChannel } from './piece-wants.ts'
import { type ServedLibrary, type SharedUploads, Uploads } from './serve.ts'
import { violation } from './wire.ts'

export interface PeerLaneOptions {
  readonly library: ServedLibrary
  readonly clock: Clock
  readonly log: Logger
  /** Of the peer, in errors. */
  readonly peerName: string
  readonly pieces: PieceTraffic
  /** As `UploadOptions.shared`. */
  readonly shared?: SharedUploads | undefined
}

export interface PeerLaneEvents {
  /** Something that we wanted has come, or has ended. */
  onProgress(): void
  /** The peer broke the protocol. */
  onViolation(error: HoloError): void
  /** It is of no use any more; what was wanted over it has failed with code `lane-lost`. */
  onEnd(): void
}

export class PeerLane {
  readonly channel: Channel
  readonly pieceChannel: PieceChannel
  readonly #uploads: Uploads
  readonly #questions = new OpenQuestions()
  #over = false

  constructor(
    private readonly link: LaneLink,
    private readonly options: PeerLaneOptions,
    private readonly events: PeerLaneEvents,
  ) {
    const { library, log, peerName, shared } = options
    const send = (message: Message) => {
      const { head, chunk } = encodeInTwo(message)
      return link.send(head, chunk)
    }
    this.channel = new Channel(send)
    this.pieceChannel = { send, drained: (signal) => link.drained(signal), backlog: () => link.backlog() }
    this.#uploads = new Uploads({
      library,
      log,
      shared,
      send,
      drained: (signal) => link.drained(signal),
      emptied: (signal) => link.emptied(signal),
      onAnswered: (request, count) => this.#questions.answered(request, count),
      onCrash: (error) => {
        log.error(`Serving ${peerName} over its lane crashed: ${messageOf(error)}`)
        this.end('internal error')
      },
    })
    link.onFrame((frame) => this.#receive(frame))
    void link.closed.then((error) => this.end(error?.message ?? 'the peer closed it'))
  }

  /** Whether the peer waits for blobs over it. */
  get isAsked(): boolean {
    return this.#questions.any
  }

  /** Bytes of blobs sent so far. */
  get sentBytes(): number {
    return this.#uploads.sentBytes
  }

  /** @param why it is given up, as what follows a colon */
  end(why: string): void {
    if (this.#over) return
    this.#over = true
    this.#uploads.stop()
    const { peerName, pieces } = this.options
    const lost = new HoloError(`The lane to ${peerName} was lost: ${why}`, {
      code: 'lane-lost',
      blame: 'source',
      hint: 'nothing has to be done: what was under way is asked for again',
    })
    this.channel.end(lost)
    pieces.channelLost(this.pieceChannel, lost)
    this.link.destroy()
    this.events.onEnd()
  }

  #receive(frame: Uint8Array): void {
    if (this.#over) return
    try {
      this.#take(decodeMessage(isKept(frame) ? new Uint8Array(frame) : frame))
    } catch (error) {
      if (!(error instanceof HoloError)) throw error
      this.events.onViolation(error)
    }
  }

  /** @throws {HoloError} `protocol-violation` */
  #take(message: Message): void {
    if (message.type === 'parts' || message.type === 'missing') {
      this.channel.take(message, this.options.clock.nowMs())
      this.events.onProgress()
    } else if (message.type === 'want') {
      this.#questions.admit(message.request, message.digests.length)
      this.#uploads.want(message.request, message.digests)
    } else if (message.type === 'catalog') {
      this.#questions.admit(message.request, 1)
      this.#uploads.catalog(message.request, message.name)
    } else if (message.type === 'cancel') this.#uploads.cancel(message.request, message.indexes)
    else if (message.type === 'credit') {
      if (!this.#uploads.credit(message.bytes)) throw violation('credit for more than it has got')
    } else if (message.type === 'bye') this.end(`the peer said: ${message.text}`)
    else if (isPieceTraffic(message)) this.options.pieces.takeTraffic(message, this.pieceChannel)
    else throw violation(`"${message.type}" on a lane`)
  }
}
