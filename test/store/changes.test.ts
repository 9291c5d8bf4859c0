import { describe, expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { blobPath, catalogPath, noCompressMarker } from '../../src/catalog/layout.ts'
import type { CatalogName } from '../../src/catalog/tree.ts'
import { distinctBlobs } from '../../src/catalog/walk.ts'
import { type CatalogChange, watchCatalogs } from '../../src/store/changes.ts'
import { Library } from '../../src/store/library.ts'
import { rootsIn, type SmallKind, smallCold, TemporaryDirectory, unpackSmall } from '../support/golden.ts'

/** A running watch whose changes are taken one by one. */
class Watched implements AsyncDisposable {
  readonly #controller = new AbortController()
  readonly #changes: CatalogChange[] = []
  #arrived = Promise.withResolvers<void>()
  readonly #ended: Promise<void>

  constructor(library: Library) {
    const take = (change: CatalogChange) => {
      this.#changes.push(change)
      this.#arrived.resolve()
    }
    this.#ended = watchCatalogs(library, take, this.#controller.signal)
  }

  /** The next change, as names. */
  async next(): Promise<{ added: CatalogName[]; removed: readonly CatalogName[] }> {
    while (this.#changes.length === 0) {
      await this.#arrived.promise
      this.#arrived = Promise.withResolvers()
    }
    const change = this.#changes.shift() as CatalogChange
    return { added: change.added.map(({ name }) => name), removed: change.removed }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#controller.abort()
    await this.#ended
  }
}

const names = (kind: SmallKind) => [1, 2, 3].map((version) => smallCold(kind, version as 1).name)

describe('watchCatalogs()', () => {
  test('announces what is complete, sees removal and return', async () => {
    using home = new TemporaryDirectory()
    const library = new Library(unpackSmall('gzip', home.path))
    await using watched = new Watched(library)
    const first = await watched.next()
    expect(first.added).toEqual(library.catalogs())
    expect(first.added).toEqual(expect.arrayContaining(names('gzip')))

    const [name] = names('gzip') as [CatalogName]
    const path = catalogPath(library.roots, name)
    const bytes = fs.readFileSync(path)
    fs.unlinkSync(path)
    expect(await watched.next()).toEqual({ added: [], removed: [name] })
    fs.writeFileSync(path, bytes)
    expect(await watched.next()).toEqual({ added: [name], removed: [] })
  })

  // Goal: rcc writes a catalog before its blobs; only the last blob makes it complete, and raises no event.
  test('announces a catalog once its last blob is there', async () => {
    using home = new TemporaryDirectory()
    const library = new Library(unpackSmall('gzip', home.path))
    const [name] = names('gzip') as [CatalogName]
    const last = distinctBlobs(library.catalog(name)?.catalog ?? { tree: undefined as never }).find(
      ({ digest }) =>
        !names('gzip')
          .slice(1)
          .some((other) => holds(library, other, digest)),
    )
    if (last === undefined) throw new Error('v1 has no blob of its own')
    const path = blobPath(library.roots, last.digest)
    const bytes = fs.readFileSync(path)
    fs.unlinkSync(path)
    await using watched = new Watched(library)
    expect((await watched.next()).added).not.toContain(name)
    fs.writeFileSync(path, bytes)
    expect(await watched.next()).toEqual({ added: [name], removed: [] })
  })

  // Method: the first look reports nothing; once compress.no is gone, only what has SHA-256 digests comes.
  test('never announces a compress.no library, nor SipHash digests', async () => {
    using home = new TemporaryDirectory()
    using elsewhere = new TemporaryDirectory()
    const library = new Library(unpackSmall('nocompress', home.path))
    const [name] = names('gzip') as [CatalogName]
    const stored = new Library(unpackSmall('gzip', elsewhere.path)).catalog(name)?.stored ?? new Uint8Array(0)
    fs.cpSync(`${elsewhere.path}/hololib/library`, `${home.path}/hololib/library`, { recursive: true })
    fs.writeFileSync(catalogPath(library.roots, name), stored)
    await using watched = new Watched(library)
    expect(await watched.next()).toEqual({ added: [], removed: [] })
    fs.unlinkSync(noCompressMarker(library.roots))
    expect(await watched.next()).toEqual({ added: [name], removed: [] })
  })

  test('starts without a library, and ends with its signal', async () => {
    using home = new TemporaryDirectory()
    const library = new Library(rootsIn(home.path))
    {
      await using _watched = new Watched(library)
    }
    expect(fs.existsSync(`${home.path}/hololib/catalog`)).toBe(true)
  })
})

function holds(library: Library, name: CatalogName, digest: string): boolean {
  const catalog = library.catalog(name)?.catalog
  return catalog !== undefined && distinctBlobs(catalog).some((ref) => ref.digest === digest)
}
