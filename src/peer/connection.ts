/**
 * One connection to another machine: the session over its link, with the time, our library and our wishes.
 *
 * Carries out what the session decides. It ends once, with the error that ended it or undefined after an orderly
 * goodbye; whatever was under way fails then. Which peer is asked for what is decided elsewhere.
 */
import type { Clock } from '../base/clock.ts'
import { HoloError, messageOf } from '../base/errors.ts'
import { HAVE_ENTRIES_MAX, PEER_STALL_MS } from '../base/limits.ts'
import type { FrameLink } from '../base/link.ts'
import { type Logger, roomLogger } from '../base/log.ts'
import type { CatalogName } from '../catalog/tree.ts'
import { type Delegation, fingerprint } from '../trust/keys.ts'
import { encodeMessage } from './codec.ts'
import { type LaneAccess, LaneKeeper } from './lane-keeper.ts'
import type { ByeCode, Have, HeldCatalog, Holding, Message, Missing, Parts, Role } from './messages.ts'
import { type ServedLibrary, Uploads } from './serve.ts'
import { type MemberMessage, type Remote, Session, type SessionAction } from './session.ts'
import { PeerSource } from './source.ts'
import { violation } from './wire.ts'

export interface ConnectionOptions {
  /** Of every fleet of this machine. */
  readonly secrets: readonly Uint8Array[]
  readonly role: Role
  readonly agent: string
  readonly delegation: Delegation | undefined
  readonly library: ServedLibrary
  readonly clock: Clock
  /** Undefined where this process has no lanes. */
  readonly laneAccess?: LaneAccess
}

/** Who is told what happens; all are called outside of any call into the connection but `start`. */
export interface ConnectionEvents {
  /** The remote is a member. */
  onOpen(remote: Remote): void
  /** The remote's catalogs have changed. */
  onHave(): void
  onEnd(error: HoloError | undefined): void
}

export class PeerConnection {
  readonly #link: FrameLink
  readonly #options: ConnectionOptions
  readonly #events: ConnectionEvents
  readonly #log: Logger = roomLogger('peer')
  readonly #session: Session
  readonly #uploads: Uploads
  readonly #lanes: LaneKeeper
  readonly #over = new AbortController()
  #source: PeerSource
  #remote: Remote | undefined
  #announced = new Map<CatalogName, HeldCatalog>()
  #unsubscribe = () => {}
  #watching = false

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
    this.#uploads = new Uploads({
      library: options.library,
      log: this.#log,
      send: (message) => this.#send(message),
      drained: (signal) => link.drained(signal),
      onAnswered: (request, count) => this.#session.answered(request, count),
      onCrash: (error) => {
        this.#log.error(`Serving ${this.name} crashed: ${messageOf(error)}`)
        this.leave('dropped', 'internal error', undefined)
      },
    })
    this.#lanes = new LaneKeeper({
      ...options,
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

  /** Answers only once `remote` is known. */
  get source(): PeerSource {
    return this.#source
  }

  /** Whether either side owes the other something, or has a lane open for it. */
  get isBusy(): boolean {
    return this.#source.isOwed || this.#session.isAsked || this.#lanes.isOpen
  }

  get roundTripMs(): number | undefined {
    return this.#link.roundTripMs()
  }

  /** Bytes of blobs and catalogs sent so far. */
  get sentBytes(): number {
    return this.#uploads.sentBytes + this.#lanes.sentBytes
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
    this.#unsubscribe = this.#options.library.subscribe(() => this.#announce())
    this.#announce()
    this.#events.onOpen(remote)
  }

  /** Tell the remote how our catalogs differ from what it knows. */
  #announce(): void {
    const held = new Map(this.#options.library.catalogs().map((catalog) => [catalog.name, catalog]))
    const added = [...held.values()].filter(({ name, sha256 }) => this.#announced.get(name)?.sha256 !== sha256)
    const removed = [...this.#announced.keys()].filter((name) => !held.has(name))
    this.#announced = held
    for (let from = 0; from < Math.max(added.length, removed.length); from += HAVE_ENTRIES_MAX) {
      const to = from + HAVE_ENTRIES_MAX
      this.#send({ type: 'have', added: added.slice(from, to), removed: removed.slice(from, to) })
    }
  }

  #deliver(message: MemberMessage): void {
    try {
      if (message.type === 'have') this.#events.onHave()
      else if (message.type === 'parts' || message.type === 'missing' || message.type === 'holding') {
        this.#take(message)
      } else this.#answer(message)
    } catch (error) {
      if (!(error instanceof HoloError)) throw error
      this.#carryOut(this.#session.fail(error))
    }
  }

  /** What the remote wants of us. @throws {HoloError} `protocol-violation` */
  #answer(message: Exclude<MemberMessage, Have | Parts | Missing | Holding>): void {
    if (message.type === 'want') this.#uploads.want(message.request, message.digests)
    else if (message.type === 'catalog') this.#uploads.catalog(message.request, message.name)
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

  /** While the peer owes us something: give it up when nothing of it comes. */
  async #watchStall(): Promise<void> {
    if (this.#watching) return
    this.#watching = true
    const { clock } = this.#options
    try {
      while (this.#source.isOwed) {
        await clock.sleep(PEER_STALL_MS / 10, this.#over.signal)
        const nowMs = clock.nowMs()
        const { session, lane } = this.#source
        // Its session may still be well: something between us has begun to swallow TCP.
        if ((lane?.requests.idleMs(nowMs) ?? 0) >= PEER_STALL_MS) {
          this.#lanes.giveUp(`nothing came over it for ${PEER_STALL_MS / 1000} seconds`)
        }
        if (session.requests.idleMs(nowMs) < PEER_STALL_MS) continue
        const text = `sent nothing of what it owes us for ${PEER_STALL_MS / 1000} seconds`
        const error = new HoloError(`P${this.name.slice(1)} ${text}`, {
          code: 'peer-stalled',
          blame: 'source',
          hint: 'look at the load and the network of that machine',
        })
        this.leave('stalled', `you ${text.replace('owes', 'owe')}`, error)
      }
    } catch {
      // The connection has ended, and with it what it owed.
    } finally {
      this.#watching = false
    }
  }

  #sourceNamed(name: string): PeerSource {
    return new PeerSource(name, (message) => this.#send(message), this.#options.clock, {
      onOwed: () => void this.#watchStall(),
      onWanted: () => {
        if ((this.#remote?.version ?? 0) >= 2) this.#lanes.wanted()
      },
    })
  }
}

/** How a peer is called in errors, reports and logs. */
export function peerName(key: Uint8Array, address: string): string {
  return `peer ${fingerprint(key)} (${address})`
}
