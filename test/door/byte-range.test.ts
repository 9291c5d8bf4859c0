import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { parseByteRange } from '../../src/door/byte-range.ts'
import { runs } from '../support/runs.ts'

test.each([
  [undefined, 'whole'],
  ['bytes=0-9', { from: 0, end: 10 }],
  ['bytes=90-', { from: 90, end: 100 }],
  ['bytes=90-1000', { from: 90, end: 100 }],
  ['bytes=-10', { from: 90, end: 100 }],
  ['bytes=-1000', { from: 0, end: 100 }],
  ['bytes=100-', 'unsatisfiable'],
  ['bytes=-0', 'unsatisfiable'],
  ['bytes=9-8', 'whole'],
  ['bytes=0-1,5-6', 'whole'],
  ['bytes=-', 'whole'],
  ['items=0-1', 'whole'],
  ['bytes=0-99999999999999999999', 'whole'],
])('parseByteRange(%p) of 100 bytes is %p', (header, expected) => {
  expect<unknown>(parseByteRange(header, 100)).toEqual(expected)
})

test('parseByteRange() never leaves the content', () => {
  const header = fc.oneof(fc.string(), fc.stringMatching(/^bytes=\d{0,16}-\d{0,16}$/))
  fc.assert(
    fc.property(header, fc.nat(1000), (text, sizeBytes) => {
      const range = parseByteRange(text, sizeBytes)
      if (typeof range === 'string') return
      expect(range.from).toBeGreaterThanOrEqual(0)
      expect(range.end).toBeGreaterThan(range.from)
      expect(range.end).toBeLessThanOrEqual(sizeBytes)
    }),
    { numRuns: runs(500) },
  )
})
