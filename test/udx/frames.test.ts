import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { FrameJoiner } from '../../packages/udx/src/frames.ts'
import { runs } from '../support/runs.ts'

function framed(content: Uint8Array): Buffer {
  const length = Buffer.alloc(3)
  length.writeUIntLE(content.byteLength, 0, 3)
  return Buffer.concat([length, content])
}

test('FrameJoiner joins frames that begin with a packet', () => {
  const chunks: number[] = []
  const joiner = new FrameJoiner((chunk) => chunks.push(chunk.byteLength))
  for (const length of [5, 3000, 0, 60_000]) {
    const frame = framed(new Uint8Array(length))
    for (let at = 0; at < frame.byteLength; at += 1452) joiner.push(frame.subarray(at, at + 1452))
  }
  expect(chunks).toEqual([8, 3003, 3, 60_003])
})

// Goal: whatever the bytes, frames or not, none is lost, doubled or moved.
test('FrameJoiner passes every byte on in order', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.uint8Array({ maxLength: 3000 }).map(framed),
    fc.constant(framed(new Uint8Array(70_000))),
  )
  fc.assert(
    fc.property(fc.array(bytes, { maxLength: 8 }), fc.integer({ min: 1, max: 1452 }), (parts, size) => {
      const whole = Buffer.concat(parts)
      const out: Uint8Array[] = []
      const joiner = new FrameJoiner((chunk) => out.push(chunk))
      for (let at = 0; at < whole.byteLength; at += size) joiner.push(whole.subarray(at, at + size))
      joiner.flush()
      expect(Buffer.concat(out).equals(whole)).toBe(true)
    }),
    { numRuns: runs(100) },
  )
})
