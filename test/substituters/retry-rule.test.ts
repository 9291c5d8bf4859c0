import { describe, expect, test } from 'bun:test'
import { RETRY_AFTER_MS_MAX, RETRY_PAUSE_MS } from '../../src/base/substituter-limits.ts'
import { type RequestFailure, retryAfterMs, retryPauseMs } from '../../src/substituters/retry-rule.ts'

const random = { next: () => 1 }
const status = (code: number, askedMs?: number): RequestFailure => ({
  kind: 'status',
  status: code,
  retryAfterMs: askedMs,
})

describe('retryPauseMs()', () => {
  test('tries again what can pass, and nothing else', () => {
    const retried = [408, 429, 500, 502, 503, 504, 599].filter((code) => retryPauseMs(status(code), 0, 2, random))
    expect(retried).toEqual([408, 429, 500, 502, 503, 504, 599])
    const given = [301, 400, 401, 403, 404, 405, 410, 412, 416].filter((code) =>
      retryPauseMs(status(code), 0, 2, random),
    )
    expect(given).toEqual([])
    expect(retryPauseMs({ kind: 'connection' }, 0, 2, random)).toBe(RETRY_PAUSE_MS)
  })

  test('doubles the pause, and ends after the retries that it has', () => {
    const pauses = [0, 1, 2].map((attempt) => retryPauseMs({ kind: 'connection' }, attempt, 2, random))
    expect(pauses).toEqual([RETRY_PAUSE_MS, 2 * RETRY_PAUSE_MS, undefined])
  })

  test('grants what the server asks for, within a bound', () => {
    expect(retryPauseMs(status(429, 3_000), 0, 2, random)).toBe(3_000)
    expect(retryPauseMs(status(503, RETRY_AFTER_MS_MAX + 1), 0, 2, random)).toBeUndefined()
  })
})

describe('retryAfterMs()', () => {
  test('reads seconds, and a date counted from the date of the answer', () => {
    expect(retryAfterMs('3', null, 0)).toBe(3_000)
    // A server whose clock is years off means the same two seconds.
    const date = 'Mon, 01 Jan 2001 00:00:00 GMT'
    expect(retryAfterMs('Mon, 01 Jan 2001 00:00:02 GMT', date, Date.UTC(2026, 0))).toBe(2_000)
    expect(retryAfterMs('Mon, 01 Jan 2001 00:00:02 GMT', null, Date.UTC(2001, 0))).toBe(2_000)
  })

  test('takes nonsense for nothing', () => {
    expect([null, 'soon', '-1', '1e9', ''].map((text) => retryAfterMs(text, null, 0))).toEqual(Array(5).fill(undefined))
  })
})
