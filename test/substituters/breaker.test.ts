import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { seededRandom } from '../../src/base/random.ts'
import { BREAKER_REST_MS, BREAKER_REST_MS_MAX } from '../../src/base/substituter-limits.ts'
import { afterAsking, afterFailure, type BreakerState, closedBreaker, isOpen } from '../../src/substituters/breaker.ts'
import { runs } from '../support/runs.ts'

const random = { next: () => 1 }

describe('the circuit breaker', () => {
  test('lets everything through until something fails', () => {
    expect(isOpen(closedBreaker, 0)).toBe(false)
    expect(isOpen(afterAsking(afterAsking(closedBreaker)), 0)).toBe(false)
  })

  test('rests after a failure, lets one question through after that, and doubles the rest', () => {
    const first = afterFailure(closedBreaker, 0, random)
    expect(isOpen(first, BREAKER_REST_MS - 1)).toBe(true)
    expect(isOpen(first, BREAKER_REST_MS)).toBe(false)
    const probing = afterAsking(first)
    expect(isOpen(probing, BREAKER_REST_MS)).toBe(true)
    const second = afterFailure(probing, BREAKER_REST_MS, random)
    expect(second.restsUntilMs).toBe(BREAKER_REST_MS + 2 * BREAKER_REST_MS)
  })

  test('takes failures of questions that were under way together for one', () => {
    const first = afterFailure(closedBreaker, 0, random)
    expect(afterFailure(first, 1, random).failures).toBe(1)
  })

  test('rests at least as long as the source asks for, within its bound', () => {
    expect(afterFailure(closedBreaker, 0, random, 20_000).restsUntilMs).toBe(20_000)
    expect(afterFailure(closedBreaker, 0, random, 1e12).restsUntilMs).toBe(BREAKER_REST_MS_MAX)
  })

  test('never rests longer than its bound, nor less than half of what it is due', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: 60 }), (seed, failures) => {
        const chance = seededRandom(seed)
        let state: BreakerState = closedBreaker
        let nowMs = 0
        for (let count = 1; count <= failures; count++) {
          state = afterFailure(state, nowMs, chance)
          const dueMs = Math.min(BREAKER_REST_MS * 2 ** (count - 1), BREAKER_REST_MS_MAX)
          const restMs = state.restsUntilMs - nowMs
          expect(restMs).toBeGreaterThanOrEqual(dueMs / 2)
          expect(restMs).toBeLessThanOrEqual(dueMs)
          nowMs = state.restsUntilMs
        }
      }),
      { numRuns: runs(50) },
    )
  })
})
