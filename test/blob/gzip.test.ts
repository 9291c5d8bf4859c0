import { describe, expect, test } from 'bun:test'
import { crc32, gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { GZIP_HEADER_BYTES_MAX, GzipError, gunzipExactly, gunzipStream, isGzip } from '../../src/blob/gzip.ts'

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
