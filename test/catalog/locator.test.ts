import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { Locator } from '../../src/catalog/locator.ts'
import { runs } from '../support/runs.ts'

const STAGE = 'hdc4d952_493f813dad24d3t'

/** Every place where `wanted` stands, found by looking at each. */
function naively(content: Buffer, wanted: Buffer): number[] {
  return [...content.keys()].filter((at) => content.subarray(at, at + wanted.byteLength).equals(wanted))
}

function located(content: Uint8Array, text: string, cuts: readonly number[]): number[] {
  const locator = new Locator(text)
  const ends = [...cuts.map((cut) => cut % (content.byteLength + 1)), content.byteLength].sort((a, b) => a - b)
  let from = 0
  for (const end of ends) {
    // A reader reuses its buffer, so what was passed is overwritten at once.
    const chunk = new Uint8Array(content.subarray(from, end))
    locator.update(chunk)
    chunk.fill(0x68)
    from = end
  }
  return locator.offsets
}

describe('Locator', () => {
  // Goal: as a search of the whole. Method: contents made of pieces of the text, so that near misses abound, cut anywhere.
  test('offsets are those of a naive search, whatever the chunks', () => {
    const texts = fc.constantFrom(STAGE, 'aab', 'aa', 'x', 'tttt')
    const property = fc.property(
      texts.chain((text) => {
        const piece = fc.oneof(
          fc.constant(Buffer.from(text)),
          fc.tuple(fc.nat(text.length), fc.nat(text.length)).map(([from, to]) => Buffer.from(text.slice(from, to))),
          fc.uint8Array({ maxLength: 4 }).map((bytes) => Buffer.from(bytes)),
        )
        return fc.tuple(fc.constant(text), fc.array(piece, { maxLength: 20 }), fc.array(fc.nat(600), { maxLength: 12 }))
      }),
      ([text, pieces, cuts]) => {
        const content = Buffer.concat(pieces)
        expect(located(content, text, cuts)).toEqual(naively(content, Buffer.from(text)))
        expect(located(content, text, [...content.keys()])).toEqual(naively(content, Buffer.from(text)))
      },
    )
    fc.assert(property, { numRuns: runs(300) })
  })

  test.each([
    ['the whole file', STAGE, [0]],
    ['the end of the file, after its last letter', `best${STAGE}`, [4]],
    ['adjacent occurrences at the end', STAGE + STAGE, [0, 24]],
    ['nothing where one is cut off', `${STAGE}${STAGE.slice(0, 23)}`, [0]],
    ['nothing in an empty file', '', []],
  ])('offsets tell %s', (_what, content, wanted) => {
    expect(located(Buffer.from(content), STAGE, [])).toEqual(wanted)
  })

  test('is not made for an empty text', () => {
    expect(() => new Locator('')).toThrow(RangeError)
  })
})
