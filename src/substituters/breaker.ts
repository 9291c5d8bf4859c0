/**
 * When a source that failed is asked again: a circuit breaker as a pure state machine.
 *
 * After a failure the source rests, twice as long after each further one, and a little less by chance, so that a
 * fleet does not come back in step. When the rest is over one question is let through: its answer closes the breaker or
 * doubles the rest. Knows nothing of operations; that a source is skipped for the rest of one is `askInOrder`'s affair.
 */

import type { Random } from '../base/random.ts'
import { BREAKER_REST_MS, BREAKER_REST_MS_MAX } from '../base/substituter-limits.ts'

export interface BreakerState {
  /** Failures in a row. */
  readonly failures: number
  /** Until when nobody asks, on the clock of `nowMs`. */
  readonly restsUntilMs: number
  /** A question was let through after a rest and is not answered yet. */
  readonly probing: boolean
}

export const closedBreaker: BreakerState = { failures: 0, restsUntilMs: 0, probing: false }

/** Whether a question may be asked now. */
export function isOpen({ failures, restsUntilMs, probing }: BreakerState, nowMs: number): boolean {
  return failures > 0 && (nowMs < restsUntilMs || probing)
}

/** A question is asked: to be called only where the breaker is not open. */
export function afterAsking(state: BreakerState): BreakerState {
  return state.failures === 0 ? state : { ...state, probing: true }
}

/** @param atLeastMs what the source itself asked for (Retry-After) */
export function afterFailure(state: BreakerState, nowMs: number, random: Random, atLeastMs = 0): BreakerState {
  // Several questions that were under way at once fail together: that is one failure.
  if (nowMs < state.restsUntilMs) return { ...state, probing: false }
  const failures = state.failures + 1
  const fullMs = Math.min(BREAKER_REST_MS * 2 ** Math.min(failures - 1, 20), BREAKER_REST_MS_MAX)
  const restMs = fullMs * (0.5 + random.next() / 2)
  return { failures, restsUntilMs: nowMs + Math.max(restMs, Math.min(atLeastMs, BREAKER_REST_MS_MAX)), probing: false }
}

/** The question ended with no answer of either kind: whoever asked has left. */
export function afterAbandon(state: BreakerState): BreakerState {
  return { ...state, probing: false }
}
