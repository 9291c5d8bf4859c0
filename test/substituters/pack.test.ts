import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { sha256Of } from '../../src/blob/digest.ts'
import { decodePackIndex, encodePackIndex, PackIndexError, packIndexBytes } from '../../src/catalog/pack-index.ts'
import { packRanges } from '../../src/substituters/pack-ranges.ts'
import { runs } from '../support/runs.ts'

const catalog = sha256Of(Buffer.from('a catalog'))

const wires = fc.array(
  fc.record({ content: fc.integer({ min: 0, max: 1 << 20 }), part: fc.double({ min: 0, max: 1, noNaN: true }) }),
  { maxLength: 60 },
)

function packed(drawn: readonly { content: number; part: number }[]) {
  return drawn.map(({ content, part }) => {
    const bytes = Math.floor(content * part)
    const zstd = bytes > 0 && bytes < content
    return { content, bytes: zstd ? bytes : content, encoding: zstd ? ('zstd' as const) : ('identity' as const) }
  })
}

function indexOf(drawn: readonly { content: number; part: number }[]) {
  const pieces = packed(drawn)
  const table = Buffer.alloc(pieces.length * 32, 7)
  const contents = pieces.map(({ content }) => content)
  return { pieces, contents, table, bytes: encodePackIndex(catalog, pieces, table) }
}

describe('decodePackIndex()', () => {
  test('reads what encodePackIndex() writes', () => {
    fc.assert(
      fc.property(wires, (drawn) => {
        const { pieces, contents, table, bytes } = indexOf(drawn)
        const index = decodePackIndex(bytes, catalog, contents)
        expect(index.pieces.map((piece) => [piece.bytes, piece.encoding])).toEqual(
          pieces.map((piece) => [piece.bytes, piece.encoding]),
        )
        expect(Buffer.compare(index.table, table)).toBe(0)
        let offset = packIndexBytes(pieces.length)
        for (const piece of index.pieces) {
          expect(piece.offset).toBe(offset)
          offset += piece.bytes
        }
        expect(index.packBytes).toBe(offset)
      }),
      { numRuns: runs(100) },
    )
  })

  test('refuses every index that says what cannot be, with a PackIndexError', () => {
    fc.assert(
      fc.property(wires, fc.integer({ min: 0 }), fc.integer({ min: 1, max: 255 }), (drawn, place, flip) => {
        const { contents, bytes } = indexOf(drawn)
        const at = place % bytes.byteLength
        const altered = Uint8Array.from(bytes)
        altered[at] = (altered[at] ?? 0) ^ flip
        try {
          // What is left is bounded by the catalog, whatever was altered.
          for (const [piece, { bytes: length }] of decodePackIndex(altered, catalog, contents).pieces.entries()) {
            expect(length).toBeLessThanOrEqual(contents[piece] ?? 0)
          }
          expect(at).toBeGreaterThanOrEqual(48)
        } catch (error) {
          expect(error).toBeInstanceOf(PackIndexError)
        }
      }),
      { numRuns: runs(300) },
    )
  })

  test('survives any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.array(fc.nat(1 << 20), { maxLength: 4 }), (bytes, contents) => {
        expect(() => decodePackIndex(bytes, catalog, contents)).toThrow(PackIndexError)
      }),
      { numRuns: runs(300) },
    )
  })

  test('refuses the pack of another catalog, another version, and a short one', () => {
    const { bytes, contents } = indexOf([{ content: 10, part: 0.5 }])
    expect(() => decodePackIndex(bytes, sha256Of(Buffer.from('another')), contents)).toThrow(/another catalog/)
    const later = Uint8Array.from(bytes)
    later[8] = 2
    expect(() => decodePackIndex(later, catalog, contents)).toThrow(/version 2/)
    expect(() => decodePackIndex(bytes.subarray(1), catalog, contents)).toThrow(PackIndexError)
  })
})

describe('packRanges()', () => {
  const rules = fc.record({
    gapBytes: fc.nat(5_000),
    rangesMax: fc.integer({ min: 1, max: 8 }),
    rangeBytes: fc.integer({ min: 1, max: 20_000 }),
  })

  test('covers what is wanted, in order, without overlap, with as few ranges as it may', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(3_000), { minLength: 1, maxLength: 80 }),
        fc.infiniteStream(fc.boolean()),
        rules,
        (sizes, wish, given) => {
          let offset = 100
          const pieces = sizes.map((bytes) => {
            const piece = { offset, bytes, encoding: 'zstd' as const }
            offset += bytes
            return piece
          })
          const wanted = [...pieces.keys()].filter(() => wish.next().value)
          const ranges = packRanges(pieces, wanted, given)
          expect(ranges.length).toBeLessThanOrEqual(wanted.length === 0 ? 0 : given.rangesMax)
          for (const piece of wanted) {
            expect(ranges.filter(({ first, last }) => first <= piece && piece <= last)).toHaveLength(1)
          }
          for (const [index, range] of ranges.entries()) {
            const before = ranges[index - 1]
            if (before !== undefined) expect(before.last).toBeLessThan(range.first)
            expect(range.offset).toBe(pieces[range.first]?.offset ?? -1)
            const end = pieces[range.last]
            expect(range.offset + range.bytes).toBe((end?.offset ?? 0) + (end?.bytes ?? 0))
          }
        },
      ),
      { numRuns: runs(200) },
    )
  })

  test('cuts a long range where it may, and nowhere else', () => {
    const pieces = Array.from({ length: 8 }, (_, piece) => ({
      offset: piece * 10,
      bytes: 10,
      encoding: 'zstd' as const,
    }))
    const all = [...pieces.keys()]
    const spans = (cutsBefore: (piece: number) => boolean) =>
      packRanges(pieces, all, { gapBytes: 0, rangesMax: 4, rangeBytes: 20, cutsBefore }).map(({ first, last }) => [
        first,
        last,
      ])
    expect(spans(() => true)).toEqual([
      [0, 1],
      [2, 3],
      [4, 5],
      [6, 7],
    ])
    expect(spans((piece) => piece === 6)).toEqual([
      [0, 5],
      [6, 7],
    ])
    expect(spans(() => false)).toEqual([[0, 7]])
  })
})
