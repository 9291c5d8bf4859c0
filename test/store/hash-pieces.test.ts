import { describe, expect, test } from 'bun:test'
import { createHash } from 'node:crypto'
import { rmSync, writeFileSync } from 'node:fs'
import { never, nextTurn } from '../../src/base/clock.ts'
import { PIECE_BYTES } from '../../src/base/limits.ts'
import { seededRandom } from '../../src/base/random.ts'
import { piecesOf } from '../../src/catalog/pieces.ts'
import { hashPieces } from '../../src/store/hash-pieces.ts'
import { failureOf } from '../support/failure-of.ts'
import { TemporaryDirectory } from '../support/golden.ts'
import { DirectoryBlobs, type MadeTree, madeCatalog } from '../support/made-catalog.ts'

const random = seededRandom(7)
/** Text of so many characters, no two alike. */
const textOf = (length: number) => {
  const line = random.next().toString(36).repeat(8)
  return line.repeat(Math.ceil(length / line.length)).slice(0, length)
}

/** Small blobs for more than one group, an empty one, one of a piece exactly, and three that are cut. */
const tree: MadeTree = Object.fromEntries(
  [0, 10, 700_000, PIECE_BYTES, 600_000, PIECE_BYTES + 1, 3 * PIECE_BYTES, 2 * PIECE_BYTES + 500, 77].map(
    (length, index) => [`f${index}`, { kind: 'file' as const, text: textOf(length), mode: 0o644 }],
  ),
)

/** The same table, the plain way. */
function plainTable(blobs: DirectoryBlobs, catalog: ReturnType<typeof madeCatalog>): string {
  const { blobs: refs, pieces } = piecesOf(catalog)
  const contents = refs.map(({ digest, sizeBytes }) => Buffer.from(blobs.find(digest)?.whole(sizeBytes) ?? []))
  const digests = pieces.map((piece) => {
    const content =
      piece.kind === 'group'
        ? Buffer.concat(piece.blobs.map((blob) => contents[blob] as Buffer))
        : contents[piece.blob]?.subarray(piece.offset, piece.offset + piece.bytes)
    return createHash('sha256')
      .update(content ?? '')
      .digest('hex')
  })
  return digests.join('')
}

describe('hashPieces()', () => {
  for (const form of ['identity', 'gzip'] as const) {
    test(`gives the table of blobs that lie ${form}, in turns`, async () => {
      using folder = new TemporaryDirectory()
      const blobs = new DirectoryBlobs(`${folder.path}/library`, form)
      const catalog = madeCatalog(tree, '/base', blobs)
      let turns = 0
      const turn = async () => {
        turns++
        await nextTurn()
      }
      const table = await hashPieces(catalog, { blobs, turn }, never)
      expect(Buffer.from(table).toString('hex')).toBe(plainTable(blobs, catalog))
      expect(table.byteLength / 32).toBe(piecesOf(catalog).pieces.length)
      expect(turns).toBeGreaterThan(0)
    })
  }

  test('stops for what is missing, damaged, or another content, small or large', async () => {
    for (const name of ['f1', 'f6'] as const) {
      using folder = new TemporaryDirectory()
      const blobs = new DirectoryBlobs(`${folder.path}/library`, 'identity')
      const catalog = madeCatalog(tree, '/base', blobs)
      const file = catalog.tree.files.get(name)
      if (file === undefined) throw new Error('the tree lacks it')
      const path = blobs.pathOf(file.digest)
      const fails = async () => failureOf(hashPieces(catalog, { blobs, turn: nextTurn }, never))
      writeFileSync(path, 'x'.repeat(file.sizeBytes))
      expect(await fails()).toMatchObject({ code: 'blob-corrupt', blame: 'host' })
      writeFileSync(path, Buffer.concat([Buffer.from('1f8b0800', 'hex'), new Uint8Array(40)]))
      expect(await fails()).toMatchObject({ code: 'blob-corrupt' })
      writeFileSync(path, '')
      expect(await fails()).toMatchObject({ code: 'blob-corrupt' })
      rmSync(path)
      expect(await fails()).toMatchObject({ code: 'catalog-incomplete', blame: 'missing' })
    }
  })

  test('ends when it is told to', async () => {
    using folder = new TemporaryDirectory()
    const blobs = new DirectoryBlobs(`${folder.path}/library`, 'identity')
    const catalog = madeCatalog(tree, '/base', blobs)
    const stop = new AbortController()
    const turn = async () => stop.abort(new Error('enough'))
    expect(await failureOf(hashPieces(catalog, { blobs, turn }, stop.signal))).toMatchObject({ message: 'enough' })
  })
})
