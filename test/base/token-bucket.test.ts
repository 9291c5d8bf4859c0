import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { TokenBucket } from '../../src/base/token-bucket.ts'
import { runs } from '../support/runs.ts'

test('TokenBucket.take() lets a burst go at once and then holds the limit', () => {
  const bucket = new TokenBucket({ bytesPerSecond: 1000, burstBytes: 500 })
  expect(bucket.take(500, 10)).toBe(0)
  expect(bucket.take(100, 10)).toBe(100)
  expect(bucket.take(100, 110)).toBe(100)
  // A pause fills it again, and no more than that.
  expect(bucket.take(500, 100_000)).toBe(0)
  expect(bucket.take(1, 100_000)).toBe(1)
})

test('TokenBucket.take() never lets more through than rate and burst, and never makes anybody wait for nothing', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1e9 }),
      fc.integer({ min: 0, max: 1e7 }),
      fc.array(fc.record({ bytes: fc.nat(1e6), pauseMs: fc.nat(50) }), { minLength: 1, maxLength: 50 }),
      (bytesPerSecond, burstBytes, takes) => {
        const bucket = new TokenBucket({ bytesPerSecond, burstBytes })
        let nowMs = 0
        let sent = 0
        for (const { bytes, pauseMs } of takes) {
          nowMs += pauseMs + bucket.take(bytes, nowMs + pauseMs)
          sent += bytes
          expect(sent).toBeLessThanOrEqual((nowMs / 1000) * bytesPerSecond * (1 + 1e-9) + burstBytes + 1e-3)
        }
        const pausedMs = takes.reduce((sum, { pauseMs }) => sum + pauseMs, 0)
        expect(nowMs).toBeLessThanOrEqual((pausedMs + (sent / bytesPerSecond) * 1000) * (1 + 1e-9) + 1e-3)
      },
    ),
    { numRuns: runs(200) },
  )
})

test('TokenBucket.take() is not confused by a clock that stands still or goes back, nor made with no limit', () => {
  const bucket = new TokenBucket({ bytesPerSecond: 1000, burstBytes: 0 })
  expect(bucket.take(10, 100)).toBe(10)
  expect(bucket.take(10, 50)).toBe(20)
  expect(bucket.take(0, 120)).toBe(0)
  expect(() => new TokenBucket({ bytesPerSecond: 0, burstBytes: 1 })).toThrow(RangeError)
  expect(() => new TokenBucket({ bytesPerSecond: Number.NaN, burstBytes: 1 })).toThrow(RangeError)
})
