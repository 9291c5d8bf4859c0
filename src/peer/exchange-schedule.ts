/**
 * Fill the pipelines: open pieces to whoever will be first with one more; then the work of slow peers to idle ones.
 */
import { PEER_REFUSALS_MAX, PEER_STALL_MS } from '../base/limits.ts'
import { choosePieces } from './exchange-choice.ts'
import type { ExchangePeer } from './exchange-peer.ts'
import { chooseRescue } from './exchange-rescue.ts'
import type { ExchangeState } from './exchange-state.ts'

/** While peers are idle and pieces are under way elsewhere, it is looked so often whether one should take over. */
const RESCUE_LOOK_MS = 50
/** What is asked of all peers together: so much of what they send, and so many pieces at least. */
const PIPELINE_MS = 250
const PIECES_AT_ONCE_MIN = 8
/** A deep pipeline is filled up once it has room for this share of it: wants that leave together cost one packet. */
const REFILL_SHARE = 0.25
/** One want in so many goes to any peer that has room, not to the one that will be first with it: speeds change. */
const EXPLORE_ONE_IN = 16
/** Share of the environment that may be lost by fetching pieces twice. */
const LOSS_SHARE = 0.02

/** @returns when to come again without an event, undefined where never */
export function schedule(state: ExchangeState, nowMs: number): number | undefined {
  let wakeMs = Number.POSITIVE_INFINITY
  let coming = 0
  let latencyMs = Number.POSITIVE_INFINITY
  for (const peer of state.peers.values()) {
    judge(peer, state, nowMs)
    wakeMs = Math.min(wakeMs, peer.stallMs ?? wakeMs)
    latencyMs = Math.min(latencyMs, peer.latencyMs ?? latencyMs)
    // Who is silent is not waited for.
    if (!peer.isSilent(nowMs)) coming += peer.wants.size
  }
  const more = piecesAtOnce(state, latencyMs === Number.POSITIVE_INFINITY ? 0 : latencyMs, nowMs) - coming
  if (more > 0 && askForOpen(state, more, nowMs)) wakeMs = Math.min(wakeMs, nowMs + PEER_STALL_MS)
  wakeMs = Math.min(wakeMs, rescue(state, nowMs) ?? wakeMs)
  return wakeMs === Number.POSITIVE_INFINITY ? undefined : wakeMs
}

function judge(peer: ExchangePeer, state: ExchangeState, nowMs: number): void {
  if (peer.givenUp) return
  if (peer.stallMs !== undefined && nowMs >= peer.stallMs) {
    state.giveUp(peer, `sent next to nothing of what it owes us for ${PEER_STALL_MS / 1000} s`)
  } else if (peer.refusals > PEER_REFUSALS_MAX) {
    state.giveUp(peer, `refused ${peer.refusals} pieces that it had announced`)
  }
}

/** @param most pieces to ask for. @returns whether any was asked for */
function askForOpen(state: ExchangeState, most: number, nowMs: number): boolean {
  const { pieces, random } = state
  if (pieces.openCount === 0) return false
  const wireBytes = state.pieceWireBytes
  const room = (peer: ExchangePeer) => peer.depth(wireBytes, nowMs) - peer.wants.size
  const isLow = (peer: ExchangePeer) => room(peer) >= Math.max(1, REFILL_SHARE * peer.depth(wireBytes, nowMs))
  let able: ExchangePeer[] = []
  for (const peer of state.peers.values()) if (peer.isOpen && !peer.barren && isLow(peer)) able.push(peer)
  if (able.length === 0) return false
  const fallbackRate = state.fallbackRate(nowMs)
  const peers = [...state.peers.values()].filter(({ isOpen }) => isOpen)
  const crowd = state.isCrowd
  const seeds = peers.filter(({ holdings }) => holdings === 'all')
  let asked = 0
  while (able.length > 0 && asked < most && pieces.openCount > 0) {
    // In a crowd everybody waits for what only a seed has: it shall never be idle.
    const idleSeed = crowd ? able.find(({ holdings, wants }) => holdings === 'all' && wants.size === 0) : undefined
    const peer =
      idleSeed ??
      pick(able, state, {
        load: (each) => each.wants.size / each.depth(wireBytes, nowMs),
        expectMs: (each) => each.expectMs(wireBytes, wireBytes, fallbackRate, nowMs),
      })
    if (peer === undefined) break
    const seedRoom = seeds.reduce((sum, seed) => sum + Math.max(0, room(seed)), 0)
    const choices = choosePieces(peer, { pieces, peers, random, crowd, seedRoom, hasRoom: (each) => room(each) > 0 })
    if (choices.length === 0) {
      // A seed may hold what others are to be asked for, as long as they have room.
      if (crowd && peer.holdings === 'all') able = able.filter((each) => each !== peer)
      else peer.barren = true
    } else if (!hasMemory(state, choices)) break
    else {
      state.ask(peer, choices, nowMs)
      asked++
    }
    able = able.filter((each) => !each.barren && room(each) > 0)
  }
  return asked > 0
}

/**
 * Pieces that may be asked of all peers together: with more each of them only comes later.
 *
 * @param latencyMs the least of all peers': that of others may be a queue
 */
function piecesAtOnce(state: ExchangeState, latencyMs: number, nowMs: number): number {
  const bytesPerMs = (state.rate.perSecond(nowMs) ?? 0) / 1000
  const pieces = (bytesPerMs * (PIPELINE_MS + 2 * latencyMs)) / Math.max(1, state.pieceWireBytes)
  return Math.max(PIECES_AT_ONCE_MIN, Math.ceil(pieces))
}

interface Ranking {
  /** What it owes us, of what its wire holds. */
  load(peer: ExchangePeer): number
  expectMs(peer: ExchangePeer): number
}

/**
 * The one that has least to do for us; among equals the one that will be first with another piece. Were it the fastest
 * only, machines that fetch, too, would all ask the same few, whose speed is known, and never learn that of the others.
 */
function pick(able: readonly ExchangePeer[], { random }: ExchangeState, rank: Ranking): ExchangePeer | undefined {
  if (random.next() * EXPLORE_ONE_IN < 1) return able[Math.floor(random.next() * able.length)]
  let best: ExchangePeer | undefined
  let [bestLoad, bestMs] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]
  for (const peer of able) {
    const load = rank.load(peer)
    if (load > bestLoad) continue
    const ms = rank.expectMs(peer)
    if (load === bestLoad && ms >= bestMs) continue
    best = peer
    bestLoad = load
    bestMs = ms
  }
  return best
}

/** @returns when to look again, undefined while nothing is under way, or nobody else is there */
function rescue(state: ExchangeState, nowMs: number): number | undefined {
  if (state.wantCount === 0 || state.peers.size < 2) return undefined
  const dueMs = state.rescuedMs + RESCUE_LOOK_MS
  if (nowMs < dueMs) return dueMs
  state.rescuedMs = nowMs
  const { pieces, pieceWireBytes } = state
  const fallbackRate = state.fallbackRate(nowMs)
  const peers = [...state.peers.values()]
  const crowd = state.isCrowd
  // The fastest first: two that never finish would else take the work from each other for ever.
  const idle = peers
    .filter((peer) => peer.isOpen && peer.wants.size === 0)
    .map((peer) => ({ peer, ms: peer.expectMs(pieceWireBytes, pieceWireBytes, fallbackRate, nowMs) }))
    .sort((left, right) => left.ms - right.ms)
  const mayLoseBytes = Math.max(pieceWireBytes, LOSS_SHARE * state.wantedBytes * state.wireShare)
  for (const { peer, ms } of idle) {
    const rescued = chooseRescue(peer, {
      pieces,
      peers,
      ownMs: ms,
      nowMs,
      pieceWireBytes,
      fallbackRate,
      usualMs: state.headMs.value,
      isLast: pieces.openCount === 0 || peer.barren,
      spared: crowd && peer.holdings === 'all',
      mayLose: state.lostBytes + pieceWireBytes <= mayLoseBytes,
      isProvedAlone: state.isProvedAlone,
    })
    if (rescued === undefined || !hasMemory(state, [rescued.piece])) continue
    state.ask(peer, [rescued.piece], nowMs, rescued.takeover)
  }
  return nowMs + RESCUE_LOOK_MS
}

function hasMemory(state: ExchangeState, choices: readonly number[]): boolean {
  const { inFlightBytes, inFlightBytesMax } = state
  return inFlightBytes === 0 || inFlightBytes + state.largest(choices) <= inFlightBytesMax
}
