/** What was handed out, and what is about to be had elsewhere. */
import { expect, test } from 'bun:test'
import { UPLOAD_CATALOGS_MAX } from '../../src/base/upload-limits.ts'
import { HandedOut } from '../../src/peer/handed-out.ts'

const random = { next: () => 0.5 }
const here = () => true

test('HandedOut.leastOf() takes what was handed out least, and among equals what should have come first', () => {
  const handed = new HandedOut(random)
  handed.note('x', 1, 'a', 30)
  handed.note('x', 2, 'a', 10)
  handed.note('x', 3, 'b', 20)
  handed.note('x', 2, 'b', 40)
  expect(handed.leastOf('x', new Set([1, 2, 3, 4]))).toBe(4)
  expect(handed.leastOf('x', new Set([1, 2, 3]))).toBe(3)
  handed.takeBack('x', 2)
  expect([handed.times('x', 2), handed.times('x', 9), handed.times('y', 1)]).toEqual([1, 0, 0])
  expect(() => handed.leastOf('x', new Set())).toThrow(RangeError)
})

test('HandedOut.onGot() counts only what the peer had from here, and once', () => {
  const handed = new HandedOut(random)
  // Before some have been told of nobody knows how long that takes.
  const early = [10, 11, 12]
  for (const piece of early) handed.note('x', piece, 'a', 0)
  handed.onGot('a', 'x', early, 100)
  handed.note('x', 1, 'a', 0)
  expect(handed.onGot('b', 'x', [1], 50)).toBeUndefined()
  expect(handed.onGot('a', 'y', [1], 50)).toBeUndefined()
  expect(handed.onGot('a', 'x', [1, 2], 100)).toBe(150)
  expect(handed.onGot('a', 'x', [1], 400)).toBeUndefined()
  expect(handed.restsUntilMs('x', new Set([1]), here, 149)).toBe(150)
  expect(handed.restsUntilMs('x', new Set([1]), here, 150)).toBeUndefined()
})

test('HandedOut remembers so many catalogs, those asked for last', () => {
  const handed = new HandedOut(random)
  for (let index = 0; index <= UPLOAD_CATALOGS_MAX; index++) handed.note(`${index}`, 1, 'a', 0)
  expect([handed.times('0', 1), handed.times('1', 1)]).toEqual([0, 1])
})
