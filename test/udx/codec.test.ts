import { expect, test } from 'bun:test'
import fc from 'fast-check'
import {
  emptyHeader,
  FLAG_SACK,
  HEADER_BYTES,
  payloadStart,
  readHeader,
  SACK_BLOCKS_MAX,
  sackBlocks,
  seqAdd,
  seqDiff,
  writeHeader,
} from '../../packages/udx/src/codec.ts'
import { runs } from '../support/runs.ts'

const uint32 = fc.integer({ min: 0, max: 0xffffffff })

test('readHeader() returns what writeHeader() wrote', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 63 }), uint32, uint32, uint32, uint32, (flags, id, window, seq, ack) => {
      const bytes = new Uint8Array(HEADER_BYTES)
      writeHeader(bytes, flags, id, window, seq, ack)
      const header = emptyHeader()
      expect(readHeader(bytes, header)).toBe(true)
      expect(header).toEqual({ flags, dataOffset: 0, id, window, seq, ack })
    }),
    { numRuns: runs(200) },
  )
})

test('writeHeader() lays the fields out as libudx does', () => {
  const bytes = new Uint8Array(HEADER_BYTES)
  writeHeader(bytes, 0b000101, 0x01020304, 0x00400000, 7, 0xfffffffe)
  expect(Buffer.from(bytes).toString('hex')).toBe('ff0105000403020100004000' + '07000000' + 'feffffff')
})

test('readHeader() refuses other magic, other versions and stumps', () => {
  const bytes = new Uint8Array(HEADER_BYTES)
  writeHeader(bytes, 1, 2, 3, 4, 5)
  const header = emptyHeader()
  expect(readHeader(bytes.subarray(0, 19), header)).toBe(false)
  expect(
    readHeader(
      Uint8Array.from(bytes, (byte, i) => (i === 0 ? 0xfe : byte)),
      header,
    ),
  ).toBe(false)
  expect(
    readHeader(
      Uint8Array.from(bytes, (byte, i) => (i === 1 ? 2 : byte)),
      header,
    ),
  ).toBe(false)
  expect(header).toEqual(emptyHeader())
})

// Goal: no datagram makes the codec throw, read past the end, or promise more ranges than there is room for.
test('payloadStart() and sackBlocks() stay within any datagram', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: HEADER_BYTES, maxLength: 1500 }), (bytes) => {
      bytes[0] = 0xff
      bytes[1] = 1
      const header = emptyHeader()
      expect(readHeader(bytes, header)).toBe(true)
      const start = payloadStart(header, bytes.byteLength)
      expect(start === -1 || (start >= HEADER_BYTES && start <= bytes.byteLength)).toBe(true)
      const blocks = sackBlocks(header, bytes.byteLength)
      expect(blocks).toBeLessThanOrEqual(SACK_BLOCKS_MAX)
      expect(HEADER_BYTES + blocks * 8).toBeLessThanOrEqual(bytes.byteLength)
      if ((header.flags & FLAG_SACK) === 0) expect(blocks).toBe(0)
    }),
    { numRuns: runs(300) },
  )
})

test('seqDiff() measures across the wrap', () => {
  fc.assert(
    fc.property(uint32, fc.integer({ min: -0x7fffffff, max: 0x7fffffff }), (seq, steps) => {
      expect(seqDiff(seqAdd(seq, steps), seq)).toBe(steps)
    }),
    { numRuns: runs(200) },
  )
})
