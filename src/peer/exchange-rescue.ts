/**
 * What a peer with nothing to do may take over from a slower one: hedged requests, stealing and endgame in one rule.
 *
 * Only a peer that owes us nothing is given such work: nothing open is left for it, or enough is asked of others. What
 * has not begun to come is moved. Of what has, the idle peer is asked for the rest, while the slow one goes on with what
 * comes before; where it cannot be, the piece is, very rarely, fetched twice. Pure.
 */
import type { ExchangePeer } from './exchange-peer.ts'
import type { ExchangePieces } from './exchange-pieces.ts'
import type { Takeover, Want } from './exchange-want.ts'

/** A piece that has not begun to come is moved where that gets it in half the time: taking it back costs nothing. */
const MOVE_FACTOR = 2
/** One that has begun is fetched again where that is four times as fast: what came of it is lost. */
const REPEAT_FACTOR = 4
/** Beyond what may be lost, only from a peer that is ten times slower. */
const STEAL_FACTOR = 10
/** A piece is late that has not begun to come after so many times what is usual: before, it waits for those of others. */
const LATE_FACTOR = 2
/** The rest of one that has begun is worth asking for where that is twice as fast; next to nothing of it is lost. */
const REST_FACTOR = 2
/** Less of a piece is not worth a question. */
const REST_BYTES_MIN = 32 * 1024
/** Whoever had so often to do with what came out wrong is asked for whole pieces only, by which a liar is known. */
const REST_SUSPICION_MAX = 2
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
  /** As in `ExchangeOptions`. */
  readonly isProvedAlone: (piece: number) => boolean
}

export interface Rescue {
  readonly piece: number
  /** Undefined for a whole piece. */
  readonly takeover: Takeover | undefined
}

/** @returns the piece that gains most by being asked of `peer` as well */
export function chooseRescue(peer: ExchangePeer, context: RescueContext): Rescue | undefined {
  const { pieces, peers, nowMs, pieceWireBytes, fallbackRate } = context
  let best: Rescue | undefined
  let bestMs = 0
  for (const other of peers) {
    if (other === peer) continue
    for (const want of other.wants.values()) {
      const piece = pieceFor(peer, want, pieces)
      if (piece === undefined) continue
      const patient = want.transfer === undefined && !isLate(want, context)
      const otherMs = other.expectWantMs(want, pieceWireBytes, fallbackRate, nowMs, patient)
      if (otherMs <= bestMs) continue
      const takeover = takeoverOf(peer, want, otherMs, context)
      if (takeover === undefined && !isWorth(want, otherMs, context)) continue
      best = { piece, takeover }
      bestMs = otherMs
    }
  }
  return best
}

/** @param otherMs until the peer of `want` has sent it all */
function takeoverOf(peer: ExchangePeer, want: Want, otherMs: number, context: RescueContext): Takeover | undefined {
  const { transfer, takeover, rest, restRefused } = want
  if (transfer === undefined || takeover !== undefined || rest !== undefined || restRefused) return undefined
  if (!peer.sendsRests || !context.isProvedAlone(transfer.piece)) return undefined
  if (Math.max(peer.suspicion, want.peer.suspicion) >= REST_SUSPICION_MAX) return undefined
  const { ownMs, pieceWireBytes, isLast, spared } = context
  const restBytes = transfer.wireBytes - transfer.gotBytes
  const restMs = ownMs * Math.min(1, restBytes / Math.max(1, pieceWireBytes))
  if (otherMs <= MARGIN_MS + (isLast && !spared ? REST_FACTOR : STEAL_FACTOR) * restMs) return undefined
  // Both are through at the same time, if this piece goes on as it came; one that hardly comes is not waited for.
  const asItCameMs = (restBytes * (context.nowMs - transfer.headMs)) / Math.max(1, transfer.gotBytes)
  const from = transfer.gotBytes + Math.floor((restBytes * restMs) / (restMs + Math.max(otherMs, asItCameMs)))
  if (transfer.wireBytes - from < REST_BYTES_MIN) return undefined
  return { beginning: want, begun: transfer, from }
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

/** What of `want` could be asked of `peer` as well: what nobody else is asked for yet, but for a rest that is here. */
function pieceFor(peer: ExchangePeer, want: Want, pieces: ExchangePieces): number | undefined {
  for (const piece of want.choices) {
    if (!peer.holds(piece) || pieces.group(piece) !== undefined) continue
    const claims = pieces.claims(piece).filter((claim) => claim.takeover === undefined || claim.choices.has(piece))
    if (claims.length === 0 ? pieces.offer(piece) === want : claims.length === 1 && claims[0] === want) return piece
  }
  return undefined
}
