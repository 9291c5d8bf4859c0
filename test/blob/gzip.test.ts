import { describe, expect, test } from 'bun:test'
import { crc32, gzipSync } from 'node:zlib'
import fc from 'fast-check'
import {
  GZIP_HEADER_BYTES_MAX,
  GzipError,
  gunzipExactly,
  gunzipStream,
  gzipBytesMax,
  gzipStream,
  gzipWhole,
  isGzip,
} from '../../src/blob/gzip.ts'
import { runs } from '../support/runs.ts'

const text = (value: string) => [...new TextEncoder().encode(value), 0]

function header(flags: number, ...rest: number[]): Uint8Array {
  return new Uint8Array([0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 4, 255, ...rest])
}

function withChecksum(bytes: Uint8Array): Uint8Array {
  const sum = crc32(bytes) & 0xffff
  return new Uint8Array([...bytes, sum & 0xff, sum >> 8])
}

// The cases are those of readHeader in Go's compress/gzip: what it accepts, rcc decodes; the rest it reads raw.
describe('isGzip()', () => {
  test.each([
    ["rcc's own header", header(0)],
    ['reserved flags, which Go ignores', header(0xe0)],
    ['an extra field', header(4, 3, 0, 1, 2, 3)],
    ['an empty extra field', header(4, 0, 0)],
    ['a name and a comment', header(8 | 16, ...text('a'), ...text('b'))],
    ['the longest name', header(8, ...text('a'.repeat(511)))],
    ['everything with its checksum', withChecksum(header(2 | 4 | 8 | 16, 1, 0, 7, ...text('a'), ...text('')))],
  ])('accepts %s', (_what, bytes) => expect(isGzip(bytes)).toBe(true))

  test.each([
    ['nothing', new Uint8Array(0)],
    ['nine bytes', header(0).subarray(0, 9)],
    ['another method', new Uint8Array([0x1f, 0x8b, 7, 0, 0, 0, 0, 0, 0, 0])],
    ['another magic', new Uint8Array([0x1f, 0x8c, 8, 0, 0, 0, 0, 0, 0, 0])],
    ['a torn extra field', header(4, 3, 0, 1, 2)],
    ['a torn extra length', header(4, 3)],
    ['a name without end', header(8, 97, 98)],
    ['a name too long for Go', header(8, ...text('a'.repeat(512)))],
    ['a missing checksum', header(2, 0)],
    ['a wrong checksum', header(2, 1, 2)],
  ])('takes %s for raw', (_what, bytes) => expect(isGzip(bytes)).toBe(false))

  test('needs no more of a file than it says', () => {
    const name = text('a'.repeat(511))
    const extra = [0xff, 0xff, ...new Uint8Array(0xffff)]
    const longest = withChecksum(header(2 | 4 | 8 | 16, ...extra, ...name, ...name))
    expect(longest.byteLength).toBe(GZIP_HEADER_BYTES_MAX)
    expect(isGzip(longest)).toBe(true)
  })
})

async function gathered(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = []
  for await (const chunk of chunks) all.push(chunk)
  return Buffer.concat(all)
}

async function* piecesOf(bytes: Uint8Array, pieceBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes)
}

describe('gunzipExactly() and gunzipStream()', () => {
  test('agree on any content, in one member or several', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 2_000 }), { minLength: 1, maxLength: 3 }),
        async (members) => {
          const content = Buffer.concat(members)
          const stored = Buffer.concat(members.map((member) => gzipSync(member)))
          expect(Buffer.from(gunzipExactly(stored, content.byteLength)).equals(content)).toBe(true)
          expect((await gathered(gunzipStream(piecesOf(stored, 7), content.byteLength))).equals(content)).toBe(true)
        },
      ),
      { numRuns: 40 * Number(process.env.FUZZ_RUNS ?? 1) },
    )
  })

  test('throw GzipError, and nothing else, for any damage', async () => {
    const content = Buffer.from('import this\n'.repeat(200))
    const stored = gzipSync(content)
    await fc.assert(
      fc.asyncProperty(
        fc.nat(stored.byteLength - 1),
        fc.integer({ min: 1, max: 255 }),
        fc.boolean(),
        async (at, mask, cut) => {
          const damaged = new Uint8Array(cut ? stored.subarray(0, at) : stored)
          if (!cut) damaged[at] = (damaged[at] ?? 0) ^ mask
          for (const decode of [
            async () => gunzipExactly(damaged, content.byteLength),
            () => gathered(gunzipStream(piecesOf(damaged, 99), content.byteLength)),
          ]) {
            try {
              await decode()
            } catch (error) {
              expect(error).toBeInstanceOf(GzipError)
            }
          }
        },
      ),
      { numRuns: 150 * Number(process.env.FUZZ_RUNS ?? 1) },
    )
  })
})

describe('gzipWhole() and gzipStream()', () => {
  test("write rcc's own header, and come back whole, in any pieces", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 3_000 }), fc.integer({ min: 1, max: 500 }), async (bytes, piece) => {
        for (const stored of [gzipWhole(bytes), await gathered(gzipStream(piecesOf(bytes, piece)))]) {
          expect(Buffer.from(stored.subarray(0, 10)).toString('hex')).toBe('1f8b08000000000004ff')
          expect(new Uint8Array(gunzipExactly(stored, bytes.byteLength))).toEqual(bytes)
        }
      }),
      { numRuns: runs(100) },
    )
  })

  // Goal: a .gz inside an environment, packed again by a fast encoder, is not refused as too long by those who fetch it.
  test('keep content that is packed already within gzipBytesMax(), as every encoder at hand does', async () => {
    const packed = new Uint8Array(700_000)
    for (let at = 0; at < packed.byteLength; at += 50_000) crypto.getRandomValues(packed.subarray(at, at + 50_000))
    const forms = [gzipWhole(packed), await gathered(gzipStream(piecesOf(packed, 60_000)))]
    for (const { byteLength } of forms) expect(byteLength).toBeLessThan(packed.byteLength * 1.01)
    for (const level of [1, 2, 6, 9]) forms.push(gzipSync(packed, { level }))
    for (const { byteLength } of forms) expect(byteLength).toBeLessThanOrEqual(gzipBytesMax(packed.byteLength))
  })
})
