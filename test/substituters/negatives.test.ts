import { expect, test } from 'bun:test'
import { NEGATIVE_MS, NEGATIVES_MAX } from '../../src/base/substituter-limits.ts'
import { Negatives } from '../../src/substituters/negatives.ts'

test('Negatives remember for a while, until they are cleared', () => {
  const negatives = new Negatives()
  negatives.add('a', 0)
  expect(negatives.has('a', NEGATIVE_MS - 1)).toBe(true)
  expect(negatives.has('b', 0)).toBe(false)
  expect(negatives.has('a', NEGATIVE_MS)).toBe(false)
  negatives.add('a', NEGATIVE_MS)
  negatives.clear()
  expect(negatives.has('a', NEGATIVE_MS)).toBe(false)
})

test('Negatives forget the oldest where there is no room', () => {
  const negatives = new Negatives()
  for (let index = 0; index <= NEGATIVES_MAX; index++) negatives.add(String(index), index)
  expect(negatives.has('0', NEGATIVES_MAX)).toBe(false)
  expect(negatives.has('1', 1)).toBe(true)
})
