/**
 * One environment on its way from many peers: `Exchange` decides, this carries it out.
 *
 * What is under way is bounded by `FETCH_IN_FLIGHT_BYTES_MAX`, from the want to the blob at rest, whatever the peers
 * send. It ends when every piece is at rest, or when nobody who is here, or comes within a grace, has the rest.
 */
import type { Clock } from '../base/clock.ts'
import { type HoloError, messageOf } from '../base/errors.ts'
import { FETCH_IN_FLIGHT_BYTES_MAX } from '../base/limits.ts'
import type { Logger } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import type { RateLimit } from '../base/rate-limit.ts'
import type { Sha256Digest } from '../blob/digest.ts'
import type { FetchTotals } from '../blob/fetch-all.ts'
import type { PieceOnWire, PieceReceipt, PieceSink } from '../blob/pieces.ts'
import type { Piece } from '../catalog/pieces.ts'
import { Bitfield } from './bitfield.ts'
import { Exchange } from './exchange.ts'
import type { ExchangeAction } from './exchange-want.ts'
import type { PartialHolding } from './own-holdings.ts'
import type { PieceQuestion, WantEvents } from './piece-wants.ts'

/** A member, as far as pieces go. */
export interface PiecePeer {
  /** As in every error and log line. */
  readonly name: string
  readonly choked: boolean
  /** Whether its connection stands. */
  readonly isOpen: boolean
  holdings(catalog: Sha256Digest): 'all' | Bitfield | undefined
  ask(question: PieceQuestion, events: WantEvents): number
  cancel(request: number, pieces: readonly number[]): void
  /** It owes us pieces and sends nothing. */
  giveUp(why: string): void
}

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
  /** Our numbers of requests, which `Exchange` knows, and those of each peer's connection. */
  readonly #requests = new Map<string, number>()
  readonly #over = new AbortController()
  readonly #startedMs: number
  readonly #failures = new Map<string, HoloError>()
  #settle: ((failure: { readonly error: unknown } | undefined) => void) | undefined
  #stepping = false
  #heldBack = false
  #sinking = 0
  #wake = new AbortController()
  #stuckSinceMs: number | undefined

  constructor(options: PieceFetchOptions) {
    this.#options = options
    const { pieces, wanted, random, clock } = options
    this.#startedMs = clock.nowMs()
    this.#exchange = new Exchange({
      pieceBytes: Uint32Array.from(pieces, ({ bytes }) => bytes),
      wanted,
      random,
      inFlightBytesMax: FETCH_IN_FLIGHT_BYTES_MAX,
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
      this.#wake.abort(new Error('the fetch has ended'))
      for (const key of this.#requests.keys()) this.#cancel(key, [])
    }
  }

  /** A member has come, or holds something else of this catalog. */
  look(peer: PiecePeer): void {
    const held = peer.holdings(this.#options.catalog)
    const nowMs = this.#nowMs()
    if (!this.#peers.has(peer.name)) {
      if (held === undefined) return
      this.#peers.set(peer.name, peer)
      this.#exchange.addPeer(peer.name, nowMs)
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
    for (const key of [...this.#requests.keys()]) if (key.startsWith(requestKey(name, ''))) this.#requests.delete(key)
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
    else this.#wakeAt(Math.min(this.#exchange.wakeMs ?? Number.POSITIVE_INFINITY, graceEndMs), nowMs)
  }

  #wakeAt(dueMs: number, nowMs: number): void {
    this.#wake.abort(new Error('another time has been set'))
    this.#wake = new AbortController()
    if (!Number.isFinite(dueMs)) return
    this.#options.clock.sleep(Math.max(1, dueMs - nowMs), this.#wake.signal).then(
      () => this.#soon(),
      () => {},
    )
  }

  #carryOut(action: ExchangeAction): void {
    const peer = this.#peers.get(action.peer)
    if (peer === undefined) return
    if (action.do === 'want') this.#want(peer, action)
    else if (action.do === 'cancel') this.#cancel(requestKey(action.peer, action.request), [action.piece])
    else {
      this.#options.log.info(`P${peer.name.slice(1)} is asked for nothing more: it ${action.why}`)
      this.leave(peer.name)
      peer.giveUp(action.why)
      // Where it was a lane that did not carry, its session is still to be tried.
      if (peer.isOpen) this.look(peer)
    }
  }

  #want(peer: PiecePeer, { request, count, choices }: Extract<ExchangeAction, { do: 'want' }>): void {
    const { pieces, catalog } = this.#options
    const preference = this.#exchange.isWireFast(peer.name, request, this.#nowMs()) ? 'fast' : 'small'
    const key = requestKey(peer.name, request)
    const number = peer.ask(
      { catalog, count, preference, choices, pieceBytes: (piece) => pieces[piece]?.bytes ?? 0 },
      this.#eventsOf(peer, request, key),
    )
    this.#requests.set(key, number)
  }

  #eventsOf(peer: PiecePeer, request: number, key: string): WantEvents {
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
        if (present()) this.#exchange.onBytes(name, request, piece, bytes, this.#nowMs())
      },
      onReceived: (piece, wire) => {
        if (!present()) return
        const wanted = this.#exchange.onReceived(name, request, piece, this.#nowMs()) === 'expected'
        if (wanted) void this.#rest(peer, piece, wire)
        this.#soon()
      },
      onRefused: (pieces, reason) => {
        if (present()) this.#exchange.onRefused(name, request, pieces, reason, this.#nowMs())
        this.#soon()
      },
      onLost: (error) => {
        this.#requests.delete(key)
        this.#failures.set(name, error)
        if (present()) this.#exchange.onRefused(name, request, 'all', 'failed', this.#nowMs())
        this.#soon()
      },
    }
  }

  /** Bring one piece to rest. */
  async #rest(peer: PiecePeer, piece: number, wire: PieceOnWire): Promise<void> {
    this.#sinking++
    try {
      const receipt = await this.#options.sink.put(piece, wire, peer.name, this.#over.signal)
      if (!this.#over.signal.aborted) this.#take(peer, piece, receipt)
    } catch (error) {
      if (!this.#over.signal.aborted) this.#settle?.({ error })
    } finally {
      this.#sinking--
      this.#soon()
    }
  }

  #take(peer: PiecePeer, piece: number, { verdict, proved, liars, blobs, blobBytes }: PieceReceipt): void {
    const { totals, holding, onProgress } = this.#options
    const nowMs = this.#nowMs()
    totals.blobs += blobs
    totals.blobBytes += blobBytes
    if (blobs > 0) totals.bySource.set(peer.name, (totals.bySource.get(peer.name) ?? 0) + blobs)
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
      this.#drop(peer.name, verdict.error)
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

  #cancel(key: string, pieces: readonly number[]): void {
    const [name = ''] = key.split('\n')
    const number = this.#requests.get(key)
    if (number !== undefined) this.#peers.get(name)?.cancel(number, pieces)
  }

  #nowMs(): number {
    return this.#options.clock.nowMs()
  }
}

function requestKey(peer: string, request: number | ''): string {
  return `${peer}\n${request}`
}
