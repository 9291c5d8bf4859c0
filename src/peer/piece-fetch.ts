/**
 * One environment on its way from many peers: `Exchange` decides, this carries it out.
 *
 * What is under way is bounded by `FETCH_IN_FLIGHT_BYTES_MAX`, from the want to the blob at rest, whatever the peers
 * send. It ends when every piece is at rest, or when nobody who is here, or comes within a grace, has the rest.
 */
import { Alarm } from '../base/alarm.ts'
import type { Clock } from '../base/clock.ts'
import { type HoloError, messageOf } from '../base/errors.ts'
import { FETCH_IN_FLIGHT_BYTES_MAX } from '../base/limits.ts'
import type { Logger } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import type { RateLimit } from '../base/rate-limit.ts'
import type { Sha256Digest } from '../blob/digest.ts'
import type { FetchTotals } from '../blob/fetch-all.ts'
import type { PieceReceipt, PieceSink } from '../blob/pieces.ts'
import type { Piece } from '../catalog/pieces.ts'
import { Bitfield } from './bitfield.ts'
import { Exchange } from './exchange.ts'
import type { ExchangeAction } from './exchange-want.ts'
import type { PartialHolding } from './own-holdings.ts'
import { PieceParts, type SentPiece } from './piece-parts.ts'
import { type PiecePeer, PieceRequests } from './piece-requests.ts'
import type { WantEvents } from './piece-wants.ts'

type WantAction = Extract<ExchangeAction, { do: 'want' }>

export interface PieceFetchOptions {
  /** SHA-256 of the decoded catalog. */
  readonly catalog: Sha256Digest
  /** All of the catalog. */
  readonly pieces: readonly Piece[]
  /** Numbers of those that are to be fetched. */
  readonly wanted: readonly number[]
  readonly sink: PieceSink
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  /** Where what is here is told to others; undefined where this process serves nobody. */
  readonly holding: PartialHolding | undefined
  readonly downloadLimit: RateLimit | undefined
  /** How long to wait for somebody who has what nobody here has, ms. */
  readonly graceMs: number
  readonly totals: FetchTotals
  readonly onProgress: () => void
  /** Never talk to this peer again. */
  drop(peer: string, error: HoloError): void
}

export class PieceFetch {
  readonly #options: PieceFetchOptions
  readonly #exchange: Exchange
  readonly #peers = new Map<string, PiecePeer>()
  readonly #requests = new PieceRequests()
  readonly #over = new AbortController()
  readonly #startedMs: number
  readonly #failures = new Map<string, HoloError>()
  readonly #parts = new PieceParts()
  #settle: ((failure: { readonly error: unknown } | undefined) => void) | undefined
  #stepping = false
  #heldBack = false
  #sinking = 0
  readonly #alarm: Alarm
  #stuckSinceMs: number | undefined

  constructor(options: PieceFetchOptions) {
    this.#options = options
    const { pieces, wanted, random, clock } = options
    this.#startedMs = clock.nowMs()
    this.#alarm = new Alarm(clock, () => this.#soon())
    this.#exchange = new Exchange({
      pieceBytes: Uint32Array.from(pieces, ({ bytes }) => bytes),
      wanted,
      random,
      inFlightBytesMax: FETCH_IN_FLIGHT_BYTES_MAX,
      // The ranges of a blob are put down to one peer each, by which a liar is traced.
      isProvedAlone: (piece) => pieces[piece]?.kind === 'group',
    })
  }

  /** Peers that were lost while they owed us something, with the error that names each. */
  get failures(): ReadonlyMap<string, HoloError> {
    return this.#failures
  }

  get catalog(): Sha256Digest {
    return this.#options.catalog
  }

  /**
   * Fetch until all is at rest, or nobody has the rest.
   *
   * @returns numbers of the pieces that could not be had
   * @throws {HoloError} blame `host`: writing failed; `signal.reason`, once what was being written has been let go
   */
  async run(signal: AbortSignal): Promise<readonly number[]> {
    signal.throwIfAborted()
    const { promise, resolve } = Promise.withResolvers<{ readonly error: unknown } | undefined>()
    this.#settle = resolve
    const onAbort = () => resolve({ error: signal.reason })
    signal.addEventListener('abort', onAbort, { once: true })
    this.#soon()
    try {
      const failure = await promise
      if (failure !== undefined) throw failure.error
      return this.#exchange.missing
    } finally {
      signal.removeEventListener('abort', onAbort)
      this.#over.abort(new Error('the fetch has ended'))
      this.#alarm.stop()
      this.#requests.cancelAll()
    }
  }

  /** A member has come, or holds something else of this catalog. */
  look(peer: PiecePeer): void {
    const held = peer.holdings(this.#options.catalog)
    const nowMs = this.#nowMs()
    if (!this.#peers.has(peer.name)) {
      if (held === undefined) return
      this.#peers.set(peer.name, peer)
      this.#exchange.addPeer(peer.name, nowMs, peer.sendsRests)
      if (peer.choked) this.#exchange.onChoke(peer.name, true, nowMs)
    }
    const fits = held === undefined || held === 'all' || held.length === this.#options.pieces.length
    if (fits) this.#exchange.onHoldings(peer.name, held ?? new Bitfield(this.#options.pieces.length), nowMs)
    else this.leave(peer.name)
    this.#soon()
  }

  got(peer: PiecePeer, pieces: readonly number[]): void {
    if (this.#peers.has(peer.name)) this.#exchange.onGot(peer.name, pieces, this.#nowMs())
    else this.look(peer)
    this.#soon()
  }

  choke(name: string, choked: boolean): void {
    if (!this.#peers.has(name)) return
    this.#exchange.onChoke(name, choked, this.#nowMs())
    this.#soon()
  }

  /** These are proved by the piece table, which has come meanwhile. */
  proved(pieces: readonly number[]): void {
    this.#exchange.onStored(pieces, this.#nowMs())
    this.#options.holding?.add(pieces)
    this.#soon()
  }

  /** A member has gone. */
  leave(name: string): void {
    if (!this.#peers.delete(name)) return
    this.#requests.leave(name)
    this.#exchange.removePeer(name, this.#nowMs())
    this.#soon()
  }

  /** Decide again once the events of this turn are through. */
  #soon(): void {
    if (this.#stepping || this.#over.signal.aborted) return
    this.#stepping = true
    queueMicrotask(() => {
      this.#stepping = false
      if (!this.#over.signal.aborted) this.#step()
    })
  }

  #step(): void {
    if (this.#heldBack) return
    const nowMs = this.#nowMs()
    for (const action of this.#exchange.next(nowMs)) this.#carryOut(action)
    const stuck = this.#exchange.isStuck && this.#sinking === 0
    if (!stuck) this.#stuckSinceMs = undefined
    else this.#stuckSinceMs ??= nowMs
    const graceEndMs = (this.#stuckSinceMs ?? Number.POSITIVE_INFINITY) + this.#options.graceMs
    if ((this.#exchange.isDone && this.#sinking === 0) || nowMs >= graceEndMs) this.#settle?.(undefined)
    else this.#alarm.set(Math.min(this.#exchange.wakeMs ?? Number.POSITIVE_INFINITY, graceEndMs))
  }

  #carryOut(action: ExchangeAction): void {
    const peer = this.#peers.get(action.peer)
    if (peer === undefined) return
    if (action.do === 'want') this.#want(peer, action)
    else if (action.do === 'cancel') this.#requests.cancel(action.request, [action.piece])
    else {
      this.#options.log.info(`P${peer.name.slice(1)} is asked for nothing more: it ${action.why}`)
      this.leave(peer.name)
      peer.giveUp(action.why)
      // Where it was a lane that did not carry, its session is still to be tried.
      if (peer.isOpen) this.look(peer)
    }
  }

  #want(peer: PiecePeer, { request, count, choices, rest }: WantAction): void {
    const { pieces, catalog } = this.#options
    const [only = -1] = choices
    const begun = rest && this.#requests.arrived(rest.request)
    const part = begun && this.#parts.begin(only, begun, rest.from, [rest.peer, peer.name])
    if (rest !== undefined && part === undefined) {
      // Its beginning has come to an end in this very turn.
      this.#exchange.onRefused(peer.name, request, 'all', 'cancelled', this.#nowMs())
      this.#soon()
      return
    }
    const preference = this.#exchange.isWireFast(peer.name, request, this.#nowMs()) ? 'fast' : 'small'
    const number = peer.ask(
      { catalog, count, preference, choices, pieceBytes: (piece) => pieces[piece]?.bytes ?? 0, rest: part },
      this.#eventsOf(peer, request, part !== undefined),
    )
    this.#requests.add(request, peer, number)
  }

  #eventsOf(peer: PiecePeer, request: number, isRest: boolean): WantEvents {
    const { name } = peer
    const { totals } = this.#options
    const present = () => this.#peers.get(name) === peer && !this.#over.signal.aborted
    return {
      onHead: (piece, wireBytes) => {
        if (!present()) return false
        totals.firstByteMs ??= this.#nowMs() - this.#startedMs
        return this.#exchange.onHead(name, request, piece, wireBytes, this.#nowMs()) === 'expected'
      },
      onBytes: (piece, bytes) => {
        totals.wireBytes += bytes
        void this.#holdBack(bytes)
        const isWhole = present() && this.#exchange.onBytes(name, request, piece, bytes, this.#nowMs())
        if (isWhole) void this.#put(piece, this.#parts.take(piece))
      },
      onReceived: (piece, wire) => {
        this.#requests.end(request)
        if (!present()) return
        const arrival = this.#exchange.onReceived(name, request, piece, this.#nowMs())
        if (isRest && arrival !== 'unwanted') this.#parts.keep(piece, wire.bytes)
        if (arrival === 'expected') {
          void this.#put(piece, isRest ? this.#parts.take(piece) : { senders: [name], wire })
          this.#parts.forget(piece)
        }
        this.#soon()
      },
      onRefused: (pieces, reason) => {
        if (present()) this.#exchange.onRefused(name, request, pieces, reason, this.#nowMs())
        this.#soon()
      },
      onLost: (error) => {
        this.#requests.end(request)
        this.#failures.set(name, error)
        if (present()) this.#exchange.onRefused(name, request, 'all', 'failed', this.#nowMs())
        this.#soon()
      },
    }
  }

  /** Bring one piece to rest. */
  async #put(piece: number, sent: SentPiece | undefined): Promise<void> {
    if (sent === undefined) return
    const { senders, wire } = sent
    this.#sinking++
    try {
      const receipt = await this.#options.sink.put(piece, wire, senders.join(' and '), this.#over.signal)
      if (!this.#over.signal.aborted) this.#take(senders, piece, receipt)
    } catch (error) {
      if (!this.#over.signal.aborted) this.#settle?.({ error })
    } finally {
      this.#sinking--
      this.#soon()
    }
  }

  #take(senders: readonly string[], piece: number, { verdict, proved, liars, blobs, blobBytes }: PieceReceipt): void {
    const { totals, holding, onProgress } = this.#options
    const nowMs = this.#nowMs()
    totals.blobs += blobs
    totals.blobBytes += blobBytes
    const [sender = '', other] = senders
    if (blobs > 0) totals.bySource.set(sender, (totals.bySource.get(sender) ?? 0) + blobs)
    if (verdict.verdict === 'stored') {
      const stored = [piece, ...proved]
      this.#exchange.onStored(stored, nowMs)
      holding?.add(stored)
    } else if (verdict.verdict === 'held') this.#exchange.onHeld(piece, nowMs)
    else if (verdict.verdict === 'blob-wrong') {
      this.#options.log.info(`${messageOf(verdict.error)}; it is fetched again from one peer`)
      this.#exchange.onBlobWrong(verdict.pieces, nowMs)
    } else {
      this.#exchange.onWrong(piece, nowMs)
      if (other === undefined) this.#drop(sender, verdict.error)
      else this.#options.log.info(`${messageOf(verdict.error)}; piece ${piece} is fetched again from one peer`)
    }
    for (const [liar, error] of liars) this.#drop(liar, error)
    onProgress()
  }

  #drop(name: string, error: HoloError): void {
    if (this.#options.totals.dropped.has(name)) return
    this.#options.totals.dropped.set(name, error)
    this.#options.drop(name, error)
    this.leave(name)
  }

  /**
   * With a limit, nothing more is asked for until what has come is within it, what comes meanwhile included; nor does the
   * fetch end before, or give up, else what comes at once would know no limit.
   */
  async #holdBack(bytes: number): Promise<void> {
    const { downloadLimit, clock } = this.#options
    let waitMs = downloadLimit?.spend(bytes) ?? 0
    if (waitMs <= 0 || this.#heldBack) return
    this.#heldBack = true
    for (; waitMs > 0; waitMs = downloadLimit?.spend(0) ?? 0) {
      await clock.sleep(waitMs, this.#over.signal).catch(() => {})
      if (this.#over.signal.aborted) return
    }
    this.#heldBack = false
    this.#soon()
  }

  #nowMs(): number {
    return this.#options.clock.nowMs()
  }
}
