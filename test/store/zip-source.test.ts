import { afterAll, expect, test } from 'bun:test'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { unzipSync, zipSync } from 'fflate'
import { never } from '../../src/base/clock.ts'
import { emptyTotals, fetchAll, type SourceSet } from '../../src/blob/fetch-all.ts'
import { decodeStoredCatalog } from '../../src/catalog/decode-catalog.ts'
import { resolveRoots } from '../../src/catalog/layout.ts'
import { distinctBlobs } from '../../src/catalog/walk.ts'
import { Library } from '../../src/store/library.ts'
import { ZipSource } from '../../src/store/zip-source.ts'
import { ownWord } from '../../src/trust/publication.ts'
import { verifyCatalog } from '../../src/trust/verify-catalog.ts'

const folder = mkdtempSync(join(tmpdir(), 'holo-zip-source-'))
afterAll(() => rmSync(folder, { recursive: true }))
const golden = resolve(import.meta.dir, '../golden/small/gzip/v2-hololib.zip')

function libraryIn(name: string): Library {
  const environment = { ROBOCORP_HOME: join(folder, name), HOME: '/home/robot' }
  const platform = { os: 'linux', arch: 'amd64' } as const
  return new Library(resolveRoots({ environment, platform, workingDirectory: '/' }, () => false))
}

const only = (source: ZipSource): SourceSet => ({
  graceMs: 0,
  list: () => [source],
  subscribe: () => () => {},
  drop: () => {},
})

test("ZipSource fills a library from rcc's own export, every blob verified", async () => {
  const library = libraryIn('whole')
  await using zip = await ZipSource.open(golden)
  const [name] = zip.catalogs()
  const stored = name === undefined ? undefined : await zip.catalog(name)
  if (name === undefined || stored === undefined) throw new Error('the golden zip has no catalog')
  const refs = distinctBlobs(decodeStoredCatalog(stored))
  expect((await zip.has(refs.map(({ digest }) => digest))).size).toBe(refs.length)
  await fetchAll(refs, { store: library, sources: only(zip) }, emptyTotals(), never)
  await library.putCatalog(verifyCatalog({ name, stored, source: golden, announced: undefined, judge: ownWord }), never)
  expect((await library.complete(name, never))?.name).toBe(name)
  for (const ref of refs) expect(await library.verify(ref, never)).toBeUndefined()
})

test('ZipSource cannot make a library accept altered bytes', async () => {
  const library = libraryIn('altered')
  const entries = unzipSync(readFileSync(golden))
  const catalogEntry = Object.keys(entries).find((name) => name.startsWith('catalog/')) ?? ''
  const refs = distinctBlobs(decodeStoredCatalog(entries[catalogEntry] ?? new Uint8Array()))
  const altered = refs.find(({ sizeBytes }) => sizeBytes > 100)
  const place = Object.keys(entries).find((name) => name.endsWith(altered?.digest ?? 'none')) ?? ''
  entries[place] = Uint8Array.from([...new TextEncoder().encode('not what the digest says')])
  const path = join(folder, 'altered.zip')
  writeFileSync(path, zipSync(entries))

  await using zip = await ZipSource.open(path)
  const error = await fetchAll(refs, { store: library, sources: only(zip) }, emptyTotals(), never).catch((e) => e)
  expect(error.code).toBe('blob-corrupt')
  expect(error.message).toContain(path)
  expect(altered !== undefined && (await library.has(altered.digest))).toBe(false)
})
