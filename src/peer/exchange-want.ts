/**
 * One question on its way: send me one of these pieces. And what a fetch tells its caller to do.
 *
 * A want of several choices is an *offer*: the peer picks, and until it has, another peer may be asked for any of them.
 * A want of one choice, and one whose piece has begun to come, is a *claim*: that piece is asked of nobody else.
 */
import type { ExchangePeer } from './exchange-peer.ts'

/** A piece that has begun to come. */
export interface Transfer {
  readonly piece: number
  readonly wireBytes: number
  /** When it began to come. */
  readonly headMs: number
  gotBytes: number
  /** Of those, what came after that. */
  flowedBytes: number
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
    }
  /** Take back one choice of a request. The peer answers with a refusal, unless the piece is on its way already. */
  | { readonly do: 'cancel'; readonly peer: string; readonly request: number; readonly piece: number }
  /** Nothing more is asked of this peer; to be followed by `removePeer`. `why` is the end of the sentence `it …`. */
  | { readonly do: 'give-up'; readonly peer: string; readonly why: string }

/** What we are about to get: `unwanted` is to be cancelled or dropped, `violation` breaks the protocol. */
export type Expectation = 'expected' | 'unwanted' | 'violation'

/** Why a peer does not send what was asked. */
export type RefusalReason = 'not-held' | 'choked' | 'cancelled' | 'failed'
