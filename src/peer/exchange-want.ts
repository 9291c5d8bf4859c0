/**
 * One question on its way: send me one of these pieces. And what a fetch tells its caller to do.
 *
 * A want of several choices is an *offer*: the peer picks, and until it has, another peer may be asked for any of them.
 * A want of one choice, and one whose piece has begun to come, is a *claim*: that piece is asked of nobody else.
 * Of a piece that comes slowly somebody else may be asked for the rest: its *beginning* and its *rest* are two claims then.
 */
import type { ExchangePeer } from './exchange-peer.ts'

/** A piece that has begun to come. */
export interface Transfer {
  readonly piece: number
  /** Of what was asked for: the whole wire form, or a rest of it. */
  readonly wireBytes: number
  /** When it began to come. */
  readonly headMs: number
  gotBytes: number
  /** Of those, what came after that. */
  flowedBytes: number
}

/** Where a want takes over from another one. */
export interface Takeover {
  readonly beginning: Want
  /** What that one is bringing. */
  readonly begun: Transfer
  /** The first byte of the wire form that the want is for. */
  readonly from: number
}

/** It lives until the peer has answered it, also where we do not care any more. */
export interface Want {
  readonly request: number
  readonly peer: ExchangePeer
  /** What it was asked for. */
  readonly asked: readonly number[]
  /** What the peer may still send for it. */
  readonly choices: Set<number>
  /** Those of its choices that we have taken back; it may not have heard of that yet. */
  readonly withdrawn: Set<number>
  transfer: Transfer | undefined
  /** What it takes over; undefined for whole pieces. */
  readonly takeover: Takeover | undefined
  /** Who takes over from it, while that is of use. */
  rest: Want | undefined
  /** The rest of it was refused: nobody is asked for it again. */
  restRefused: boolean
  /** Raw bytes that it takes of what may be in flight. */
  reservedBytes: number
  readonly askedMs: number
  /** How many were asked of the peer before. */
  readonly ordinal: number
  /** Whether the peer owed us nothing when it was asked: only then its first answer tells the latency. */
  readonly first: boolean
}

export type ExchangeAction =
  /** Ask `peer` for `count` of `choices`, whichever it has served least; in this order, where those are all of them. */
  | {
      readonly do: 'want'
      readonly peer: string
      readonly request: number
      readonly count: number
      readonly choices: readonly number[]
      /** Of the only choice what comes after `from` bytes of what that request of `peer` is bringing. */
      readonly rest?: { readonly peer: string; readonly request: number; readonly from: number }
    }
  /** Take back one choice of a request. The peer answers with a refusal, unless the piece is on its way already. */
  | { readonly do: 'cancel'; readonly peer: string; readonly request: number; readonly piece: number }
  /** Nothing more is asked of this peer; to be followed by `removePeer`. `why` is the end of the sentence `it …`. */
  | { readonly do: 'give-up'; readonly peer: string; readonly why: string }

/** What we are about to get: `unwanted` is to be cancelled or dropped, `violation` breaks the protocol. */
export type Expectation = 'expected' | 'unwanted' | 'violation'

/** What we have got: `partial` is a rest whose beginning is still coming. */
export type Arrival = Expectation | 'partial'

/** Why a peer does not send what was asked. */
export type RefusalReason = 'not-held' | 'choked' | 'cancelled' | 'failed'
