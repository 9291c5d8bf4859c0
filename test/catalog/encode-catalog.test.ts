// Goal: what we write is what rcc writes, byte for byte, and decoding it gives back the same tree.
import { afterAll, beforeAll, expect, test } from 'bun:test'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import fc from 'fast-check'
import { parseDigest } from '../../src/blob/digest.ts'
import { compareBytewise } from '../../src/catalog/bytewise.ts'
import { decodeCatalog, decodeStoredCatalog } from '../../src/catalog/decode-catalog.ts'
import { encodeCatalog, encodeCatalogInfo, encodeStoredCatalog, spaceMeta } from '../../src/catalog/encode-catalog.ts'
import type { Catalog, CatalogDirectory, CatalogFile } from '../../src/catalog/tree.ts'
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

const nameArbitrary = fc
  .oneof(
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 8 }),
    fc.constantFrom('__proto__', '<&>\u2028', '1', '10', '2', 'Z', 'é', '\u{1f40d}', '\uffee'),
  )
  .filter((name) => !name.includes('/') && !name.includes('\0') && name !== '.' && name !== '..')
const linkArbitrary = fc.option(fc.constantFrom('x', '../lib', '/abs/olute', 'a<b'), { nil: undefined })
const fileArbitrary = fc.record({
  symlink: linkArbitrary,
  // The digest follows from the size, so that no digest has two.
  sizeBytes: fc.integer({ min: 24, max: 1000 }),
  goMode: fc.constantFrom(420, 493, 2 ** 23 + 493),
  rewrite: fc.array(fc.integer({ min: 0, max: 0 }), { maxLength: 2 }),
})
type Unnamed = Omit<CatalogDirectory, 'name'>

/** Directories nested up to `depth` levels. */
function treeOf(depth: number): fc.Arbitrary<Unnamed> {
  const none: fc.Arbitrary<Record<string, Unnamed>> = fc.constant({})
  return fc
    .record({
      symlink: linkArbitrary,
      shadow: fc.boolean(),
      subdirs: depth === 0 ? none : fc.dictionary(nameArbitrary, treeOf(depth - 1), { maxKeys: 3 }),
      files: fc.dictionary(nameArbitrary, fileArbitrary, { maxKeys: 4 }),
    })
    .map(({ symlink, shadow, subdirs, files }) => ({
      symlink,
      goMode: 2147484141,
      shadow,
      subdirs: sorted(Object.entries(subdirs).filter(([name]) => !Object.hasOwn(files, name))),
      files: sorted(
        Object.entries(files).map(([name, file]) => [name, { ...file, digest: digestFor(file.sizeBytes) }]),
      ),
    }))
}

function digestFor(size: number): CatalogFile['digest'] {
  const digest = parseDigest(size.toString(16).padStart(64, '0'))
  if (digest === undefined) throw new Error('no digest')
  return digest
}

function sorted<Entry>(entries: [string, Entry][]): Map<string, Entry & { name: string }> {
  const named = entries.map(([name, entry]): [string, Entry & { name: string }] => [name, { ...entry, name }])
  return new Map(named.sort(([left], [right]) => compareBytewise(left, right)))
}

test('decodeCatalog() gives back what encodeCatalog() took, for any tree', () => {
  fc.assert(
    fc.property(treeOf(3), fc.string({ maxLength: 5 }), (root, space) => {
      const catalog: Catalog = {
        rcc: 'v18.18.1',
        identity: 'hdc4d952_493f813dad24d3t',
        path: '/ht/hdc4d952_493f813dad24d3t',
        controller: 'rcc.user',
        space: space.toWellFormed(),
        platform: 'linux_amd64',
        blueprint: '0123456789abcdef',
        lifted: true,
        tree: { ...root, name: '', symlink: undefined, shadow: false },
      }
      const decoded = decodeCatalog(encodeCatalog(catalog))
      expect(decoded).toEqual(catalog)
      expect([...decoded.tree.files.keys()]).toEqual([...catalog.tree.files.keys()])
    }),
    { numRuns: numRuns(150) },
  )
})
