// Goal: what we write is what rcc writes, byte for byte, and decoding it gives back the same tree.
import { afterAll, beforeAll, expect, test } from 'bun:test'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import fc from 'fast-check'
import { decodeCatalog, decodeStoredCatalog } from '../../src/catalog/decode-catalog.ts'
import { encodeCatalog, encodeCatalogInfo, encodeStoredCatalog, spaceMeta } from '../../src/catalog/encode-catalog.ts'
import { anyCatalog } from './any-catalog.ts'
import { golden, numRuns, readText, smallRobots } from './support.ts'

let unpacked = ''
beforeAll(() => {
  unpacked = mkdtempSync(join(tmpdir(), 'holo-peer-catalogs-'))
  for (const kind of ['gzip', 'nocompress', 'darwin_arm64']) {
    const { exitCode } = Bun.spawnSync(['tar', 'xzf', join(golden, 'small', kind, 'hololib.tar.gz'), '-C', unpacked])
    if (exitCode !== 0) throw new Error(`tar failed on ${kind}`)
  }
})
afterAll(() => rmSync(unpacked, { recursive: true, force: true }))

test('encodeCatalog() writes every catalog of the golden libraries as rcc did', () => {
  const directory = join(unpacked, 'hololib', 'catalog')
  const names = readdirSync(directory).filter((name) => /v12\.[a-z0-9_]+$/.test(name))
  expect(names.length).toBeGreaterThanOrEqual(4)
  for (const name of names) {
    const stored = readFileSync(join(directory, name))
    const decoded = decodeStoredCatalog(stored)
    expect(name).toBe(`${decoded.blueprint}v12.${decoded.platform}`)
    expect(Buffer.compare(encodeCatalog(decoded), gunzipSync(stored))).toBe(0)
    expect(Buffer.from(encodeCatalogInfo(decoded)).toString()).toBe(readText(directory, `${name}.info`))
    expect(decodeStoredCatalog(encodeStoredCatalog(decoded))).toEqual(decoded)
  }
})

for (const robot of smallRobots) {
  test(`spaceMeta() makes the .meta and .meta.info of rcc for ${robot.split('/').slice(-2).join('/')}`, () => {
    const catalog = decodeCatalog(readFileSync(join(robot, 'catalog.json')))
    expect(Buffer.from(encodeCatalog(catalog)).toString()).toBe(readText(robot, 'catalog.json'))
    const wanted = decodeCatalog(readFileSync(join(robot, 'space-meta.json')))
    const spaceName = basename(readText(robot, 'coldpath.txt').trim())
    const meta = spaceMeta(catalog, { spaceName, controller: wanted.controller, space: wanted.space })
    expect(Buffer.from(encodeCatalog(meta)).toString()).toBe(readText(robot, 'space-meta.json'))
    expect(Buffer.from(encodeCatalogInfo(meta)).toString()).toBe(readText(robot, 'space-meta.info.json'))
  })
}

test('decodeCatalog() gives back what encodeCatalog() took, for any tree', () => {
  fc.assert(
    fc.property(anyCatalog(), (catalog) => {
      const decoded = decodeCatalog(encodeCatalog(catalog))
      expect(decoded).toEqual(catalog)
      expect([...decoded.tree.files.keys()]).toEqual([...catalog.tree.files.keys()])
    }),
    { numRuns: numRuns(150) },
  )
})
