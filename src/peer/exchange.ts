/**
 * The fetching side of one environment: which piece is asked of whom, and when.
 *
 * Pure: what happened goes in, what to do comes out of `next`; time and randomness are arguments, so simulation and
 * reality run the same code. Guarantees: what is asked for and not at rest never takes more than `inFlightBytesMax` raw
 * bytes; every missing piece that a present peer holds is asked for; what a lost, choked or stalled peer owed is asked
 * of others. Knows nothing of bytes, digests and sockets.
 */
import { FAST_LINK_BYTES_PER_SECOND } from '../base/limits.ts'
import { Bitfield } from './bitfield.ts'
import { FLOWS_MIN, type PeerFigures } from './exchange-peer.ts'
import { schedule } from './exchange-schedule.ts'
import { type ExchangeOptions, ExchangeState, isReached } from './exchange-state.ts'
import type { Arrival, ExchangeAction, Expectation, RefusalReason, Want } from './exchange-want.ts'

export class Exchange {
  readonly #state: ExchangeState
  #wakeMs: number | undefined

  constructor(options: ExchangeOptions) {
    this.#state = new ExchangeState(options)
  }

  /**
   * A peer that may hold pieces of this environment; nothing is asked of it before `onHoldings` or `onGot`.
   *
   * @param sendsRests whether it may be asked for the rest of a piece that another one has begun to send
   */
  addPeer(peer: string, _nowMs: number, sendsRests = false): void {
    this.#state.addPeer(peer, sendsRests)
  }

  /** It is gone: what it owed is asked of others. */
  removePeer(name: string, nowMs: number): void {
    const peer = this.#state.peers.get(name)
    if (peer === undefined) return
    this.#state.setHoldings(peer, undefined)
    this.#state.releaseAll(peer, { begunToo: true })
    for (const want of [...peer.wants.values()]) this.#state.end(want, nowMs)
    this.#state.peers.delete(name)
  }

  /** What it holds, from now on. @returns `violation` for a bitfield of the wrong length */
  onHoldings(name: string, holdings: 'all' | Bitfield, _nowMs: number): Expectation {
    const peer = this.#state.peers.get(name)
    if (holdings !== 'all' && holdings.length !== this.#state.pieces.count) return 'violation'
    if (peer !== undefined) {
      peer.refused.clear()
      this.#state.setHoldings(peer, holdings === 'all' ? 'all' : holdings.copy())
    }
    return 'expected'
  }

  /** It holds these besides. @returns `violation` for a piece that does not exist */
  onGot(name: string, got: readonly number[], _nowMs: number): Expectation {
    const peer = this.#state.peers.get(name)
    if (got.some((piece) => !(piece >= 0 && piece < this.#state.pieces.count))) return 'violation'
    if (peer === undefined) return 'expected'
    if (peer.holdings === undefined) this.#state.setHoldings(peer, new Bitfield(this.#state.pieces.count))
    for (const piece of got) {
      peer.refused.delete(piece)
      if (peer.holdings !== 'all' && peer.holdings?.add(piece)) this.#state.pieces.addHolder(piece)
    }
    peer.barren = false
    if (peer.holdings !== 'all' && peer.holdings?.isFull) this.#state.setHoldings(peer, 'all')
    return 'expected'
  }

  /** Choked: it will refuse what it was asked and has not begun, which is asked of others at once. */
  onChoke(name: string, choked: boolean, _nowMs: number): void {
    const peer = this.#state.peers.get(name)
    if (peer === undefined) return
    peer.choked = choked
    peer.barren = false
    if (choked) this.#state.releaseAll(peer, { begunToo: false })
  }

  /** The peer begins to send a piece. @param wireBytes size of its wire form */
  onHead(name: string, request: number, piece: number, wireBytes: number, nowMs: number): Expectation {
    const want = this.#state.peers.get(name)?.wants.get(request)
    if (want === undefined || want.transfer !== undefined || !want.choices.has(piece)) return 'violation'
    if (!(wireBytes >= 0 && wireBytes <= this.#state.pieces.bytes(piece))) return 'violation'
    const { peer, takeover } = want
    if (takeover !== undefined && wireBytes !== takeover.begun.wireBytes - takeover.from) return 'violation'
    peer.onHead(want, nowMs)
    this.#state.headMs.add(nowMs - want.askedMs)
    if (takeover === undefined) this.#state.noteWire(piece, wireBytes)
    for (const choice of want.choices) {
      if (choice === piece) continue
      want.choices.delete(choice)
      this.#state.drop(choice, want)
    }
    want.transfer = { piece, wireBytes, headMs: nowMs, gotBytes: 0, flowedBytes: 0 }
    // A rest has been given its own when it was asked for, and that of its beginning where that has ended.
    if (takeover === undefined) this.#state.reserve(want, this.#state.pieces.bytes(piece))
    if (want.withdrawn.has(piece)) return 'unwanted'
    const isOfUse = takeover === undefined || takeover.beginning.rest === want
    if (!isOfUse || !this.#state.pieces.isMissing(piece)) {
      want.withdrawn.add(piece)
      return 'unwanted'
    }
    if (takeover !== undefined) {
      if (isReached(want)) this.#state.withdraw(piece, takeover.beginning)
      return 'expected'
    }
    const rival = this.#state.pieces.claims(piece).find((claim) => claim !== want && claim.transfer !== undefined)
    if (rival !== undefined && this.#state.restMs(rival, nowMs) <= this.#state.restMs(want, nowMs)) {
      want.withdrawn.add(piece)
      this.#state.drop(piece, want)
      return 'unwanted'
    }
    this.#state.withdrawOthers(piece, want)
    this.#state.pieces.addClaim(piece, want)
    return 'expected'
  }

  /**
   * So many bytes of a piece have come, since the last call.
   *
   * @returns whether it is whole by that, since its rest is here already; as with `onReceived`, it is to be verified then
   */
  onBytes(name: string, request: number, piece: number, bytes: number, nowMs: number): boolean {
    const want = this.#state.peers.get(name)?.wants.get(request)
    if (want?.transfer === undefined || want.transfer.piece !== piece) return false
    // The first of them came with the head.
    if (want.transfer.gotBytes > 0) want.transfer.flowedBytes += bytes
    want.transfer.gotBytes += bytes
    want.peer.onBytes(bytes, nowMs)
    this.#state.rate.add(bytes, nowMs)
    const { rest } = want
    // As long as the rest has not begun to come, it may as well come from here.
    if (rest?.transfer === undefined || want.withdrawn.has(piece) || !isReached(rest)) return false
    this.#state.withdraw(piece, want)
    if (!this.#isHere(rest)) return false
    // What it has kept for the rest counts as received from here on.
    this.#state.reserve(want, this.#state.pieces.bytes(piece))
    this.#setReceived(piece, rest)
    return true
  }

  /**
   * All that was asked for is here.
   *
   * @returns `expected`: to be verified, after which `onStored`, `onHeld`, `onWrong` or `onBlobWrong` must follow;
   *   `unwanted`: to be dropped, since it came from elsewhere; `partial`: to be kept until `onBytes` says more
   */
  onReceived(name: string, request: number, piece: number, nowMs: number): Arrival {
    const want = this.#state.peers.get(name)?.wants.get(request)
    if (want?.transfer === undefined || want.transfer.piece !== piece) return 'violation'
    const { peer, transfer, takeover } = want
    const isOfUse = takeover === undefined || takeover.beginning.rest === want
    const isWanted = isOfUse && this.#state.pieces.isMissing(piece)
    peer.onPiece(transfer, nowMs)
    // A rest stays a claim until its beginning is here, and takes memory, though its peer is free.
    if (takeover !== undefined && isWanted) {
      want.choices.delete(piece)
      if (!isReached(want)) this.#state.handOver(want, takeover.beginning)
    }
    // A rest that is not needed after all keeps nothing of it.
    if (takeover === undefined && isWanted) this.#state.withdrawOthers(piece, want)
    this.#state.end(want, nowMs)
    if (!isWanted) {
      this.#state.lostBytes += transfer.gotBytes
      return 'unwanted'
    }
    if (takeover !== undefined && !isReached(want)) return 'partial'
    this.#setReceived(piece, want)
    return 'expected'
  }

  #setReceived(piece: number, want: Want): void {
    const { peer, takeover } = want
    this.#state.withdrawOthers(piece, want)
    this.#state.pieces.drop(piece, want)
    this.#state.pieces.setReceived(piece, takeover === undefined ? [peer] : [peer, takeover.beginning.peer])
    this.#state.inFlightBytes += this.#state.pieces.bytes(piece)
  }

  /** All of a rest, whose beginning may still be coming. */
  #isHere({ transfer, request, peer }: Want): boolean {
    return transfer !== undefined && !peer.wants.has(request)
  }

  /**
   * The peer will not send these choices of a request, or not to their end.
   *
   * @param pieces 'all' for whatever is left of it
   * @returns `unwanted` for what has ended: a refusal may come on another way than the piece that was sent instead
   */
  onRefused(
    name: string,
    request: number,
    pieces: 'all' | readonly number[],
    reason: RefusalReason,
    nowMs: number,
  ): Expectation {
    const want = this.#state.peers.get(name)?.wants.get(request)
    if (want === undefined) return this.#state.hasAsked(request) ? 'unwanted' : 'violation'
    const { peer } = want
    if (pieces !== 'all' && pieces.some((piece) => !want.asked.includes(piece))) return 'violation'
    for (const piece of pieces === 'all' ? [...want.choices] : pieces) {
      if (!want.choices.delete(piece)) continue
      if (want.takeover !== undefined) want.takeover.beginning.restRefused = true
      else if (reason === 'not-held' || reason === 'failed') {
        peer.refused.add(piece)
        peer.refusals++
      }
      this.#state.drop(piece, want)
      if (want.transfer?.piece === piece) {
        this.#state.lostBytes += want.transfer.gotBytes - this.#state.keptBytes(want)
        want.transfer = undefined
      }
    }
    this.#state.unbind(peer)
    if (want.choices.size === 0) this.#state.end(want, nowMs)
    return 'expected'
  }

  /** Proved and at rest, wherever they came from. */
  onStored(pieces: readonly number[], _nowMs: number): void {
    for (const piece of pieces) {
      this.#state.leaveVerification(piece)
      this.#state.withdrawOthers(piece, undefined)
      this.#state.pieces.setStored(piece)
    }
  }

  /** At rest, and to be proved by the rest of its blob: it is not asked for again. */
  onHeld(piece: number, _nowMs: number): void {
    this.#state.leaveVerification(piece)
    this.#state.withdrawOthers(piece, undefined)
    this.#state.pieces.setHeld(piece)
  }

  /** What came was wrong: it is asked for again, elsewhere. */
  onWrong(piece: number, nowMs: number): void {
    const sources = this.#state.pieces.sources(piece)
    if (sources.length > 1) {
      this.onBlobWrong([piece], nowMs)
      return
    }
    this.#state.leaveVerification(piece)
    for (const source of sources) source.refused.add(piece)
    this.#state.reopen(piece)
  }

  /**
   * A blob, or a piece of two peers, is whole and wrong, and nobody knows what of it is: all of it is fetched again, from
   * one peer.
   */
  onBlobWrong(pieces: readonly number[], _nowMs: number): void {
    const sources = new Set(pieces.flatMap((piece) => this.#state.pieces.sources(piece)))
    for (const source of sources) this.#state.suspect(source)
    this.#state.pieces.setGroup({ pieces, peer: undefined })
    for (const piece of pieces) {
      this.#state.leaveVerification(piece)
      this.#state.withdrawOthers(piece, undefined)
      this.#state.reopen(piece)
    }
  }

  /** What to do now; to be called after events, and at `wakeMs`. */
  next(nowMs: number): ExchangeAction[] {
    this.#wakeMs = schedule(this.#state, nowMs)
    return this.#state.takeActions()
  }

  /** When `next` has something to do without an event, as of its last call; undefined where never. */
  get wakeMs(): number | undefined {
    return this.#wakeMs
  }

  /** Everything that was wanted is proved and at rest. */
  get isDone(): boolean {
    return this.#state.pieces.storedCount === this.#state.pieces.wantedCount
  }

  /** Nothing is under way, and no present peer holds what is missing, or has not refused it. */
  get isStuck(): boolean {
    if (this.isDone || this.#state.inFlightBytes > 0 || this.#state.pieces.openCount === 0) return false
    const peers = [...this.#state.peers.values()].filter(({ givenUp }) => !givenUp)
    for (const piece of this.#state.pieces.open()) if (peers.some((peer) => peer.holds(piece))) return false
    return true
  }

  /** Pieces that are not at rest, ascending. */
  get missing(): number[] {
    return [...this.#state.pieces.missing()]
  }

  /** Raw bytes asked for, or received, and not yet at rest. */
  get inFlightBytes(): number {
    return this.#state.inFlightBytes
  }

  /**
   * Whether pieces come from a peer sooner raw than made small; found out by its first ones, since a fast wire would wait
   * for a peer that has to compress.
   */
  isWireFast(name: string, request: number, nowMs: number): boolean {
    const peer = this.#state.peers.get(name)
    if (peer === undefined) return false
    if (peer.wireRate === undefined) return (peer.wants.get(request)?.ordinal ?? FLOWS_MIN) < FLOWS_MIN
    return Math.max(peer.wireRate, peer.bytesPerSecond(nowMs) ?? 0) >= FAST_LINK_BYTES_PER_SECOND
  }

  /** For people, in the order in which they came. */
  peers(nowMs: number): PeerFigures[] {
    return [...this.#state.peers.values()].map((peer) => peer.figures(nowMs, this.#state.pieces.count))
  }
}
