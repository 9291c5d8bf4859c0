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
/** One want in so many goes to any peer that has room, not to the one that will be first with it: speeds change. */
const EXPLORE_ONE_IN = 16
/** Share of the environment that may be lost by fetching pieces twice. */
const LOSS_SHARE = 0.02

/** @returns when to come again without an event, undefined where never */
export function schedule(state: ExchangeState, nowMs: number): number | undefined {
  let wakeMs = Number.POSITIVE_INFINITY
  for (const peer of state.peers.values()) {
    judge(peer, state, nowMs)
    wakeMs = Math.min(wakeMs, peer.stallMs ?? wakeMs)
  }
  askForOpen(state, nowMs)
  for (const { stallMs } of state.peers.values()) wakeMs = Math.min(wakeMs, stallMs ?? wakeMs)
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

function askForOpen(state: ExchangeState, nowMs: number): void {
  const { pieces, random } = state
  if (pieces.openCount === 0) return
  const peers = [...state.peers.values()].filter(({ isOpen }) => isOpen)
  const fallbackRate = state.fallbackRate(nowMs)
  const wireBytes = state.pieceWireBytes
  const room = (peer: ExchangePeer) => peer.depth(wireBytes, nowMs) - peer.wants.size
  const crowd = peers.some(({ isPartial }) => isPartial)
  const seeds = peers.filter(({ holdings }) => holdings === 'all')
  let able = peers.filter((peer) => !peer.barren && room(peer) > 0)
  while (able.length > 0 && pieces.openCount > 0) {
    const peer = pick(able, state, (each) => each.expectMs(wireBytes, wireBytes, fallbackRate, nowMs))
    if (peer === undefined) return
    const seedRoom = seeds.reduce((sum, seed) => sum + Math.max(0, room(seed)), 0)
    const choices = choosePieces(peer, { pieces, peers, random, crowd, seedRoom })
    if (choices.length === 0) peer.barren = true
    else if (!hasMemory(state, choices)) return
    else state.ask(peer, choices, nowMs)
    able = able.filter((each) => !each.barren && room(each) > 0)
  }
}

function pick(
  able: readonly ExchangePeer[],
  { random }: ExchangeState,
  expectMs: (peer: ExchangePeer) => number,
): ExchangePeer | undefined {
  if (random.next() * EXPLORE_ONE_IN < 1) return able[Math.floor(random.next() * able.length)]
  let best: ExchangePeer | undefined
  let bestMs = Number.POSITIVE_INFINITY
  for (const peer of able) {
    const ms = expectMs(peer)
    if (ms >= bestMs) continue
    best = peer
    bestMs = ms
  }
  return best
}

/** @returns when to look again, undefined while nobody is idle, or nothing is under way */
function rescue(state: ExchangeState, nowMs: number): number | undefined {
  const peers = [...state.peers.values()]
  const idle = peers.filter((peer) => peer.isOpen && peer.wants.size === 0)
  if (idle.length === 0 || idle.length === peers.length) return undefined
  if (peers.every(({ wants }) => wants.size === 0)) return undefined
  const dueMs = state.rescuedMs + RESCUE_LOOK_MS
  if (nowMs < dueMs) return dueMs
  state.rescuedMs = nowMs
  const { pieces } = state
  const pieceWireBytes = state.pieceWireBytes
  const mayLoseBytes = Math.max(pieceWireBytes, LOSS_SHARE * state.wantedBytes * state.wireShare)
  for (const peer of idle) {
    const found = chooseRescue(peer, {
      pieces,
      peers,
      nowMs,
      pieceWireBytes,
      fallbackRate: state.fallbackRate(nowMs),
      usualMs: state.headMs.value,
      mayLose: state.lostBytes + pieceWireBytes <= mayLoseBytes,
    })
    if (found !== undefined && hasMemory(state, [found.piece])) state.ask(peer, [found.piece], nowMs)
  }
  return nowMs + RESCUE_LOOK_MS
}

function hasMemory(state: ExchangeState, choices: readonly number[]): boolean {
  const { inFlightBytes, inFlightBytesMax } = state
  return inFlightBytes === 0 || inFlightBytes + state.largest(choices) <= inFlightBytesMax
}
