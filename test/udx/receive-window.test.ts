import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { readUint32, seqAdd, seqDiff } from '../../packages/udx/src/codec.ts'
import { HELD_PACKETS_MAX, ReceiveWindow } from '../../packages/udx/src/receive-window.ts'
import { runs } from '../support/runs.ts'

function ranges(window: ReceiveWindow): [number, number][] {
  const bytes = new Uint8Array(400)
  const length = window.writeSacks(bytes, 0)
  const list: [number, number][] = []
  for (let at = 0; at < length; at += 8) list.push([readUint32(bytes, at), readUint32(bytes, at + 4)])
  return list
}

// Goal: whatever the order, each packet comes out once, in order, and the ranges are exactly what is held.
// Method: against a set of sequence numbers, starting just before the wrap.
test('hold() and takeNext() give every packet once and in order', () => {
  const start = 0xfffffff0
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 60 }), { maxLength: 120 }), (offsets) => {
      const window = new ReceiveWindow(1 << 20)
      window.ack = start
      const held = new Set<number>()
      let out = 0
      for (const offset of offsets) {
        const seq = seqAdd(start, offset)
        const arrival = { flags: 1, payload: Uint8Array.of(offset) }
        if (seq === window.ack) {
          window.advance()
          out++
          for (let next = window.takeNext(); next !== undefined; next = window.takeNext()) {
            expect(next.payload[0]).toBe(out)
            held.delete(out)
            out++
          }
        } else {
          const fresh = offset > out && !held.has(offset)
          expect(window.hold(seq, arrival)).toBe(fresh)
          if (fresh) held.add(offset)
        }
        expect(seqDiff(window.ack, start)).toBe(out)
        const reported = ranges(window).flatMap(([from, to]) =>
          Array.from({ length: seqDiff(to, from) }, (_, i) => seqDiff(seqAdd(from, i), start)),
        )
        expect(reported).toEqual([...held].sort((a, b) => a - b))
        expect(window.heldBytes).toBe(held.size)
      }
    }),
    { numRuns: runs(100) },
  )
})

// Goal: the ring grows under packets that it holds, across the wrap, without losing one.
test('takeNext() gives what was held before and after the ring grew', () => {
  const start = 0xffffff00
  const offsets = [1, 3, 63, 64, 200, 255, 256, 1000, 5000, HELD_PACKETS_MAX - 1]
  const window = new ReceiveWindow(1 << 20)
  window.ack = start
  for (const offset of offsets)
    expect(window.hold(seqAdd(start, offset), { flags: offset & 0xff, payload: Uint8Array.of(1) })).toBe(true)
  const taken: number[] = []
  while (window.hasHoles) {
    const offset = seqDiff(window.ack, start)
    const arrival = window.takeNext()
    if (arrival === undefined) window.advance()
    else {
      expect(arrival.flags).toBe(offset & 0xff)
      taken.push(offset)
    }
  }
  expect(taken).toEqual(offsets)
  expect(window.heldBytes).toBe(0)
})

test('hold() keeps to its bounds', () => {
  const window = new ReceiveWindow(3000)
  const payload = new Uint8Array(1000)
  expect(window.hold(HELD_PACKETS_MAX, { flags: 1, payload })).toBe(false)
  expect(window.hold(0xffffffff, { flags: 1, payload })).toBe(false)
  expect([1, 2, 3, 4].map((seq) => window.hold(seq, { flags: 1, payload }))).toEqual([true, true, true, false])
  expect(window.heldBytes).toBe(3000)
})

// Goal: with more holes than an ack has room for, the sender still hears of what has just come.
test('writeSacks() reports the newest packet among more ranges than fit', () => {
  const window = new ReceiveWindow(1 << 20)
  for (let seq = 2; seq < 800; seq += 2) {
    window.hold(seq, { flags: 1, payload: Uint8Array.of(1) })
    const reported = ranges(window)
    expect(reported.length).toBe(Math.min(50, seq / 2))
    expect(reported.some(([from]) => from === seq)).toBe(true)
    expect(reported).toEqual([...reported].sort((a, b) => a[0] - b[0]))
  }
})
