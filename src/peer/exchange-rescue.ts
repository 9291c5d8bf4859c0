/**
 * What a peer with nothing to do may take over from a slower one: hedged requests, stealing and endgame in one rule.
 *
 * Only a peer that owes us nothing is given such work: nothing open is left for it, or enough is asked of others. What
 * has begun to come is hardly ever fetched twice, what has not is moved. Pure.
 */
import type { ExchangePeer } from './exchange-peer.ts'
import type { ExchangePieces } from './exchange-pieces.ts'
import type { Want } from './exchange-want.ts'

/** A piece that has not begun to come is moved where that gets it in half the time: taking it back costs nothing. */
const MOVE_FACTOR = 2
/** One that has begun is fetched again where that is four times as fast: what came of it is lost. */
const REPEAT_FACTOR = 4
/** Beyond what may be lost, only from a peer that is ten times slower. */
const STEAL_FACTOR = 10
/** A piece is late that has not begun to come after so many times what is usual: before, it waits for those of others. */
const LATE_FACTOR = 2
/** Differences below this are noise. */
const MARGIN_MS = 30

export interface RescueContext {
  readonly pieces: ExchangePieces
  readonly peers: Iterable<ExchangePeer>
  /** How long a piece of the idle peer will take, ms. */
  readonly ownMs: number
  readonly nowMs: number
  readonly pieceWireBytes: number
  /** Bytes a second of a peer that has sent nothing yet. */
  readonly fallbackRate: number
  /** How long nearly all pieces took from question to head, ms; undefined before enough came to tell. */
  readonly usualMs: number | undefined
  /** Whether more may be lost by fetching twice. */
  readonly mayLose: boolean
  /** Whether nothing is left for the idle peer but what others were asked for: else there is no haste. */
  readonly isLast: boolean
  /** Whether it is a seed among many that fetch: only what hardly comes otherwise is asked of it. */
  readonly spared: boolean
}

/** @returns the piece that gains most by being asked of `peer` as well */
export function chooseRescue(peer: ExchangePeer, context: RescueContext): number | undefined {
  const { pieces, peers, nowMs, pieceWireBytes, fallbackRate } = context
  let best: number | undefined
  let bestMs = 0
  for (const other of peers) {
    if (other === peer) continue
    for (const want of other.wants.values()) {
      const piece = pieceFor(peer, want, pieces)
      if (piece === undefined) continue
      const patient = want.transfer === undefined && !isLate(want, context)
      const otherMs = other.expectWantMs(want, pieceWireBytes, fallbackRate, nowMs, patient)
      if (otherMs <= bestMs || !isWorth(want, otherMs, context)) continue
      best = piece
      bestMs = otherMs
    }
  }
  return best
}

function isLate({ askedMs }: Want, { nowMs, usualMs }: RescueContext): boolean {
  return usualMs === undefined || nowMs - askedMs > LATE_FACTOR * usualMs + MARGIN_MS
}

function isWorth(want: Want, otherMs: number, context: RescueContext): boolean {
  const { ownMs, usualMs, mayLose, spared, isLast } = context
  if (spared) return otherMs > MARGIN_MS + STEAL_FACTOR * ownMs
  if (want.transfer !== undefined) {
    return otherMs > MARGIN_MS + (mayLose && isLast ? REPEAT_FACTOR : STEAL_FACTOR) * ownMs
  }
  const late = usualMs !== undefined && isLate(want, context)
  return otherMs > MARGIN_MS + (isLast ? MOVE_FACTOR : STEAL_FACTOR) * ownMs || (late && otherMs > ownMs)
}

/** What of `want` could be asked of `peer` as well: what nobody else is asked for yet. */
function pieceFor(peer: ExchangePeer, want: Want, pieces: ExchangePieces): number | undefined {
  for (const piece of want.choices) {
    if (!peer.holds(piece) || pieces.group(piece) !== undefined) continue
    const claims = pieces.claims(piece)
    if (claims.length === 0 ? pieces.offer(piece) === want : claims.length === 1 && claims[0] === want) return piece
  }
  return undefined
}
