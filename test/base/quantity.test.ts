import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { parseRate, parseSize } from '../../src/base/quantity.ts'
import { runs } from '../support/runs.ts'

test('parseSize() and parseRate() read what people write', () => {
  expect(parseSize('512 MiB')).toBe(512 * 1024 * 1024)
  expect(parseSize('1.5GB')).toBe(1_500_000_000)
  expect(parseRate('100 Mbit/s')).toBe(12_500_000)
  expect(parseRate('50 MB/s')).toBe(50_000_000)
  expect(parseRate('1 kB/s')).toBe(1000)
})

test('parseSize() and parseRate() take nothing else', () => {
  for (const text of ['', '5', '5 M', 'MB', '-1 MB', '1e9 MB', '0 MB', '1 MB/s', '8 Mbit', '1,5 MB', '99999999999 TB'])
    expect(parseSize(text)).toBeUndefined()
  for (const text of ['', '5/s', '5 MB', '5 MB / s', '5 mb/s', '0.001 bit/s', 'fast'])
    expect(parseRate(text)).toBeUndefined()
})

test('parseRate() gives a number of bytes or nothing, whatever the text', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^\d{0,14}\.?\d{0,4} ?[kKMGTiBbt]{0,4}(\/s)?$/)), (text) => {
      const rate = parseRate(text)
      expect(rate === undefined || (Number.isSafeInteger(rate) && rate >= 1)).toBe(true)
    }),
    { numRuns: runs(500) },
  )
})
