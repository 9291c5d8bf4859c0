/**
 * One simulated machine: the real `Exchange` and `UploadQueue`, with a make-believe wire between them and others.
 *
 * What the real connection does with sockets is done here with parcels: wants and cancels overtake pieces, refusals of
 * what is being sent come after it. A machine may also be no honest one.
 */
import type { Random } from '../../src/base/random.ts'
import { Bitfield } from '../../src/peer/bitfield.ts'
import { Exchange } from '../../src/peer/exchange.ts'
import type { Arrival, ExchangeAction } from '../../src/peer/exchange-want.ts'
import { type Upload, UploadQueue } from '../../src/peer/upload-queue.ts'
import type { Parcel, Stream } from './transfer-network.ts'
import { SimSink } from './transfer-sink.ts'
import type { World } from './transfer-world.ts'

/** What a machine does with what it is asked; `liar` sends some pieces wrong. */
export type Behaviour = 'honest' | 'liar' | 'mute' | 'refuser' | 'trickler'

export interface Connection {
  readonly peer: SimHost
  readonly out: Stream
  alive: boolean
  sending: { readonly upload: Upload; readonly parcel: Parcel; readonly wireBytes: number } | undefined
}

/** One piece as it came from one machine. */
interface Copy {
  readonly source: string
  readonly wrong: boolean
}

type Rest = Extract<ExchangeAction, { do: 'want' }>['rest']

const WANT_BYTES = 16
const CONTROL_BYTES = 12
/** Decoding, hashing and writing a piece, and the way to the thread that does it and back, ms. */
const VERIFY_MS = 4
/** Events that come together are answered together. */
const TURN_MS = 0.2
const CATALOG = 'catalog'
const LIE_SHARE = 0.2

export class SimHost {
  readonly name: string
  readonly exchange: Exchange
  readonly uploads: UploadQueue
  readonly held: Bitfield
  readonly connections = new Map<string, Connection>()
  readonly banned = new Set<string>()
  readonly #sink: SimSink
  readonly #random: Random
  /** By machine and request: rests that others want of us, and that we want of others. */
  readonly #restsToSend = new Map<string, Rest>()
  readonly #restsAsked = new Map<string, Rest>()
  /** By machine and request: what has begun to come. */
  readonly #begun = new Map<string, Copy>()
  /** By piece: the copies of which its rest, which is here, and its beginning are. */
  readonly #parts = new Map<number, readonly Copy[]>()
  #got: number[] = []
  #announcing = false
  #turning = false
  #wakeMs = Number.POSITIVE_INFINITY
  doneMs: number | undefined
  isUp = false
  inFlightBytesMost = 0
  wrongStored = 0

  constructor(
    readonly world: World,
    readonly id: number,
    readonly behaviour: Behaviour,
    readonly isSeed: boolean,
    random: Random,
  ) {
    const { pieceBytes, inFlightBytesMax, slots, hasTable, blobOf } = world.options
    this.name = `h${id}`
    this.#random = random
    this.held = isSeed ? Bitfield.full(pieceBytes.length) : new Bitfield(pieceBytes.length)
    const wanted = isSeed ? [] : pieceBytes.keys()
    const isProvedAlone = (piece: number) => blobOf(piece) === undefined
    this.exchange = new Exchange({ pieceBytes, wanted, random, inFlightBytesMax, isProvedAlone })
    this.uploads = new UploadQueue({ slots, random })
    this.#sink = new SimSink(blobOf, hasTable)
  }

  /** Its word for what it holds. */
  get announced(): 'all' | Bitfield {
    return this.behaviour === 'honest' && !this.held.isFull ? this.held.copy() : 'all'
  }

  connect(connection: Connection): void {
    const { nowMs } = this.world.queue
    const { name } = connection.peer
    this.connections.set(name, connection)
    this.exchange.addPeer(name, nowMs, this.world.options.sendsRests !== false)
    this.uploads.addPeer(name, nowMs)
    const { announced } = this
    this.#tell(connection, Math.ceil(this.held.length / 8), () => {
      connection.peer.#onHoldings(this, announced)
    })
  }

  disconnect(peer: string): void {
    const connection = this.connections.get(peer)
    if (connection === undefined) return
    connection.alive = false
    connection.out.close()
    this.connections.delete(peer)
    this.exchange.removePeer(peer, this.world.queue.nowMs)
    this.uploads.removePeer(peer)
    this.#turn()
  }

  #onHoldings(from: SimHost, holdings: 'all' | Bitfield): void {
    this.exchange.onHoldings(from.name, holdings, this.world.queue.nowMs)
    this.#turn()
  }

  /** Send a small message, which arrives unless the connection has ended. */
  #tell(connection: Connection, bytes: number, arrived: () => void): void {
    this.world.network.control(this.id, CONTROL_BYTES + bytes, () => {
      if (this.world.isBlocked(this.id, connection.peer.id)) this.world.whenHealed(() => connection.alive && arrived())
      else if (connection.alive) arrived()
    })
  }

  #turn(): void {
    if (this.#turning) return
    this.#turning = true
    this.world.queue.after(TURN_MS, () => {
      this.#turning = false
      this.#work()
    })
  }

  #work(): void {
    const { nowMs } = this.world.queue
    if (!this.isUp) return
    for (const action of this.exchange.next(nowMs)) {
      const connection = this.connections.get(action.peer)
      if (connection === undefined) continue
      const { peer } = connection
      if (action.do === 'give-up') this.world.part(this, peer, false)
      else if (action.do === 'want') {
        const { request, count, choices, rest } = action
        const want = { request, catalog: CATALOG, count, choices }
        if (rest !== undefined) this.#restsAsked.set(`${peer.name} ${request}`, rest)
        if (rest !== undefined) peer.#restsToSend.set(`${this.name} ${request}`, rest)
        this.#tell(connection, WANT_BYTES + (choices.length > 1 ? 2 * choices.length : 0), () => {
          peer.#serve(this.name, () => peer.uploads.onWant(this.name, want, peer.world.queue.nowMs))
        })
      } else {
        const { request, piece } = action
        this.#tell(connection, 0, () => peer.#onCancel(this.name, request, piece))
      }
    }
    this.inFlightBytesMost = Math.max(this.inFlightBytesMost, this.exchange.inFlightBytes)
    for (const action of this.uploads.tick(nowMs)) {
      const connection = this.connections.get(action.peer)
      if (connection === undefined) continue
      const { peer } = connection
      this.#tell(connection, 0, () => {
        const atMs = this.world.queue.nowMs
        if (action.do === 'choke') peer.exchange.onChoke(this.name, action.choked, atMs)
        else peer.#judge(this, peer.exchange.onRefused(this.name, action.request, action.pieces, action.reason, atMs))
        peer.#turn()
      })
    }
    for (const connection of this.connections.values()) this.#send(connection)
    const wakeMs = Math.min(
      this.exchange.wakeMs ?? Number.POSITIVE_INFINITY,
      this.uploads.wakeMs ?? Number.POSITIVE_INFINITY,
    )
    if (wakeMs === Number.POSITIVE_INFINITY || wakeMs === this.#wakeMs) return
    this.#wakeMs = wakeMs
    this.world.queue.at(wakeMs, () => {
      if (this.#wakeMs !== wakeMs) return
      this.#wakeMs = Number.POSITIVE_INFINITY
      this.#work()
    })
  }

  /** A want or cancel has come. */
  #serve(from: string, enter: () => void): void {
    if (this.behaviour === 'mute' || !this.connections.has(from)) return
    enter()
    this.#turn()
  }

  #onCancel(from: string, request: number, piece: number): void {
    this.#serve(from, () => {
      const isSending = this.uploads.onCancel(from, request, piece)
      const connection = this.connections.get(from)
      if (!isSending || connection?.sending === undefined) return
      const { upload, parcel, wireBytes } = connection.sending
      // The last of it is on its way.
      if (parcel.leftBytes === 0) return
      const begun = parcel.leftBytes < wireBytes
      connection.sending = undefined
      connection.out.breakOff(parcel)
      this.uploads.onUnsent(from, upload, { begun }, this.world.queue.nowMs)
      this.#refuse(connection, upload, 'cancelled')
    })
  }

  /** After what was sent of it. */
  #refuse(connection: Connection, { request, piece }: Upload, reason: 'cancelled' | 'not-held'): void {
    connection.out.send({
      leftBytes: CONTROL_BYTES,
      onChunk: () => {},
      onLeft: () => {},
      onArrived: () => {
        const { peer } = connection
        if (!connection.alive) return
        peer.#judge(this, peer.exchange.onRefused(this.name, request, [piece], reason, this.world.queue.nowMs))
        peer.#turn()
      },
    })
  }

  /** Who breaks the protocol is banned; that must be no honest machine. */
  #judge(sender: SimHost, expectation: Arrival): void {
    if (expectation !== 'violation') return
    if (sender.behaviour === 'honest') throw new Error(`${sender.name} was taken to break the protocol`)
    this.banned.add(sender.name)
    this.world.part(this, sender, true)
  }

  #send(connection: Connection): void {
    if (connection.sending !== undefined) return
    const { nowMs } = this.world.queue
    const to = connection.peer.name
    const upload = this.uploads.next(to, nowMs)
    if (upload === undefined) return
    if (this.behaviour === 'refuser') {
      this.uploads.onUnsent(to, upload, { begun: false }, nowMs)
      this.#refuse(connection, upload, 'not-held')
      this.#turn()
      return
    }
    const from = this.#restsToSend.get(`${to} ${upload.request}`)?.from ?? 0
    const wireBytes = (this.world.options.wireBytes[upload.piece] ?? 0) - from
    const copy = { source: this.name, wrong: this.behaviour === 'liar' && this.#random.next() < LIE_SHARE }
    const { peer } = connection
    let arrived = false
    const parcel: Parcel = {
      leftBytes: wireBytes,
      onChunk: (bytes) => {
        if (!connection.alive) return
        if (!arrived) peer.#onHead(this, upload, wireBytes, copy)
        arrived = true
        peer.#onBytes(this, upload, bytes)
      },
      onLeft: () => {
        if (connection.sending?.parcel !== parcel) return
        connection.sending = undefined
        this.uploads.onSent(to, upload, wireBytes, this.world.queue.nowMs)
        this.#turn()
      },
      onArrived: () => {
        if (connection.alive) peer.#onReceived(this, upload, copy)
      },
    }
    connection.sending = { upload, parcel, wireBytes }
    if (this.behaviour === 'trickler') this.#trickle(connection, upload, wireBytes)
    else connection.out.send(parcel)
  }

  #onBytes(from: SimHost, { request, piece }: Upload, bytes: number): void {
    if (!this.exchange.onBytes(from.name, request, piece, bytes, this.world.queue.nowMs)) return
    this.#verify(piece, this.#parts.get(piece) ?? [])
  }

  /** A head, and then a byte a second. */
  #trickle(connection: Connection, { request, piece }: Upload, wireBytes: number): void {
    const { peer } = connection
    const copy = { source: this.name, wrong: false }
    this.#tell(connection, 0, () => peer.#onHead(this, { request, piece, catalog: CATALOG }, wireBytes, copy))
    const drip = () => {
      if (!connection.alive) return
      peer.#onBytes(this, { request, piece, catalog: CATALOG }, 1)
      peer.#turn()
      this.world.queue.after(1000, drip)
    }
    this.world.queue.after(1000, drip)
  }

  #onHead(from: SimHost, { request, piece }: Upload, wireBytes: number, copy: Copy): void {
    this.#begun.set(`${from.name} ${request}`, copy)
    const connection = this.connections.get(from.name)
    const expectation = this.exchange.onHead(from.name, request, piece, wireBytes, this.world.queue.nowMs)
    this.#judge(from, expectation)
    if (expectation === 'unwanted' && connection !== undefined) {
      const { peer } = connection
      this.#tell(connection, 0, () => peer.#onCancel(this.name, request, piece))
    }
    this.#turn()
  }

  #onReceived(from: SimHost, { request, piece }: Upload, copy: Copy): void {
    const arrival = this.exchange.onReceived(copy.source, request, piece, this.world.queue.nowMs)
    this.#judge(from, arrival)
    this.#turn()
    const rest = this.#restsAsked.get(`${from.name} ${request}`)
    const beginning = rest && this.#begun.get(`${rest.peer} ${rest.request}`)
    const copies = beginning === undefined ? [copy] : [beginning, copy]
    if (arrival === 'partial') this.#parts.set(piece, copies)
    else if (arrival === 'expected') this.#verify(piece, copies)
  }

  #verify(piece: number, copies: readonly Copy[]): void {
    this.world.queue.after(VERIFY_MS, () => this.#onVerified(piece, copies))
  }

  /** @param copies one, or those of beginning and rest, of whom nobody is blamed alone */
  #onVerified(piece: number, copies: readonly Copy[]): void {
    const { nowMs } = this.world.queue
    const copy = { source: copies[0]?.source ?? '', wrong: copies.some(({ wrong }) => wrong) }
    if (copies.length > 1) this.world.togetherCount++
    const { verdict, pieces, liars: found } = this.#sink.put(piece, copy)
    const liars = copies.length > 1 ? [] : found
    if (verdict === 'stored') {
      this.exchange.onStored(pieces, nowMs)
      for (const each of pieces) if (this.held.add(each)) this.#announce(each)
      if (copy.wrong && pieces.includes(piece)) this.wrongStored++
    } else if (verdict === 'held') this.exchange.onHeld(piece, nowMs)
    else if (verdict === 'wrong') this.exchange.onWrong(piece, nowMs)
    else this.exchange.onBlobWrong(pieces, nowMs)
    for (const liar of liars) {
      this.banned.add(liar)
      const connection = this.connections.get(liar)
      if (connection !== undefined) this.world.part(this, connection.peer, true)
    }
    if (this.exchange.isDone && this.doneMs === undefined) this.world.onDone(this)
    this.#turn()
  }

  #announce(piece: number): void {
    this.#got.push(piece)
    if (this.#announcing) return
    this.#announcing = true
    this.world.queue.after(this.world.options.announceMs, () => {
      this.#announcing = false
      const got = this.#got
      this.#got = []
      if (!this.isUp || this.behaviour !== 'honest') return
      for (const connection of this.connections.values()) {
        const { peer } = connection
        if (peer.doneMs !== undefined) continue
        this.#tell(connection, 2 * got.length, () => {
          peer.uploads.onGot(this.name, CATALOG, got, this.world.queue.nowMs)
          if (!peer.isSeed) peer.exchange.onGot(this.name, got, this.world.queue.nowMs)
          peer.#turn()
        })
      }
    })
  }
}
