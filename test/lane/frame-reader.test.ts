/** Frames out of a byte stream, however it is cut, and whatever is in it. */
import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { FRAME_BYTES_MAX } from '../../src/base/limits.ts'
import { FrameReader, framed } from '../../src/lane/frame-reader.ts'
import { runs } from '../support/runs.ts'

/** Cut `bytes` at the places that `cuts` tell. */
function pieces(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const places = [...new Set(cuts.map((cut) => cut % (bytes.byteLength + 1)))].sort((left, right) => left - right)
  return [...places, bytes.byteLength].map((end, index) => bytes.subarray(places[index - 1] ?? 0, end))
}

test('FrameReader gives back every frame, however the stream is cut', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 })), fc.array(fc.nat(4000)), (frames, cuts) => {
      const read: Uint8Array[] = []
      const reader = new FrameReader()
      for (const piece of pieces(Buffer.concat(frames.map((frame) => framed(frame))), cuts)) {
        expect(reader.push(piece, (frame) => read.push(new Uint8Array(frame)) > 0)).toBe(piece.byteLength)
        // Nothing of what was pushed is looked at again.
        piece.fill(0xee)
      }
      expect(read.map((frame) => Buffer.from(frame))).toEqual(frames.map((frame) => Buffer.from(frame)))
    }),
    { numRuns: runs(200) },
  )
})

test('FrameReader reads any bytes within its bound, or refuses them', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 64 })), fc.integer({ min: 0, max: 200 }), (chunks, bytesMax) => {
      const reader = new FrameReader(bytesMax)
      try {
        for (const chunk of chunks)
          reader.push(chunk, (frame) => {
            expect(frame.byteLength).toBeLessThanOrEqual(bytesMax)
            return true
          })
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError)
      }
    }),
    { numRuns: runs(500) },
  )
})

test('FrameReader refuses a huge length before it allocates anything', () => {
  const before = process.memoryUsage().arrayBuffers
  const reader = new FrameReader()
  expect(() => reader.push(Uint8Array.of(0xff, 0xff, 0xff, 0xff), () => true)).toThrow(String(FRAME_BYTES_MAX))
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1_000_000)
})

test('FrameReader copies no frame that has come whole, and gathers others in the same memory', () => {
  const reader = new FrameReader()
  const [whole, cut] = [framed(new Uint8Array(1000).fill(1)), framed(new Uint8Array(1000).fill(2))]
  const read: ArrayBufferLike[] = []
  const take = (frame: Uint8Array) => {
    expect(frame.byteLength).toBe(1000)
    return read.push(frame.buffer) > 0
  }
  reader.push(whole, take)
  for (let time = 0; time < 2; time++)
    for (const part of [cut.subarray(0, 500), cut.subarray(500)]) reader.push(part, take)
  expect(read[0]).toBe(whole.buffer)
  expect(read[1]).not.toBe(cut.buffer)
  expect(read[2]).toBe(read[1] as ArrayBufferLike)
})

test('FrameReader keeps no memory of frames that are larger than chunks', () => {
  const reader = new FrameReader()
  const large = framed(new Uint8Array(FRAME_BYTES_MAX))
  const read: ArrayBufferLike[] = []
  for (let time = 0; time < 2; time++) {
    for (const part of [large.subarray(0, 500), large.subarray(500)]) {
      reader.push(part, (frame) => read.push(frame.buffer) > 0)
    }
  }
  expect(read[0]).not.toBe(read[1] as ArrayBufferLike)
})

test('FrameReader stops where it is told, and says how far it came', () => {
  const reader = new FrameReader()
  const two = Buffer.concat([framed(Buffer.from('first')), framed(Buffer.from('second'))])
  const read: string[] = []
  const take = (frame: Uint8Array) => read.push(Buffer.from(frame).toString()) > 1
  const taken = reader.push(two, take)
  expect([taken, read]).toEqual([9, ['first']])
  reader.push(two.subarray(taken), take)
  expect(read).toEqual(['first', 'second'])
})

test('frames and their lengths are what docs/protocol.md says', () => {
  expect(Buffer.from(framed(Buffer.from('abc'))).toString('hex')).toBe('03000000616263')
})
