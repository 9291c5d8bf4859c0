import { expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { unzipSync } from 'fflate'
import { compareBytewise } from '../../src/catalog/bytewise.ts'
import { decodeCatalog, decodeStoredCatalog } from '../../src/catalog/decode-catalog.ts'
import { catalogStatistics, distinctBlobs, eachFile, walkRestorable } from '../../src/catalog/walk.ts'
import { restoreBlobs } from '../support/restore-blobs.ts'
import { golden, numRuns, readText, smallRobots } from './support.ts'

const catalogs = smallRobots.map((robot) => ({
  robot,
  catalog: decodeCatalog(readFileSync(join(robot, 'catalog.json'))),
}))

test('compareBytewise() orders as the UTF-8 bytes do', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (left, right) => {
      const wanted = Buffer.compare(Buffer.from(left), Buffer.from(right))
      expect(Math.sign(compareBytewise(left, right))).toBe(wanted)
    }),
    { numRuns: numRuns(500) },
  )
})

test('eachFile() goes over every file in bytewise order of whole paths', () => {
  for (const { robot, catalog } of catalogs) {
    const paths: string[] = []
    eachFile(catalog.tree, ({ name }, prefix) => paths.push(prefix + name))
    expect(paths).toEqual([...paths].sort((left, right) => Buffer.compare(Buffer.from(left), Buffer.from(right))))
    expect(new Set(paths).size).toBe(paths.length)
    expect(paths).toHaveLength(readText(robot, 'catalog.json').split('"digest":').length - 1)
  }
})

test('distinctBlobs() names what rccremote calls the parts of a catalog', () => {
  const entries = unzipSync(readFileSync(join(golden, 'protocol', 'delta-v1-to-v2.zip')))
  const name = Object.keys(entries).find((entry) => entry.startsWith('catalog/')) ?? ''
  const catalog = decodeStoredCatalog(entries[name] ?? new Uint8Array())
  const digests = distinctBlobs(catalog).map(({ digest }) => String(digest))
  expect([...digests].sort()).toEqual(readText(golden, 'protocol', 'parts-v2.txt').split('\n'))
  expect(restoreBlobs(catalog).every(({ digest }) => digests.includes(digest))).toBe(true)
})

test('restoreBlobs() leaves out what only links and shadows name', () => {
  const broken = decodeCatalog(
    new TextEncoder().encode(
      readText(smallRobots[0] ?? '', 'catalog.json').replace(
        '"files": {',
        `"files": {"dangling": {"name": "dangling", "symlink": "x", "size": 5, "mode": 420, "digest": "${'0'.repeat(64)}", "rewrite": []},`,
      ),
    ),
  )
  const names = (refs: readonly { digest: string }[]) => new Set(refs.map(({ digest }) => String(digest)))
  expect(names(distinctBlobs(broken)).has('0'.repeat(64))).toBe(true)
  expect(names(restoreBlobs(broken)).has('0'.repeat(64))).toBe(false)
  expect(restoreBlobs(broken)).toHaveLength(402)
})

test('walkRestorable() goes over exactly what a cold restore by rcc leaves behind', () => {
  for (const { robot, catalog } of catalogs) {
    const wanted = readText(robot, 'restored-tree.jsonl')
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { path: string }).path)
      .filter((path) => path !== '.' && path !== '')
    const actual = [...walkRestorable(catalog.tree)].map(({ path }) => path).filter((path) => path !== '')
    expect(actual.sort()).toEqual(wanted.sort())
  }
})

test('catalogStatistics() counts links once and shadows not at all', () => {
  const catalog = catalogs[0]?.catalog
  if (catalog === undefined) throw new Error('no catalog')
  expect(catalogStatistics(catalog)).toEqual({
    directories: 30,
    files: 404,
    links: 9,
    bytes: 2876501,
    relocatedFiles: 77,
  })
})
