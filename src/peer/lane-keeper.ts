/**
 * The lanes of one connection: asked for when there is something to fetch, offered where the peer asks, done without
 * where they cannot be had.
 *
 * Whoever wants a lane opens it: the peer may be behind a firewall for us, and not the other way round. Nothing waits
 * for it but large blobs, for `LANE_CONNECT_MS` at most.
 */
import { deadline } from '../base/clock.ts'
import { type HoloError, messageOf } from '../base/errors.ts'
import { parseHostPort } from '../base/host-port.ts'
import type { LaneLink, Lanes } from '../base/lane.ts'
import { LANE_CONNECT_MS, LANE_OPENING_MS, LANE_RETRY_MS } from '../base/lane-limits.ts'
import { type KeyPair, randomSecret } from '../trust/keys.ts'
import { signLaneCall } from '../trust/lane-call.ts'
import type { LaneOffer, Message } from './messages.ts'
import { PeerLane, type PeerLaneOptions } from './peer-lane.ts'
import type { PieceServer } from './piece-server.ts'
import type { PieceChannel } from './piece-wants.ts'
import type { PeerSource } from './source.ts'
import type { TicketHolder, Tickets } from './tickets.ts'
import { violation } from './wire.ts'

/** How this process has lanes. */
export interface LaneAccess {
  readonly lanes: Lanes
  /** Of our end of every session. */
  readonly keyPair: KeyPair
  readonly tickets: Tickets<LaneKeeper>
}

export interface LaneKeeperOptions extends TicketHolder, Omit<PeerLaneOptions, 'peerName'> {
  /** Undefined where this process has no lanes. */
  readonly access: LaneAccess | undefined
  /** Of the session's link: `10.0.0.7:49738`. */
  readonly address: string
  readonly peerName: () => string
  readonly source: () => PeerSource
  /** Undefined where nothing is sent in pieces. */
  readonly pieceServer?: PieceServer | undefined
  send(message: Message): void
  onViolation(error: HoloError): void
}

export class LaneKeeper implements TicketHolder {
  readonly localKey: Uint8Array
  readonly remoteKey: Uint8Array
  readonly #options: LaneKeeperOptions
  readonly #over = new AbortController()
  /** The one that we have opened, and the one that the peer has. */
  #called: PeerLane | undefined
  #accepted: PeerLane | undefined
  #state: 'none' | 'asking' | 'opening' = 'none'
  #nextTryMs = Number.NEGATIVE_INFINITY
  #closedSentBytes = 0

  constructor(options: LaneKeeperOptions) {
    this.#options = options
    this.localKey = options.localKey
    this.remoteKey = options.remoteKey
  }

  /** Whether bulk goes over a lane now. */
  get isOpen(): boolean {
    return this.#called !== undefined || this.#accepted !== undefined
  }

  /** Whether the peer waits for blobs over one. */
  get isAsked(): boolean {
    return this.#called?.isAsked === true || this.#accepted?.isAsked === true
  }

  /** Where pieces go; undefined where there is no lane. */
  get pieceChannel(): PieceChannel | undefined {
    return (this.#called ?? this.#accepted)?.pieceChannel
  }

  /** Bytes of blobs sent over lanes so far. */
  get sentBytes(): number {
    return this.#closedSentBytes + (this.#called?.sentBytes ?? 0) + (this.#accepted?.sentBytes ?? 0)
  }

  /** There is something to fetch: ask for a lane, unless there is one or none can be had for now. */
  wanted(): void {
    const { access, clock } = this.#options
    if (access === undefined || this.isOpen || this.#state !== 'none' || this.#over.signal.aborted) return
    const nowMs = clock.nowMs()
    if (nowMs < this.#nextTryMs) return
    this.#nextTryMs = nowMs + LANE_RETRY_MS
    this.#state = 'asking'
    this.#options.source().laneIsOpening = true
    this.#options.send({ type: 'lane-wish' })
    // An answer that does not come must not keep large blobs waiting.
    void clock.sleep(LANE_CONNECT_MS, this.#over.signal).then(
      () => this.#goOn(),
      () => {},
    )
  }

  /** The peer wants a lane. */
  onWish(): void {
    const { access, clock, send } = this.#options
    const own = access?.lanes.own
    const ticket = randomSecret()
    const given = own !== undefined && access?.tickets.issue(ticket, this, clock.nowMs()) === true
    send({ type: 'lane-offer', lane: given ? { port: own.port, certificate: own.certificate, ticket } : undefined })
  }

  /** @throws {HoloError} `protocol-violation`: nobody has asked */
  onOffer({ lane }: LaneOffer): void {
    if (this.#state !== 'asking') throw violation('a lane that nobody asked for')
    if (lane === undefined) {
      this.#done()
      return
    }
    this.#state = 'opening'
    void this.#open(lane)
  }

  /** The peer has called with a ticket of ours. */
  accept(link: LaneLink): void {
    this.#accepted?.end('the peer has opened another one')
    const lane = this.#use(link, () => {
      if (this.#accepted === lane) this.#accepted = undefined
    })
    this.#accepted = lane
    this.#tellSource()
  }

  /** Give up the lane that we fetch over. @param why as what follows a colon */
  giveUp(why: string): void {
    const lane = this.#called ?? this.#accepted
    lane?.end(why)
  }

  /** The session has ended. */
  stop(): void {
    if (this.#over.signal.aborted) return
    this.#over.abort(new Error('the session has ended'))
    this.#options.access?.tickets.revoke(this)
    this.#called?.end('its session has ended')
    this.#accepted?.end('its session has ended')
  }

  async #open({ port, certificate, ticket }: NonNullable<LaneOffer['lane']>): Promise<void> {
    const { access, address, log, peerName } = this.#options
    const host = parseHostPort(address)?.host
    if (access === undefined || host === undefined) {
      this.#done()
      return
    }
    const limit = deadline(LANE_OPENING_MS, new Error('nobody answered in time'), this.#over.signal)
    const calledKey = this.remoteKey
    const sign = (binding: Uint8Array) => signLaneCall({ ticket, binding, calledKey }, access.keyPair)
    try {
      const link = await access.lanes.open({ host, port, certificate }, ticket, sign, limit.signal)
      if (this.#over.signal.aborted) {
        link.destroy()
        return
      }
      const lane = this.#use(link, () => {
        if (this.#called === lane) this.#called = undefined
      })
      this.#called = lane
      log.info(`A lane to ${peerName()} is open (TCP port ${port})`)
    } catch (error) {
      if (!this.#over.signal.aborted) {
        log.info(`Without a lane, ${peerName()} is fetched from over its session: ${messageOf(error)}`)
      }
    } finally {
      limit.clear()
      this.#done()
    }
  }

  #use(link: LaneLink, onEnd: () => void): PeerLane {
    const { library, clock, log, peerName, source, pieces, pieceServer, onViolation } = this.#options
    const lane = new PeerLane(
      link,
      { library, clock, log, peerName: peerName(), pieces, shared: pieceServer },
      {
        onProgress: () => source().advance(),
        onViolation,
        onEnd: () => {
          this.#closedSentBytes += lane.sentBytes
          onEnd()
          this.#tellSource()
        },
      },
    )
    return lane
  }

  #done(): void {
    this.#state = 'none'
    this.#tellSource()
  }

  #tellSource(): void {
    this.#options.source().lane = (this.#called ?? this.#accepted)?.channel
    this.#goOn()
  }

  #goOn(): void {
    const source = this.#options.source()
    source.laneIsOpening = false
    source.advance()
  }
}
