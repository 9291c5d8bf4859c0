import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { PIECE_BLOBS_MAX, PIECE_BYTES } from '../../src/base/limits.ts'
import { parseSha256 } from '../../src/blob/digest.ts'
import { piecesOf } from '../../src/catalog/pieces.ts'
import type { CatalogDirectory, CatalogFile } from '../../src/catalog/tree.ts'
import { distinctBlobs } from '../../src/catalog/walk.ts'
import { numRuns } from './support.ts'

const PLAIN = { symlink: undefined, goMode: 0o644, rewrite: [] }

function treeOf(sizes: readonly number[]): { tree: CatalogDirectory } {
  const files = sizes.map((sizeBytes, index): [string, CatalogFile] => {
    const name = String(index).padStart(6, '0')
    const digest = parseSha256(index.toString(16).padStart(64, '0'))
    if (digest === undefined) throw new Error('no digest')
    return [name, { ...PLAIN, name, sizeBytes, digest }]
  })
  return {
    tree: { name: '', symlink: undefined, goMode: 0o755, shadow: false, subdirs: new Map(), files: new Map(files) },
  }
}

const anySize = fc.oneof(
  fc.constantFrom(0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES),
  fc.nat({ max: 5 * PIECE_BYTES }),
  fc.nat({ max: 4096 }),
)

test('piecesOf() has every byte of every blob in exactly one piece, within the bounds', () => {
  fc.assert(
    fc.property(fc.array(anySize, { maxLength: 60 }), (sizes) => {
      const catalog = treeOf(sizes)
      const { blobs, pieces } = piecesOf(catalog)
      expect(blobs).toEqual(distinctBlobs(catalog))
      const covered = new Map<number, number>()
      let rangesBegun = false
      for (const piece of pieces) {
        expect(piece.bytes).toBeLessThanOrEqual(PIECE_BYTES)
        if (piece.kind === 'group') {
          expect(rangesBegun).toBe(false)
          expect(piece.blobs.length).toBeGreaterThan(0)
          expect(piece.blobs.length).toBeLessThanOrEqual(PIECE_BLOBS_MAX)
          expect(piece.bytes).toBe(piece.blobs.reduce((sum, blob) => sum + (blobs[blob]?.sizeBytes ?? 0), 0))
          for (const blob of piece.blobs) {
            expect(covered.has(blob)).toBe(false)
            covered.set(blob, blobs[blob]?.sizeBytes ?? -1)
          }
        } else {
          rangesBegun = true
          expect(piece.bytes).toBeGreaterThan(0)
          expect(piece.offset).toBe(covered.get(piece.blob) ?? 0)
          covered.set(piece.blob, piece.offset + piece.bytes)
        }
      }
      expect([...covered].sort(([left], [right]) => left - right)).toEqual(sizes.map((size, index) => [index, size]))
    }),
    { numRuns: numRuns(200) },
  )
})

test('piecesOf() wastes no room: two groups in a row would not have fitted into one', () => {
  const { blobs, pieces } = piecesOf(treeOf(Array.from({ length: 5_000 }, (_, index) => (index * 7919) % 9_000)))
  for (const [number, piece] of pieces.entries()) {
    const next = pieces[number + 1]
    if (piece.kind !== 'group' || next?.kind !== 'group') continue
    const first = blobs[next.blobs[0] ?? -1]?.sizeBytes ?? 0
    expect(piece.bytes + first > PIECE_BYTES || piece.blobs.length === PIECE_BLOBS_MAX).toBe(true)
  }
})

test('piecesOf() cuts at the number of blobs, too', () => {
  const { pieces } = piecesOf(treeOf(Array.from({ length: PIECE_BLOBS_MAX + 1 }, () => 1)))
  expect(pieces.map((piece) => (piece.kind === 'group' ? piece.blobs.length : 0))).toEqual([PIECE_BLOBS_MAX, 1])
})
