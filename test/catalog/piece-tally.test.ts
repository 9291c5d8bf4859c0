import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { PIECE_BYTES } from '../../src/base/limits.ts'
import { parseSha256 } from '../../src/blob/digest.ts'
import { PieceTally } from '../../src/catalog/piece-tally.ts'
import type { Piece, Pieces } from '../../src/catalog/pieces.ts'
import { numRuns } from './support.ts'

function digestOf(index: number) {
  const digest = parseSha256(index.toString(16).padStart(64, '0'))
  if (digest === undefined) throw new Error('no digest')
  return digest
}

/** Groups of so many blobs, and large blobs in so many ranges. */
const anyPieces = fc
  .tuple(
    fc.array(fc.integer({ min: 1, max: 6 }), { maxLength: 6 }),
    fc.array(fc.integer({ min: 2, max: 4 }), { maxLength: 4 }),
  )
  .map(([groups, larges]): Pieces => {
    let next = 0
    const pieces: Piece[] = groups.map((count) => {
      const blobs = Array.from({ length: count }, () => next++)
      return { kind: 'group', blobs, bytes: count }
    })
    for (const ranges of larges) {
      const blob = next++
      for (let range = 0; range < ranges; range++)
        pieces.push({ kind: 'range', blob, offset: range * PIECE_BYTES, bytes: PIECE_BYTES })
    }
    return { blobs: Array.from({ length: next }, (_, index) => ({ digest: digestOf(index), sizeBytes: 1 })), pieces }
  })

test('PieceTally tells each piece once, when the last of its blobs has come', () => {
  fc.assert(
    fc.property(anyPieces, fc.infiniteStream(fc.boolean()), (pieces, choice) => {
      const missing = pieces.blobs.filter(() => choice.next().value).map(({ digest }) => digest)
      const here = new Set(pieces.blobs.map(({ digest }) => digest).filter((digest) => !missing.includes(digest)))
      const isWhole = (piece: Piece) =>
        (piece.kind === 'group' ? piece.blobs : [piece.blob]).every((blob) => here.has(digestOf(blob)))
      const whole = () => [...pieces.pieces.entries()].filter(([, piece]) => isWhole(piece)).map(([number]) => number)
      const tally = new PieceTally(pieces, missing)
      const told = tally.whole()
      expect(told).toEqual(whole())
      for (const digest of [...missing, ...missing]) {
        here.add(digest)
        told.push(...tally.came(digest))
        expect(told.toSorted((left, right) => left - right)).toEqual(whole())
      }
    }),
    { numRuns: numRuns(200) },
  )
})
