/**
 * One connection to another machine: the session over its link, with the time, our library and our wishes.
 *
 * Carries out what the session decides. It ends once, with the error that ended it or undefined after an orderly
 * goodbye; whatever was under way fails then. Which peer is asked for what is decided elsewhere.
 */
import { HoloError, messageOf } from '../base/errors.ts'
import type { FrameLink } from '../base/link.ts'
import { type Logger, roomLogger } from '../base/log.ts'
import type { CatalogName } from '../catalog/tree.ts'
import { CatalogAnnouncer } from './catalog-announcer.ts'
import { encodeMessage } from './codec.ts'
import type { ConnectionEvents, ConnectionOptions } from './connection-options.ts'
import { LaneKeeper } from './lane-keeper.ts'
import type { ByeCode, Have, HeldCatalog, Holding, Lease, Message, Missing, Parts } from './messages.ts'
import { peerName } from './peer-name.ts'
import { isPieceMessage, PieceTraffic, type ToldOfPieces } from './piece-traffic.ts'
import type { PieceChannel } from './piece-wants.ts'
import { Uploads } from './serve.ts'
import { type MemberMessage, type Remote, Session, type SessionAction } from './session.ts'
import { PeerSource } from './source.ts'
import { StallWatch } from './stall-watch.ts'
import { violation } from './wire.ts'

export class PeerConnection {
  readonly #link: FrameLink
  readonly #options: ConnectionOptions
  readonly #events: ConnectionEvents
  readonly #log: Logger = roomLogger('peer')
  readonly #session: Session
  readonly #uploads: Uploads
  readonly #lanes: LaneKeeper
  readonly #pieces: PieceTraffic
  /** Pieces over the session, where there is no lane. */
  readonly #pieceChannel: PieceChannel
  readonly #over = new AbortController()
  readonly #id = `link ${connections++}`
  #source: PeerSource
  #remote: Remote | undefined
  readonly #announcer = new CatalogAnnouncer((message) => this.#send(message))
  #unsubscribe = () => {}
  readonly #stallWatch: StallWatch

  constructor(link: FrameLink, options: ConnectionOptions, events: ConnectionEvents) {
    this.#link = link
    this.#options = options
    this.#events = events
    const name = peerName(link.remoteKey, link.address)
    this.#source = this.#sourceNamed(name)
    this.#session = new Session({
      ...options,
      localKey: link.localKey,
      remoteKey: link.remoteKey,
      handshakeHash: link.handshakeHash,
      initiator: link.initiator,
      remoteName: name,
    })
    this.#stallWatch = new StallWatch(
      options.clock,
      { onLaneStall: (why) => this.#lanes.giveUp(why), onStall: (what) => this.#stalled(what) },
      this.#over.signal,
    )
    this.#pieceChannel = { send: (message) => this.#send(message), drained: (signal) => link.drained(signal) }
    this.#uploads = new Uploads({
      library: options.library,
      log: this.#log,
      shared: options.pieceServer,
      send: (message) => this.#send(message),
      drained: (signal) => link.drained(signal),
      onAnswered: (request, count) => this.#session.answered(request, count),
      onCrash: (error) => this.#crashed(error),
    })
    this.#pieces = new PieceTraffic({
      name: () => this.name,
      complete: () => this.catalogs.values(),
      sendsRests: () => (this.#remote?.version ?? 0) >= 4,
      channel: () => this.#lanes.pieceChannel ?? this.#pieceChannel,
      onWanted: () => this.#lanes.wanted(),
      giveUp: (why) => this.#giveUp(why),
      onHeld: (catalog) => events.onPieces(catalog, undefined),
      onGot: (catalog, pieces) => events.onPieces(catalog, pieces),
      onChoke: (choked) => events.onChoke(choked),
    })
    this.#lanes = new LaneKeeper({
      ...options,
      pieces: this.#pieces,
      localKey: link.localKey,
      remoteKey: link.remoteKey,
      address: link.address,
      access: options.laneAccess,
      log: this.#log,
      peerName: () => this.name,
      source: () => this.#source,
      send: (message) => this.#send(message),
      onViolation: (error) => this.#carryOut(this.#session.fail(error)),
    })
  }

  /** `peer k5w3-8xqh-9m2p (10.0.0.7:49738)`: fingerprint of the machine, once it is known, and address. */
  get name(): string {
    return this.#source.name
  }

  /** Public key of the link. */
  get linkKey(): Uint8Array {
    return this.#link.remoteKey
  }

  get address(): string {
    return this.#link.address
  }

  /** The proved member at the other end, undefined before it has proved it. */
  get remote(): Remote | undefined {
    return this.#remote
  }

  /** Resolves once the link has closed. */
  get closed(): Promise<unknown> {
    return this.#link.closed
  }

  /** What the remote holds completely. */
  get catalogs(): ReadonlyMap<CatalogName, HeldCatalog> {
    return this.#session.catalogs
  }

  /** The catalog of this name that the remote can be asked for, be it that it only brings its blobs yet. */
  offered(name: CatalogName): HeldCatalog | undefined {
    return this.catalogs.get(name) ?? this.#options.leases?.offered(this.#id, name)
  }

  /** Answers only once `remote` is known. */
  get source(): PeerSource {
    return this.#source
  }

  /** The same for pieces; undefined where it does not speak of them. */
  get pieces(): PieceTraffic | undefined {
    return (this.#remote?.version ?? 0) >= 2 ? this.#pieces : undefined
  }

  /** Something will be fetched from here: see to a lane meanwhile. */
  expectBulk(): void {
    if ((this.#remote?.version ?? 0) >= 2) this.#lanes.wanted()
  }

  /** Whether either side owes the other something. */
  get isBusy(): boolean {
    return this.#source.isOwed || this.#session.isAsked || this.#lanes.isAsked || this.#pieces.isBusy
  }

  get roundTripMs(): number | undefined {
    return this.#link.roundTripMs()
  }

  /** Bytes of blobs and catalogs sent so far. */
  get sentBytes(): number {
    return this.#uploads.sentBytes + this.#lanes.sentBytes + this.#pieces.sentBytes
  }

  /** Whether bulk goes over a lane. */
  get hasLane(): boolean {
    return this.#lanes.isOpen
  }

  start(): void {
    const { clock } = this.#options
    this.#carryOut(this.#session.start(clock.nowMs()))
    this.#link.onFrame((frame) => this.#carryOut(this.#session.receive(frame)))
    void this.#link.closed.then((error) => {
      const lost = new HoloError(`The connection to ${this.name} was lost${error ? `: ${error.message}` : ''}`, {
        code: 'peer-lost',
        blame: 'source',
        hint: 'look whether that machine is up; what was fetched is kept',
        cause: error,
      })
      this.#end(lost)
    })
    void this.#awaitHello()
  }

  /** End it from our side, telling the remote why. @param error what ended it, for what is under way */
  leave(code: ByeCode, text: string, error: HoloError | undefined): void {
    this.#carryOut(this.#session.leave(code, text, error))
  }

  #carryOut(actions: readonly SessionAction[]): void {
    for (const action of actions) {
      if (action.do === 'send') this.#send(action.message)
      else if (action.do === 'opened') this.#opened(action.remote)
      else if (action.do === 'deliver') this.#deliver(action.message)
      else {
        this.#link.close()
        this.#end(action.error)
      }
    }
  }

  #send(message: Message): boolean {
    return this.#link.send(encodeMessage(message))
  }

  #opened(remote: Remote): void {
    this.#remote = remote
    this.#source = this.#sourceNamed(peerName(remote.machineKey, this.#link.address))
    const { library, leases } = this.#options
    const announce = () => this.#announcer.tell(library.catalogs())
    announce()
    const ends = [library.subscribe(announce), this.pieces && this.#tellPieces()]
    const detach = leases?.attach({ id: this.#id, name: this.name, remote }, (message) => void this.#send(message))
    this.#unsubscribe = () => {
      for (const end of [...ends, detach]) end?.()
    }
    this.#events.onOpen(remote)
  }

  /** Serve pieces, and tell what is being fetched here. @returns ends the telling */
  #tellPieces(): () => void {
    const { pieceServer, ownHoldings } = this.#options
    if (pieceServer !== undefined) {
      const client = {
        id: this.#id,
        version: this.#remote?.version ?? 0,
        send: (message: Message) => void this.#send(message),
        onCrash: (error: unknown) => this.#crashed(error),
      }
      this.#pieces.serve(pieceServer.attach(client))
    }
    for (const message of ownHoldings?.summary() ?? []) this.#send(message)
    return ownHoldings?.subscribe((message) => this.#send(message)) ?? (() => {})
  }

  #crashed(error: unknown): void {
    this.#log.error(`Serving ${this.name} crashed: ${messageOf(error)}`)
    this.leave('dropped', 'internal error', undefined)
  }

  /** What it owes us does not come: over TCP something may swallow it, and the session be well. */
  #giveUp(why: string): void {
    if (this.#lanes.isOpen) this.#lanes.giveUp(why)
    else this.#stalled(why)
  }

  #deliver(message: MemberMessage): void {
    try {
      if (message.type === 'lease') this.#options.leases?.hear(this.#id, message)
      if (message.type === 'have' || message.type === 'lease') this.#events.onHave()
      else if (message.type === 'parts' || message.type === 'missing' || message.type === 'holding') {
        this.#take(message)
      } else if (isPieceMessage(message)) this.#pieces.take(message, this.#pieceChannel)
      else this.#answer(message)
    } catch (error) {
      if (!(error instanceof HoloError)) throw error
      this.#carryOut(this.#session.fail(error))
    }
  }

  /** What the remote wants of us. @throws {HoloError} `protocol-violation` */
  #answer(message: Exclude<MemberMessage, Have | Parts | Missing | Holding | Lease | ToldOfPieces>): void {
    if (message.type === 'want') this.#uploads.want(message.request, message.digests)
    else if (message.type === 'catalog') this.#uploads.catalog(message.request, message.name)
    else if (message.type === 'piece-table') this.#uploads.table(message.request, message.catalog)
    else if (message.type === 'signatures') this.#uploads.signatures(message.request, message.catalog)
    else if (message.type === 'cancel') this.#uploads.cancel(message.request, message.indexes)
    else if (message.type === 'lane-wish') this.#lanes.onWish()
    else if (message.type === 'lane-offer') this.#lanes.onOffer(message)
    else if (message.type === 'credit') {
      if (!this.#uploads.credit(message.bytes)) throw violation('credit for more than it has got')
    } else {
      const { request, digests } = message
      this.#session.answered(request, 1)
      this.#send({ type: 'holding', request, indexes: this.#uploads.holding(digests) })
    }
  }

  /** What answers our wishes. @throws {HoloError} `protocol-violation` */
  #take(message: Parts | Missing | Holding): void {
    const nowMs = this.#options.clock.nowMs()
    const { session } = this.#source
    if (message.type === 'holding') session.requests.onHolding(message, nowMs)
    else session.take(message, nowMs)
    this.#source.advance()
  }

  #end(error: HoloError | undefined): void {
    if (this.#over.signal.aborted) return
    this.#over.abort(new Error('the connection has ended'))
    this.#unsubscribe()
    this.#uploads.stop()
    const gone = new HoloError(`P${this.name.slice(1)} has left`, { code: 'peer-lost', blame: 'source' })
    this.#source.end(error ?? gone)
    this.#lanes.stop()
    this.#pieces.end(error ?? gone)
    this.#events.onEnd(error)
  }

  async #awaitHello(): Promise<void> {
    const { clock } = this.#options
    for (let due = this.#session.deadlineMs; due !== undefined; due = this.#session.deadlineMs) {
      try {
        await clock.sleep(Math.max(1, due - clock.nowMs()), this.#over.signal)
      } catch {
        return
      }
      this.#carryOut(this.#session.tick(clock.nowMs()))
    }
  }

  /** @param what as the end of the sentence `the peer …` */
  #stalled(what: string): void {
    const error = new HoloError(`P${this.name.slice(1)} ${what}`, {
      code: 'peer-stalled',
      blame: 'source',
      hint: 'look at the load and the network of that machine',
    })
    this.leave('stalled', `you ${what.replace('owes', 'owe')}`, error)
  }

  #sourceNamed(name: string): PeerSource {
    return new PeerSource(name, (message) => this.#send(message), this.#options, {
      onOwed: () => this.#stallWatch.watch(() => this.#source),
      onWanted: () => this.expectBulk(),
    })
  }
}

/** So that a peer which comes back is another client of the piece server, and another holder of leases. */
let connections = 0
