import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { HoloError } from '../../src/base/errors.ts'
import { decodeMessage, encodeMessage } from '../../src/peer/codec.ts'
import type { Message } from '../../src/peer/messages.ts'
import { anyMessage } from '../support/any-message.ts'
import { runs } from '../support/runs.ts'

/** Buffers and Uint8Arrays alike. */
const plain = (message: Message) =>
  JSON.parse(
    JSON.stringify(message, (_, value) =>
      value instanceof Uint8Array ? Array.from(value) : value?.type === 'Buffer' ? value.data : value,
    ),
  )

test('decodeMessage() gives back every message that encodeMessage() wrote', () => {
  fc.assert(
    fc.property(anyMessage, (message) => {
      expect(plain(decodeMessage(encodeMessage(message)))).toEqual(plain(message))
    }),
    { numRuns: runs(500) },
  )
})

function outcome(frame: Uint8Array): string {
  try {
    return decodeMessage(frame).type
  } catch (error) {
    if (error instanceof HoloError) return `${error.code}/${error.blame}`
    throw error
  }
}

const ANSWER = /^[a-z-]+$|^protocol-violation\/source$/

// Goal: whatever a hostile peer sends is a message within its bounds or a named error, never a crash.
test('decodeMessage() answers any bytes with a message or a protocol violation', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(24), (bytes, type) => {
      expect(outcome(bytes)).toMatch(ANSWER)
      expect(outcome(Buffer.concat([Buffer.from([type]), bytes]))).toMatch(ANSWER)
    }),
    { numRuns: runs(2000) },
  )
})

test('decodeMessage() refuses a message that is cut off or has bytes left over', () => {
  fc.assert(
    fc.property(anyMessage, (message) => {
      const frame = encodeMessage(message)
      for (let length = 0; length < frame.byteLength; length++)
        expect(outcome(frame.subarray(0, length))).toBe('protocol-violation/source')
      const longer = outcome(Buffer.concat([frame, Buffer.from([0])]))
      // A later version may put more into its hello.
      expect(longer).toBe(message.type === 'hello' ? 'hello' : 'protocol-violation/source')
    }),
    { numRuns: runs(50) },
  )
})

test('decodeMessage() refuses counts and lengths beyond their bounds before it reads what they count', () => {
  const huge = [0xfe, 0xff, 0xff, 0xff, 0x7f]
  const frames: Record<string, number[]> = {
    'proofs of hello': [0, 1, 1, 17],
    'text of bye': [1, 0, 0xfd, 0x01, 0x01],
    'added of have': [2, ...huge],
    'digests of want': [4, 0, 0xfd, 0x01, 0x04],
    'no digest in want': [4, 0, 0],
    parts: [5, ...huge],
    'chunk of a part': [5, 1, 0, 0, 2, ...huge],
    'index of a part': [5, 1, 0, 0xfd, 0x00, 0x04, 0, 0],
    'flags of a part': [5, 1, 0, 0, 8, 0],
    credit: [8, ...huge],
    'unknown type': [13],
    'port of a lane': [12, 1, 0xfe, 0, 0, 1, 0, ...Array(64).fill(0)],
    'ticket of a lane': [12, 1, 80, ...Array(63).fill(0)],
    'flag of a lane': [12, 2],
    'rest of nothing': [24, 0, ...Array(32).fill(1), 0, 0, 0, 0, 0, 0],
    'rest beyond its end': [24, 0, ...Array(32).fill(1), 0, 0, 9, 9, 0, 0],
    'rest that knows more than all': [24, 0, ...Array(32).fill(1), 0, 0, 9, 3, 10, 0],
    'checksum of a rest': [24, 0, ...Array(32).fill(1), 0, 0, 9, 3, 3, 0xff, 0, 0, 0, 0, 1, 0, 0, 0],
    'unsafe integer': [8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    'no catalog name': [3, 0, 3, 46, 46, 47],
    'versions turned round': [0, 2, 1, 0],
    nothing: [],
  }
  for (const [what, frame] of Object.entries(frames)) {
    expect([what, outcome(Uint8Array.from(frame))]).toEqual([what, 'protocol-violation/source'])
  }
})

test('decodeMessage() reads the versions of a hello whose form it does not know', () => {
  const hello = decodeMessage(Uint8Array.from([0, 7, 9, 1, 2, 3]))
  expect(hello).toMatchObject({ type: 'hello', versionLowest: 7, versionHighest: 9, proofs: [] })
})

test('decodeMessage() takes control characters out of what people read', () => {
  const bye = decodeMessage(encodeMessage({ type: 'bye', code: 'leaving', text: 'a\u001b[31mb\nc' }))
  expect(bye).toMatchObject({ text: 'a [31mb c' })
})
