// Goal: exactly one frame that says what it holds is taken for one, and nothing makes us allocate more.
import { describe, expect, test } from 'bun:test'
import { constants, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { checkFrame, unzstdExactly, ZstdError, zstdFrame } from '../../src/blob/zstd.ts'
import { altered, madeContent } from '../support/made-pieces.ts'
import { runs } from '../support/runs.ts'

const text = madeContent(300_000, 3)
const noise = new Uint8Array(new Bun.CryptoHasher('sha512').update('noise').digest())
const zeros = new Uint8Array(300_000)

test.each([0, 1, 255, 256, 65_791, 65_792, 300_000])(
  'unzstdExactly() decodes what zstdFrame() made of %d bytes',
  (bytes) => {
    for (const level of [1, 6, 9, 19]) {
      const content = text.subarray(0, bytes)
      expect(unzstdExactly(zstdFrame(content, level), bytes)).toEqual(content)
    }
  },
)

// Frames of earlier builds had a checksum, and are still kept by some.
const withChecksum = (content: Uint8Array) =>
  zstdCompressSync(content, { params: { [constants.ZSTD_c_checksumFlag]: 1, [constants.ZSTD_c_contentSizeFlag]: 1 } })

test('unzstdExactly() decodes frames of other encoders, with a checksum and without', () => {
  for (const content of [text, noise, zeros]) {
    expect(unzstdExactly(Bun.zstdCompressSync(content as Uint8Array<ArrayBuffer>), content.byteLength)).toEqual(content)
    expect(unzstdExactly(withChecksum(content), content.byteLength)).toEqual(content)
  }
})

describe('unzstdExactly() refuses', () => {
  const frame = zstdFrame(text, 3)
  const dictionary = frame.slice()
  dictionary[4] = (dictionary[4] ?? 0) | 1
  const untold = zstdCompressSync(text, { params: { [constants.ZSTD_c_contentSizeFlag]: 0 } })
  test.each([
    ['nothing', new Uint8Array(0), 'no zstd frame'],
    ['no frame', text, 'no zstd frame'],
    ['a skippable frame', new Uint8Array([0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]), 'no zstd frame'],
    ['the magic alone', frame.subarray(0, 4), 'no zstd frame'],
    ['a frame that is cut off by a byte', frame.subarray(0, -1), 'cut off'],
    ['a frame that is cut off in its header', frame.subarray(0, 7), 'cut off'],
    ['a byte behind it', Buffer.concat([frame, new Uint8Array(1)]), 'goes on'],
    ['a second frame', Buffer.concat([frame, frame]), 'goes on'],
    ['a size untold', untold, 'does not tell'],
    ['another size', zstdFrame(text.subarray(1), 3), 'tells 299999'],
    ['a bomb', zstdFrame(new Uint8Array(256 << 20), 1), 'tells 268435456'],
    ['a wrong checksum', altered(withChecksum(text), withChecksum(text).byteLength - 1), 'cannot be decoded'],
    ['a dictionary', dictionary, 'wants a dictionary'],
  ])('%s', (_what, bytes, reason) => {
    const decode = () => unzstdExactly(new Uint8Array(bytes), text.byteLength)
    expect(decode).toThrow(ZstdError)
    expect(decode).toThrow(reason)
  })
})

// Method: frames with bytes altered, cut off and added; whatever is taken must decode to the content.
test('checkFrame() takes no frame that the decoder reads otherwise', () => {
  const contents = [new Uint8Array(0), text.subarray(0, 2000), zeros, noise, text]
  fc.assert(
    fc.property(
      fc.constantFrom(...contents),
      fc.constantFrom(1, 6, 9),
      fc.array(fc.record({ place: fc.nat(), value: fc.nat({ max: 255 }) }), { maxLength: 3 }),
      fc.integer({ min: -20, max: 20 }),
      (content, level, changes, longer) => {
        const made = zstdFrame(content, level)
        const frame = new Uint8Array(Math.max(0, made.byteLength + longer))
        frame.set(made.subarray(0, frame.byteLength))
        // Mostly where the frame tells its shape.
        for (const { place, value } of changes) frame[place % Math.min(24, frame.byteLength)] = value
        let decoded: Uint8Array | undefined
        try {
          checkFrame(frame, content.byteLength)
          decoded = unzstdExactly(frame, content.byteLength)
        } catch {
          return
        }
        expect(decoded.byteLength).toBe(content.byteLength)
        expect(longer === 0 || changes.length > 0).toBe(true)
      },
    ),
    { numRuns: runs(500) },
  )
})
