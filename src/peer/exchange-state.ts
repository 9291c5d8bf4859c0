/**
 * The books of one fetch: peers, pieces, wants and what they take of memory. `exchange.ts` enters what happened,
 * `exchange-schedule.ts` what is asked for.
 *
 * Keeps one invariant: `inFlightBytes` is what all unanswered wants and all pieces under verification take.
 */
import type { Random } from '../base/random.ts'
import type { Bitfield } from './bitfield.ts'
import { holdsAll } from './exchange-choice.ts'
import { ExchangePeer } from './exchange-peer.ts'
import { ExchangePieces } from './exchange-pieces.ts'
import type { ExchangeAction, Takeover, Want } from './exchange-want.ts'
import { BusyRate, MovingAverage, RecentPercentile } from './rates.ts'

export interface ExchangeOptions {
  /** Raw bytes of each piece, by number. */
  readonly pieceBytes: ArrayLike<number>
  /** Numbers of the pieces to fetch. */
  readonly wanted: Iterable<number>
  readonly random: Random
  /** Raw bytes that may be asked for and not yet at rest; one piece always may. */
  readonly inFlightBytesMax: number
  /** Whether a piece is proved as soon as it is whole, wherever its bytes came from: then two peers may send it together. */
  readonly isProvedAlone?: (piece: number) => boolean
}

/** Bytes a second of a peer before anything is known of any: it is asked, and then it is known. */
const RATE_UNKNOWN = 10_000_000
/** The speed of all peers together is judged over a second. */
const RATE_HALF_LIFE_MS = 1_000
/** Pieces whose size on the wire counts for the next one's. */
const WIRE_HALF_LIFE = 32
/** Of so many answers the slow end is taken for what is usual. */
const HEAD_WINDOW = 64
const HEAD_FRACTION = 0.95

export class ExchangeState {
  readonly pieces: ExchangePieces
  readonly peers = new Map<string, ExchangePeer>()
  readonly random: Random
  readonly inFlightBytesMax: number
  /** Raw bytes of all pieces that were wanted. */
  readonly wantedBytes: number
  inFlightBytes = 0
  /** Bytes of the wire that came to nothing, because the piece came from elsewhere. */
  lostBytes = 0
  /** Bytes a second from all peers together, while any of them owes us something. */
  readonly rate = new BusyRate(RATE_HALF_LIFE_MS)
  /** Pieces asked for and not answered. */
  wantCount = 0
  /** How long it took from want to head, ms. */
  readonly headMs = new RecentPercentile(HEAD_FRACTION, HEAD_WINDOW)
  /** When it was last looked for work of slow peers that idle ones could do. */
  rescuedMs = Number.NEGATIVE_INFINITY
  /** What peers have to do with fetches that failed, by name: it outlasts their connections. */
  readonly #doubts = new Map<string, number>()
  readonly #wireShare = new MovingAverage(WIRE_HALF_LIFE)
  #actions: ExchangeAction[] = []
  #nextRequest = 0
  readonly isProvedAlone: (piece: number) => boolean

  constructor({ pieceBytes, wanted, random, inFlightBytesMax, isProvedAlone = () => false }: ExchangeOptions) {
    this.isProvedAlone = isProvedAlone
    this.pieces = new ExchangePieces(pieceBytes, wanted, random)
    this.random = random
    this.inFlightBytesMax = inFlightBytesMax
    let wantedBytes = 0
    for (const piece of this.pieces.missing()) wantedBytes += this.pieces.bytes(piece)
    this.wantedBytes = wantedBytes
  }

  addPeer(name: string, sendsRests: boolean): void {
    if (this.peers.has(name)) return
    const peer = new ExchangePeer(name, sendsRests)
    peer.suspicion = this.#doubts.get(name) ?? 0
    this.peers.set(name, peer)
  }

  /** It may be to blame for a blob that is wrong, or did not come. */
  suspect(peer: ExchangePeer): void {
    peer.suspicion++
    this.#doubts.set(peer.name, peer.suspicion)
  }

  takeActions(): ExchangeAction[] {
    const actions = this.#actions
    this.#actions = []
    return actions
  }

  /** Whether anybody else who fetches, too, can be asked. */
  get isCrowd(): boolean {
    for (const { isPartial, isOpen } of this.peers.values()) if (isPartial && isOpen) return true
    return false
  }

  /** What a piece usually takes on the wire, bytes. */
  get pieceWireBytes(): number {
    return (this.wireShare * this.wantedBytes) / Math.max(1, this.pieces.wantedCount)
  }

  /** Bytes of the wire per raw byte. */
  get wireShare(): number {
    return this.#wireShare.value ?? 1
  }

  /** Bytes a second of a peer that has sent nothing yet: what those that send do. */
  fallbackRate(nowMs: number): number {
    const rate = this.rate.perSecond(nowMs)
    return rate === undefined ? RATE_UNKNOWN : rate / Math.max(1, Math.min(this.wantCount, this.peers.size))
  }

  noteWire(piece: number, wireBytes: number): void {
    const raw = this.pieces.bytes(piece)
    if (raw > 0) this.#wireShare.add(wireBytes / raw)
  }

  /** How long until `want`, which has begun, is here, ms. */
  restMs(want: Want, nowMs: number): number {
    return want.peer.expectWantMs(want, this.pieceWireBytes, this.fallbackRate(nowMs), nowMs)
  }

  setHoldings(peer: ExchangePeer, holdings: ExchangePeer['holdings'] | Bitfield): void {
    const { pieces } = this
    if (peer.isPartial)
      for (let piece = 0; piece < pieces.count; piece++) if (has(peer, piece)) pieces.removeHolder(piece)
    peer.holdings = holdings !== undefined && holdings !== 'all' && holdings.isFull ? 'all' : holdings
    if (peer.isPartial) for (let piece = 0; piece < pieces.count; piece++) if (has(peer, piece)) pieces.addHolder(piece)
    peer.barren = false
    this.#reconsiderGroups()
  }

  /** Ask `peer` for one of `choices`, or for the rest of the only one. */
  ask(peer: ExchangePeer, choices: readonly number[], nowMs: number, takeover?: Takeover): void {
    const { pieces } = this
    const request = this.#nextRequest++
    const want: Want = {
      request,
      peer,
      asked: choices,
      choices: new Set(choices),
      withdrawn: new Set(),
      transfer: undefined,
      takeover,
      rest: undefined,
      restRefused: false,
      reservedBytes: 0,
      askedMs: nowMs,
      ordinal: peer.asked,
      first: peer.wants.size === 0,
    }
    this.reserve(want, this.largest(choices))
    for (const piece of choices) {
      if (choices.length > 1) pieces.addOffer(piece, want)
      else this.#claim(piece, want)
    }
    if (takeover !== undefined) takeover.beginning.rest = want
    peer.onAsked(want, nowMs)
    this.wantCount++
    this.rate.begin(nowMs)
    const action = { do: 'want', peer: peer.name, request, count: 1, choices } as const
    if (takeover === undefined) this.#actions.push(action)
    else {
      const { beginning, from } = takeover
      this.#actions.push({ ...action, rest: { peer: beginning.peer.name, request: beginning.request, from } })
    }
  }

  /** Whether a request of this number was ever made, of whomever. */
  hasAsked(request: number): boolean {
    return request >= 0 && request < this.#nextRequest
  }

  /** Raw bytes that one of `choices` may take. */
  largest(choices: readonly number[]): number {
    return choices.reduce((most, piece) => Math.max(most, this.pieces.bytes(piece)), 0)
  }

  reserve(want: Want, bytes: number): void {
    this.inFlightBytes += bytes - want.reservedBytes
    want.reservedBytes = bytes
  }

  /** What has come of `from` is kept for `to`. */
  handOver(from: Want, to: Want): void {
    const { reservedBytes } = from
    this.reserve(from, 0)
    this.reserve(to, to.reservedBytes + reservedBytes)
  }

  /** It has been answered to its end. */
  end(want: Want, nowMs: number): void {
    const { rest } = want
    // What came of a beginning is kept as long as its rest is under way.
    if (rest !== undefined && isReached(rest) && rest.peer.wants.has(rest.request)) this.handOver(want, rest)
    this.reserve(want, 0)
    for (const piece of want.choices) this.drop(piece, want)
    want.peer.onAnswered(want, nowMs)
    if (--this.wantCount === 0) this.rate.end(nowMs)
  }

  /** `want` does not keep others from `piece` any more. */
  drop(piece: number, want: Want): void {
    const { rest, takeover } = want
    if (takeover?.beginning.rest === want) takeover.beginning.rest = undefined
    // What comes after a gap is of no use.
    if (rest !== undefined && !isReached(rest)) {
      want.rest = undefined
      this.withdraw(piece, rest)
    }
    if (this.pieces.drop(piece, want)) this.#reconsider(piece)
  }

  /** What has come of a piece by `want` and is gone on with by its rest, bytes. */
  keptBytes({ rest }: Want): number {
    return rest !== undefined && isReached(rest) ? (rest.takeover?.from ?? 0) : 0
  }

  /** Take `piece` back from all wants but `except`, and tell the peers. */
  withdrawOthers(piece: number, except: Want | undefined): void {
    const offer = this.pieces.offer(piece)
    if (offer !== undefined && offer !== except) this.withdraw(piece, offer)
    for (const claim of this.pieces.claims(piece)) if (claim !== except) this.withdraw(piece, claim)
  }

  withdraw(piece: number, want: Want): void {
    this.drop(piece, want)
    if (want.withdrawn.has(piece) || !want.choices.has(piece)) return
    want.withdrawn.add(piece)
    this.#actions.push({ do: 'cancel', peer: want.peer.name, request: want.request, piece })
  }

  /** What it was asked keeps nobody from asking others. @param begunToo what has begun to come, too */
  releaseAll(peer: ExchangePeer, { begunToo }: { begunToo: boolean }): void {
    for (const want of peer.wants.values()) {
      if (want.transfer !== undefined && !begunToo) continue
      for (const piece of want.choices) this.drop(piece, want)
    }
    for (const group of this.pieces.groups()) {
      if (group.peer !== peer) continue
      group.peer = undefined
      // Else one that always leaves too early would be chosen for ever.
      if (begunToo) this.suspect(peer)
    }
    this.#reconsiderGroups()
  }

  /** Nothing more is asked of it. */
  giveUp(peer: ExchangePeer, why: string): void {
    peer.givenUp = true
    this.releaseAll(peer, { begunToo: true })
    this.#actions.push({ do: 'give-up', peer: peer.name, why })
  }

  /** Where it was chosen for a whole blob and cannot send it all, another one is chosen. */
  unbind(peer: ExchangePeer): void {
    for (const group of this.pieces.groups()) {
      if (group.peer === peer && !holdsAll(group, peer)) group.peer = undefined
    }
    this.#reconsiderGroups()
  }

  leaveVerification(piece: number): void {
    if (this.pieces.isReceived(piece)) this.inFlightBytes -= this.pieces.bytes(piece)
  }

  reopen(piece: number): void {
    this.pieces.setMissing(piece)
    this.#reconsider(piece)
  }

  /** Others may know better now who is fit for a blob that came out wrong. */
  #reconsiderGroups(): void {
    if (this.pieces.hasGroups) for (const peer of this.peers.values()) peer.barren = false
  }

  #reconsider(piece: number): void {
    for (const peer of this.peers.values()) if (peer.barren && peer.holds(piece)) peer.barren = false
  }

  #claim(piece: number, want: Want): void {
    const offer = this.pieces.offer(piece)
    if (offer !== undefined) this.withdraw(piece, offer)
    this.pieces.addClaim(piece, want)
    const group = this.pieces.group(piece)
    if (group !== undefined && holdsAll(group, want.peer)) group.peer = want.peer
  }
}

/** Whether all that comes before the rest which `want` is for is here. */
export function isReached({ takeover }: Want): boolean {
  return takeover !== undefined && takeover.begun.gotBytes >= takeover.from
}

function has({ holdings }: ExchangePeer, piece: number): boolean {
  return holdings !== undefined && holdings !== 'all' && holdings.has(piece)
}
