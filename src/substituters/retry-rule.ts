/**
 * Whether a request that failed is worth another attempt, and when: pure.
 *
 * Only what can pass is tried again: connections that did not come about or broke, 408, 429 and 5xx. A server that asks
 * for more patience than `RETRY_AFTER_MS_MAX` does not get it; the next source is asked instead.
 */

import type { Random } from '../base/random.ts'
import { RETRY_AFTER_MS_MAX, RETRY_PAUSE_MS } from '../base/substituter-limits.ts'

export type RequestFailure =
  | { readonly kind: 'connection' }
  | {
      readonly kind: 'status'
      readonly status: number
      /** From its Retry-After header, in milliseconds from now; undefined where it has none. */
      readonly retryAfterMs: number | undefined
    }

/**
 * @param attempt 0 after the first attempt
 * @param retries how many more there may be in all
 * @returns milliseconds to wait, or undefined where it is not worth it
 */
export function retryPauseMs(
  failure: RequestFailure,
  attempt: number,
  retries: number,
  random: Random,
): number | undefined {
  if (attempt >= retries || !canPass(failure)) return undefined
  const pauseMs = RETRY_PAUSE_MS * 2 ** Math.min(attempt, 10) * (0.5 + random.next() / 2)
  const askedMs = failure.kind === 'status' ? (failure.retryAfterMs ?? 0) : 0
  return askedMs > RETRY_AFTER_MS_MAX ? undefined : Math.max(pauseMs, askedMs)
}

/** Whether the same request may succeed later. */
function canPass(failure: RequestFailure): boolean {
  if (failure.kind === 'connection') return true
  return failure.status === 408 || failure.status === 429 || failure.status >= 500
}

/**
 * The Retry-After of an answer (RFC 9110 §10.2.3): seconds, or a date.
 *
 * @param dateText the answer's own Date header: a date is counted from it, so that clocks that differ do no harm
 * @returns milliseconds, or undefined where there is none that can be read
 */
export function retryAfterMs(text: string | null, dateText: string | null, wallMs: number): number | undefined {
  if (text === null) return undefined
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000
  const atMs = httpDateMs(text)
  return atMs === undefined ? undefined : Math.max(0, atMs - (httpDateMs(dateText ?? '') ?? wallMs))
}

/** The one form of dates that servers have to send (RFC 9110 §5.6.7). */
function httpDateMs(text: string): number | undefined {
  return /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/.test(text) ? Date.parse(text) : undefined
}
