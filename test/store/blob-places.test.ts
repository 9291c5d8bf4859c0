import { describe, expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { dirname, join } from 'node:path'
import { sha256Of } from '../../src/blob/digest.ts'
import { blobPath, libraryDirectory } from '../../src/catalog/layout.ts'
import { BlobPlaces } from '../../src/store/blob-places.ts'
import { LibraryFiles } from '../../src/store/library-files.ts'
import { rootsIn, TemporaryDirectory } from '../support/golden.ts'

const contents = Array.from({ length: 600 }, (_, index) => Buffer.from(`blob ${index}`))
const topOf = (content: Uint8Array) => sha256Of(content).slice(0, 2)
/** Two in one directory of the first level. */
const first = contents.find((content) => siblingOf(content) !== undefined) ?? Buffer.from('')
const sibling = siblingOf(first) ?? first

function siblingOf(content: Uint8Array): Uint8Array | undefined {
  return contents.find((each) => each !== content && topOf(each) === topOf(content))
}

function placesIn(home: TemporaryDirectory, shared = false) {
  const roots = { ...rootsIn(home.path), shared }
  const places = new BlobPlaces(roots, new LibraryFiles(shared))
  return {
    directory: libraryDirectory(roots),
    path: (content: Uint8Array) => blobPath(roots, sha256Of(content)),
    add: (content: Uint8Array) => places.add(sha256Of(content), () => content),
    [Symbol.dispose]: () => places[Symbol.dispose](),
  }
}

/** Everything below, but the directories that lead to blobs. */
function filesIn(directory: string): string[] {
  const entries = fs.readdirSync(directory, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => !entry.isDirectory()).map(({ parentPath, name }) => join(parentPath, name))
}

describe('BlobPlaces', () => {
  test('gives hundreds of blobs their places, and their stamps', () => {
    using home = new TemporaryDirectory()
    using places = placesIn(home)
    for (const content of contents) {
      const stamp = places.add(content)
      expect(stamp?.[0]).toBe(content.byteLength)
      expect(fs.readFileSync(places.path(content)).equals(content)).toBeTrue()
    }
    expect(filesIn(places.directory)).toHaveLength(contents.length)
  })

  test('leaves a file that stands there as it is, whoever made it', () => {
    using home = new TemporaryDirectory()
    using places = placesIn(home)
    fs.mkdirSync(dirname(places.path(first)), { recursive: true })
    fs.writeFileSync(places.path(first), 'another')
    expect(places.add(first)).toBeUndefined()
    expect(fs.readFileSync(places.path(first), 'utf8')).toBe('another')
    expect(places.add(sibling)).toBeDefined()
    expect(places.add(sibling)).toBeUndefined()
  })

  test('makes modes that do not depend on the umask in a shared library, and rcc’s in a private one', () => {
    const before = process.umask(0o077)
    try {
      using shared = new TemporaryDirectory()
      using all = placesIn(shared, true)
      all.add(first)
      expect(fs.statSync(all.path(first)).mode & 0o777).toBe(0o666)
      for (let at = dirname(all.path(first)); at.startsWith(all.directory); at = dirname(at))
        expect(fs.statSync(at).mode & 0o777).toBe(0o777)
    } finally {
      process.umask(before)
    }
    using home = new TemporaryDirectory()
    using own = placesIn(home)
    own.add(first)
    expect(fs.statSync(own.path(first)).mode & 0o777).toBe(0o644)
    expect(fs.statSync(dirname(own.path(first))).mode & 0o777).toBe(0o750)
  })

  // rcc's check removes empty directories; a clean-up takes all of them.
  test('makes directories anew that have gone, of any level and the library’s own', () => {
    using home = new TemporaryDirectory()
    using places = placesIn(home)
    places.add(first)
    fs.rmSync(join(places.directory, topOf(first)), { recursive: true })
    places.add(sibling)
    expect(fs.readFileSync(places.path(sibling)).equals(sibling)).toBeTrue()
    fs.rmSync(places.directory, { recursive: true })
    places.add(first)
    expect(filesIn(places.directory)).toEqual([places.path(first)])
  })

  test('has a directory of its own for temporaries, made anew where it has gone, and removed at the end', () => {
    using home = new TemporaryDirectory()
    const temporaries = () =>
      fs.readdirSync(join(home.path, 'hololib', 'library')).filter((name) => name.startsWith('.'))
    {
      using one = placesIn(home)
      using other = placesIn(home)
      one.add(first)
      other.add(sibling)
      expect(temporaries()).toHaveLength(2)
      for (const name of temporaries()) fs.rmdirSync(join(one.directory, name))
      for (const content of contents) one.add(content)
      expect(temporaries()).toHaveLength(1)
      expect(filesIn(one.directory)).toHaveLength(contents.length)
    }
    expect(temporaries()).toEqual([])
  })

  test('says which blob could not be written where something else stands in its way, and leaves nothing', () => {
    using home = new TemporaryDirectory()
    using places = placesIn(home)
    const top = join(places.directory, topOf(first))
    fs.writeFileSync(top, 'a file')
    expect(() => places.add(first)).toThrow(places.path(first))
    expect(filesIn(places.directory)).toEqual([top])
    fs.rmSync(top)
    fs.mkdirSync(places.path(first), { recursive: true })
    expect(() => places.add(first)).toThrow(places.path(first))
    expect(filesIn(places.directory)).toEqual([])
  })
})
