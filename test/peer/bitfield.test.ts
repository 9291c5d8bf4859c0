import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { Bitfield } from '../../src/peer/bitfield.ts'
import { runs } from '../support/runs.ts'

test('Bitfield.read() gives what bytes() wrote, whatever is held', () => {
  const fields = fc
    .integer({ min: 0, max: 300 })
    .chain((length) => fc.tuple(fc.constant(length), fc.uniqueArray(fc.integer({ min: 0, max: 299 }))))
  fc.assert(
    fc.property(fields, ([length, held]) => {
      const field = new Bitfield(length)
      for (const piece of held) expect(field.add(piece)).toBe(piece < length)
      const read = Bitfield.read(field.bytes(), length)
      const inside = held.filter((piece) => piece < length)
      expect(read.count).toBe(inside.length)
      expect(read.isFull).toBe(inside.length === length)
      for (let piece = 0; piece < 310; piece++) expect(read.has(piece)).toBe(inside.includes(piece))
      for (const piece of held) expect(read.delete(piece)).toBe(piece < length)
      expect(read.count).toBe(0)
    }),
    { numRuns: runs(100) },
  )
})

test('Bitfield.read() refuses what is too long, too short, or goes beyond the last piece', () => {
  expect(Bitfield.read(Uint8Array.of(0xff, 0x80), 9).isFull).toBe(true)
  for (const bytes of [Uint8Array.of(0xff), Uint8Array.of(0xff, 0x80, 0), Uint8Array.of(0xff, 0xc0)]) {
    expect(() => Bitfield.read(bytes, 9)).toThrow('The peer broke the protocol')
  }
})

test('Bitfield.full() holds everything, and copy() is a thing of its own', () => {
  const field = Bitfield.full(11)
  const copy = field.copy()
  copy.delete(3)
  expect([field.count, copy.count, field.has(3), copy.has(3)]).toEqual([11, 10, true, false])
})
