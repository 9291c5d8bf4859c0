/**
 * Which pieces to ask one peer for next.
 *
 * Rarest first. What only seeds hold is offered to a seed as a choice, so that it can send what it has served least:
 * then what it sends to one machine, that one passes on to the others, of whom it is asked as long as one of them has
 * room. With seeds alone pieces go in order from a random start, so that the ranges of a blob are hashed as they come.
 * Pure.
 */
import { PIECE_CHOICES_MAX } from '../base/limits.ts'
import type { Random } from '../base/random.ts'
import type { ExchangePeer } from './exchange-peer.ts'
import type { ExchangePieces, SoleGroup } from './exchange-pieces.ts'

/** Open pieces that are looked at for the rarest one: of so many some are about as rare as the rarest of all. */
const SAMPLE = 512

export interface ChoiceContext {
  readonly pieces: ExchangePieces
  readonly peers: Iterable<ExchangePeer>
  readonly random: Random
  /** Whether anybody else fetches: then what this machine gets first matters to others. */
  readonly crowd: boolean
  /** Wants that seeds have room for, this one included: the free pieces are shared out among them. */
  readonly seedRoom: number
  /** Whether this much could be asked of a peer besides. */
  hasRoom(peer: ExchangePeer): boolean
}

/** @returns one piece, or several of which the peer may choose one; none where it holds nothing that is open */
export function choosePieces(peer: ExchangePeer, context: ChoiceContext): readonly number[] {
  const { pieces, random, crowd } = context
  if (pieces.openCount === 0) return []
  const from = Math.floor(random.next() * pieces.openCount)
  if (peer.holdings === 'all') {
    if (!crowd) return firstInOrder(peer, context)
    const choices = onlyAtSeeds(peer, context, from)
    if (choices.length > 0) return choices
  }
  const others = peer.holdings === 'all' ? withRoom(context) : []
  let rarest: number | undefined
  let rarestHolders = Number.POSITIVE_INFINITY
  let looked = 0
  for (const piece of pieces.open(from)) {
    if (++looked > SAMPLE && rarest !== undefined) break
    const holders = pieces.partialHolders(piece)
    if (holders >= rarestHolders || !mayAsk(peer, piece, context)) continue
    if (holders > 0 && others.some((each) => mayAsk(each, piece, context))) continue
    rarest = piece
    rarestHolders = holders
  }
  return rarest === undefined ? [] : [rarest]
}

/** Machines that fetch, too, and could send something now. */
function withRoom({ peers, hasRoom }: ChoiceContext): readonly ExchangePeer[] {
  return [...peers].filter((each) => each.isPartial && each.isOpen && hasRoom(each))
}

function firstInOrder(peer: ExchangePeer, context: ChoiceContext): readonly number[] {
  for (const piece of context.pieces.openInOrder()) if (mayAsk(peer, piece, context)) return [piece]
  return []
}

/** Open pieces that no seed has among its choices and nobody else holds, as many as are this want's share. */
function onlyAtSeeds(peer: ExchangePeer, { pieces, seedRoom }: ChoiceContext, from: number): readonly number[] {
  const share = Math.min(PIECE_CHOICES_MAX, Math.ceil(pieces.freeCount / Math.max(1, seedRoom)))
  const choices: number[] = []
  for (const piece of pieces.open(from)) {
    if (choices.length >= share) break
    if (pieces.partialHolders(piece) > 0 || pieces.isOffered(piece)) continue
    if (peer.holds(piece) && pieces.group(piece) === undefined) choices.push(piece)
  }
  return choices
}

/** What a seed was offered is not asked of another seed; of somebody else it is, and taken back from the seed. */
function mayAsk(peer: ExchangePeer, piece: number, { pieces, peers }: ChoiceContext): boolean {
  if (!peer.holds(piece)) return false
  if (peer.holdings === 'all' && pieces.isOffered(piece)) return false
  const group = pieces.group(piece)
  return group === undefined || isFitFor(group, piece, peer, peers)
}

/** Whether a piece of a blob that came out wrong may be asked of `peer`: the least suspicious one that can send it all. */
function isFitFor(group: SoleGroup, piece: number, peer: ExchangePeer, peers: Iterable<ExchangePeer>): boolean {
  if (group.peer !== undefined) return group.peer === peer
  const present = [...peers].filter((each) => each.isOpen)
  const whole = present.filter((each) => holdsAll(group, each))
  const rivals = whole.length > 0 ? whole : present.filter((each) => each.holds(piece))
  return rivals.includes(peer) && rivals.every(({ suspicion }) => suspicion >= peer.suspicion)
}

export function holdsAll({ pieces }: SoleGroup, peer: ExchangePeer): boolean {
  return pieces.every((piece) => peer.holds(piece))
}
