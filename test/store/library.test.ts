import { describe, expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { basename, join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { never } from '../../src/base/clock.ts'
import { BLOB_WHOLE_BYTES_MAX } from '../../src/base/limits.ts'
import { type Digest, sha256Of } from '../../src/blob/digest.ts'
import type { BlobRef, BlobStream } from '../../src/blob/source.ts'
import {
  blobPath,
  catalogDirectory,
  catalogInfoPath,
  catalogPath,
  libraryDirectory,
  statePaths,
} from '../../src/catalog/layout.ts'
import type { CatalogName } from '../../src/catalog/tree.ts'
import { distinctBlobs } from '../../src/catalog/walk.ts'
import { Library, type StoredCatalog } from '../../src/store/library.ts'
import { ownWord } from '../../src/trust/publication.ts'
import { verifyCatalog } from '../../src/trust/verify-catalog.ts'
import {
  environmentRoots,
  environmentVersion,
  goldenEnvironmentReason,
  hasGoldenEnvironment,
  rootsIn,
  smallCold,
  TemporaryDirectory,
  unpackSmall,
} from '../support/golden.ts'
import { skipUnless } from '../support/skip.ts'

const v1 = smallCold('gzip', 1).name

function found(library: Library, name: CatalogName): StoredCatalog {
  const catalog = library.catalog(name)
  if (catalog === undefined) throw new Error(`${name} is not there`)
  return catalog
}

async function failureOf(work: () => unknown): Promise<unknown> {
  try {
    await work()
  } catch (error) {
    return error
  }
  throw new Error('it did not fail')
}

function streamOf(bytes: Uint8Array, encoding: BlobStream['encoding']): BlobStream {
  async function* once(): AsyncGenerator<Uint8Array> {
    yield bytes
  }
  return { source: 'the test', encoding, bytes: once() }
}

describe('Library on what rcc recorded', () => {
  test.each(['gzip', 'nocompress'] as const)('reads and verifies every blob of %s', async (kind) => {
    using home = new TemporaryDirectory()
    const library = new Library(unpackSmall(kind, home.path))
    expect(library.digestKind()).toBe(kind === 'gzip' ? 'sha-256' : 'siphash-128')
    for (const version of [1, 2, 3] as const) {
      const { catalog } = found(library, smallCold(kind, version).name)
      expect(await library.missing(catalog, never)).toEqual([])
      for (const ref of distinctBlobs(catalog)) expect(await library.verify(ref, never)).toBeUndefined()
    }
  })

  test('catalogs() lists catalogs, and nothing else that lies there', () => {
    using home = new TemporaryDirectory()
    const library = new Library(unpackSmall('gzip', home.path))
    fs.writeFileSync(join(catalogDirectory(library.roots), '.holo-peer-1-1'), '')
    fs.writeFileSync(join(catalogDirectory(library.roots), '1a2a1e72d81a142av12.linux_amd64.part'), '')
    expect(library.catalogs()).toHaveLength(4)
    expect(library.catalogs()).toContain(v1)
  })

  test('stored() gives the file as it is, small and large', async () => {
    using home = new TemporaryDirectory()
    const library = new Library(unpackSmall('gzip', home.path))
    const large = crypto.getRandomValues(new Uint8Array(65_536))
    const content = Buffer.concat(Array.from({ length: 40 }, () => large))
    const path = blobPath(library.roots, sha256Of(content))
    fs.mkdirSync(join(path, '..'), { recursive: true })
    fs.writeFileSync(path, content)
    expect(content.byteLength).toBeGreaterThan(BLOB_WHOLE_BYTES_MAX)
    const digests = distinctBlobs(found(library, v1).catalog).map(({ digest }) => digest)
    for (const digest of [...digests.slice(0, 20), sha256Of(content)]) {
      using stored = library.stored(digest)
      const chunks: Uint8Array[] = []
      for await (const chunk of stored?.bytes() ?? []) chunks.push(chunk)
      const file = fs.readFileSync(blobPath(library.roots, digest))
      expect(Buffer.concat(chunks).equals(file)).toBe(true)
      expect(file.equals(stored?.whole() ?? new Uint8Array(0))).toBe(true)
      expect(stored?.sizeBytes).toBe(file.byteLength)
      expect(stored?.encoding).toBe(digest === sha256Of(content) ? 'identity' : 'gzip')
    }
    expect(library.stored('0'.repeat(64) as Digest)).toBeUndefined()
  })

  test('verify() tells truncated, empty, swapped and altered blobs', async () => {
    using home = new TemporaryDirectory()
    const library = new Library(unpackSmall('gzip', home.path))
    const refs = distinctBlobs(found(library, v1).catalog).filter(({ sizeBytes }) => sizeBytes > 100)
    const [first, second] = refs as [BlobRef, BlobRef]
    const path = blobPath(library.roots, first.digest)
    const whole = fs.readFileSync(path)
    const other = fs.readFileSync(blobPath(library.roots, second.digest))
    const flipped = Buffer.from(whole)
    flipped[20] = (flipped[20] ?? 0) ^ 1
    for (const bytes of [whole.subarray(0, -10), Buffer.alloc(0), other, flipped, gunzipSync(whole).subarray(1)]) {
      fs.writeFileSync(path, bytes)
      expect(await library.verify(first, never)).toBeString()
    }
    fs.writeFileSync(path, gunzipSync(whole))
    expect(await library.verify(first, never)).toBeUndefined()
  })

  test('quarantine() moves a blob out of the library and keeps it', async () => {
    using home = new TemporaryDirectory()
    const library = new Library(unpackSmall('gzip', home.path))
    const [ref] = distinctBlobs(found(library, v1).catalog)
    const digest = ref?.digest as Digest
    const bytes = fs.readFileSync(blobPath(library.roots, digest))

    const kept = library.quarantine(digest, Date.UTC(2026, 0, 2, 3, 4, 5)) as string

    expect(await library.has(digest)).toBe(false)
    expect(fs.readFileSync(kept).equals(bytes)).toBe(true)
    expect(basename(kept)).toBe(`${digest}.2026-01-02T030405.000Z`)
    expect(kept.startsWith(statePaths(library.roots).quarantine)).toBe(true)
    expect(library.quarantine(digest, 0)).toBeUndefined()
    expect(await library.complete(v1, never)).toBeUndefined()
  })

  test('catalog() refuses what is torn or another one than its name says', async () => {
    using home = new TemporaryDirectory()
    const library = new Library(unpackSmall('gzip', home.path))
    const { stored } = found(library, v1)
    fs.writeFileSync(catalogPath(library.roots, v1), stored.subarray(0, -20))
    expect(await failureOf(() => library.catalog(v1))).toMatchObject({ code: 'catalog-invalid' })
    expect(await library.complete(v1, never)).toBeUndefined()
    fs.writeFileSync(catalogPath(library.roots, v1), found(library, smallCold('gzip', 2).name).stored)
    expect(await failureOf(() => library.catalog(v1))).toMatchObject({ code: 'catalog-invalid' })
  })
})

describe('Library as a receiver', () => {
  test('putCatalog() comes after all blobs, and leaves what rcc leaves', async () => {
    using home = new TemporaryDirectory()
    const source = new Library(unpackSmall('gzip', fs.mkdtempSync(join(home.path, 'a-'))))
    const target = new Library(rootsIn(fs.mkdtempSync(join(home.path, 'b-'))))
    const { stored, catalog } = found(source, v1)
    const verified = verifyCatalog({ name: v1, stored, source: 'a', announced: undefined, judge: ownWord })
    expect(await failureOf(() => target.putCatalog(verified, never))).toMatchObject({ code: 'catalog-incomplete' })
    expect(target.catalogs()).toEqual([])

    for (const ref of distinctBlobs(catalog)) {
      using blob = source.stored(ref.digest)
      if (blob !== undefined)
        await target.put(ref, { source: 'a', encoding: blob.encoding, bytes: blob.bytes() }, never)
    }
    await target.putCatalog(verified, never)

    const info = (library: Library) => fs.readFileSync(catalogInfoPath(library.roots, v1), 'utf8')
    expect(info(target)).toBe(info(source))
    expect(fs.readFileSync(catalogPath(target.roots, v1)).equals(stored)).toBe(true)
    expect((await target.complete(v1, never))?.catalog).toEqual(catalog)
    expect(fs.readdirSync(libraryDirectory(target.roots)).filter((name) => name.startsWith('.'))).toEqual([])
  })

  test('touchUsage() sets the times that rcc goes by', () => {
    using home = new TemporaryDirectory()
    const library = new Library(unpackSmall('gzip', home.path))
    const nowMs = 1_700_000_000_000
    fs.rmSync(join(library.roots.hololib, 'used'), { recursive: true })
    library.touchUsage(v1, nowMs)
    const stamp = join(library.roots.hololib, 'used', `${v1.slice(0, 16)}.dc4d952`)
    expect(fs.statSync(stamp).mtimeMs).toBe(nowMs)
    expect(fs.statSync(catalogPath(library.roots, v1)).mtimeMs).toBe(nowMs)
  })

  test('touchUsage() leaves times alone that are young enough', () => {
    using home = new TemporaryDirectory()
    const library = new Library(unpackSmall('gzip', home.path))
    const dayMs = 24 * 60 * 60 * 1000
    const nowMs = 1_700_000_000_000
    const stamp = join(library.roots.hololib, 'used', `${v1.slice(0, 16)}.dc4d952`)
    const times = () => [stamp, catalogPath(library.roots, v1)].map((path) => fs.statSync(path).mtimeMs)
    fs.rmSync(stamp, { force: true })
    library.touchUsage(v1, nowMs, dayMs)
    expect(fs.existsSync(stamp)).toBe(true)
    library.touchUsage(v1, nowMs)
    library.touchUsage(v1, nowMs + dayMs - 1, dayMs)
    expect(times()).toEqual([nowMs, nowMs])
    library.touchUsage(v1, nowMs + dayMs, dayMs)
    expect(times()).toEqual([nowMs + dayMs, nowMs + dayMs])
  })

  test('sweep() removes temporaries of dead processes and nothing else', async () => {
    using home = new TemporaryDirectory()
    const library = new Library(rootsIn(home.path))
    await library.put(
      { digest: sha256Of(new Uint8Array(1)), sizeBytes: 1 },
      streamOf(new Uint8Array(1), 'identity'),
      never,
    )
    const top = libraryDirectory(library.roots)
    const dead = Bun.spawnSync(['true']).pid
    const keep = [`.holo-peer-${process.pid}-7`, `.holo-peer-${process.ppid}-7`, '.holo-peer-x', '.other', 'stray']
    for (const name of [...keep, `.holo-peer-${dead}-0`, '.holo-peer-1-5']) fs.writeFileSync(join(top, name), '')
    const directories = [`.holo-peer-${process.pid}-8`, `.holo-peer-${dead}-1`]
    for (const name of directories) {
      fs.mkdirSync(join(top, name))
      fs.writeFileSync(join(top, name, '0'), 'half a blob')
    }
    // Whoever can write there could have put it there.
    const outside = join(home.path, 'outside')
    fs.mkdirSync(outside)
    fs.writeFileSync(join(outside, 'precious'), '')
    fs.symlinkSync(outside, join(top, `.holo-peer-${dead}-1`, 'link'))
    keep.push(`.holo-peer-${process.pid}-8`)
    const old = Date.now() / 1000 - 7_200
    for (const name of ['.holo-peer-1-5', `.holo-peer-${process.pid}-7`, '.other'])
      fs.utimesSync(join(top, name), old, old)

    expect(library.sweep(Date.now())).toBe(3)
    expect(fs.readdirSync(outside)).toEqual(['precious'])

    expect(
      fs
        .readdirSync(top)
        .filter((name) => !/^[0-9a-f]{2}$/.test(name))
        .sort(),
    ).toEqual(keep.sort())
  })

  test('find() and has() answer no for what is no file', async () => {
    using home = new TemporaryDirectory()
    const library = new Library(rootsIn(home.path))
    const digest = sha256Of(gzipSync(new Uint8Array(3)))
    expect(library.find(digest)).toBeUndefined()
    fs.mkdirSync(blobPath(library.roots, digest), { recursive: true })
    expect(library.find(digest)).toBeUndefined()
    expect(await library.has(digest)).toBe(false)
  })
})

const environmentTest = skipUnless(hasGoldenEnvironment, goldenEnvironmentReason)

environmentTest('missing() answers for a whole environment', async () => {
  const library = new Library(environmentRoots())
  const { catalog } = found(library, environmentVersion(2).name)
  await library.missing(catalog, never)
  const startedMs = performance.now()
  expect(await library.missing(catalog, never)).toEqual([])
  console.log(
    `missing() of ${distinctBlobs(catalog).length} blobs took ${Math.round(performance.now() - startedMs)} ms`,
  )
})
