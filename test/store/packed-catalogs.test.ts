// Goal: a packed catalog is found as long as it is whole and this user's alone, the folder stays within its bounds, and
// nothing that is wrong with it is ever an error.
import { expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { PACKED_CATALOGS_MAX } from '../../src/base/limits.ts'
import { type Sha256Digest, sha256Of } from '../../src/blob/digest.ts'
import { statePaths } from '../../src/catalog/layout.ts'
import type { PackedCatalog } from '../../src/catalog/packed-form.ts'
import { PackedCatalogFolder } from '../../src/store/packed-catalogs.ts'
import { rootsIn, TemporaryDirectory } from '../support/golden.ts'
import { MemoryBlobs, madeCatalog } from '../support/made-catalog.ts'
import { skipUnless } from '../support/skip.ts'

const key = sha256Of(Buffer.from('stored bytes'))
const packed: PackedCatalog = {
  catalog: madeCatalog({ a: { kind: 'file', text: 'one', mode: 0o644 } }, '/ht', new MemoryBlobs()),
  sha256: sha256Of(Buffer.from('JSON')),
  tail: undefined,
}

function folderIn(home: TemporaryDirectory, readOnly = false): { folder: PackedCatalogFolder; directory: string } {
  const state = statePaths(rootsIn(join(home.path, 'home')))
  return { folder: new PackedCatalogFolder(state, { readOnly }), directory: state.packedCatalogs }
}

test('add() keeps a catalog for other processes, readable by this user only', () => {
  using home = new TemporaryDirectory()
  const { folder, directory } = folderIn(home)
  expect(folder.find(key)).toBeUndefined()
  folder.add(key, packed)
  expect(folderIn(home).folder.find(key)).toEqual(packed)
  const mode = (path: string) => fs.statSync(path).mode & 0o777
  expect([mode(join(directory, '..')), mode(directory), mode(join(directory, key))]).toEqual([0o700, 0o700, 0o600])
  expect(fs.readdirSync(directory)).toEqual([key])
})

test('add() writes nothing where nothing may be written', () => {
  using home = new TemporaryDirectory()
  folderIn(home, true).folder.add(key, packed)
  expect(fs.readdirSync(home.path)).toEqual([])
})

test('add() and find() pass over a folder that cannot be used', () => {
  using home = new TemporaryDirectory()
  const { folder, directory } = folderIn(home)
  fs.mkdirSync(join(directory, '..'), { recursive: true })
  fs.writeFileSync(directory, 'a file where the folder belongs')
  folder.add(key, packed)
  expect(folder.find(key)).toBeUndefined()
})

test('find() finds nothing in a file that is torn, replaced by one of another catalog, or no file', () => {
  using home = new TemporaryDirectory()
  const { folder, directory } = folderIn(home)
  const path = join(directory, key)
  const other = sha256Of(Buffer.from('other'))
  folder.add(other, packed)
  const breaks: (() => void)[] = [
    () => fs.truncateSync(path, 300),
    () => fs.writeFileSync(path, ''),
    () => fs.copyFileSync(join(directory, other), path),
    () => {
      fs.rmSync(path)
      fs.symlinkSync(join(directory, other), path)
    },
    () => {
      fs.rmSync(path)
      fs.mkdirSync(path)
    },
  ]
  for (const breakIt of breaks) {
    folder.add(key, packed)
    breakIt()
    expect(folder.find(key)).toBeUndefined()
    if (!fs.lstatSync(path).isDirectory()) continue
    fs.rmdirSync(path)
  }
  folder.add(key, packed)
  expect(folder.find(key)).toEqual(packed)
})

skipUnless(process.platform !== 'win32', 'Windows has no pipes of this kind')('find() does not wait for a pipe', () => {
  using home = new TemporaryDirectory()
  const { folder, directory } = folderIn(home)
  fs.mkdirSync(directory, { recursive: true })
  Bun.spawnSync(['mkfifo', '-m', '600', join(directory, key)])
  expect(folder.find(key)).toBeUndefined()
})

skipUnless(process.platform !== 'win32', 'Windows has no modes')(
  'find() takes no file that others could have written',
  () => {
    using home = new TemporaryDirectory()
    const { folder, directory } = folderIn(home)
    folder.add(key, packed)
    fs.chmodSync(join(directory, key), 0o620)
    expect(folder.find(key)).toBeUndefined()
    folder.add(key, packed)
    expect(folder.find(key)).toEqual(packed)
  },
)

// A fetch packs a catalog while its blobs come, and its last step would do so again.
test('add() writes once what this process has written, as long as it is there', () => {
  using home = new TemporaryDirectory()
  const { folder, directory } = folderIn(home)
  const path = join(directory, key)
  folder.add(key, packed)
  const { ino } = fs.statSync(path)
  folder.add(key, packed)
  expect(fs.statSync(path).ino).toBe(ino)
  fs.rmSync(path)
  folder.add(key, packed)
  expect(folder.find(key)).toEqual(packed)
  // What another process left is of unknown use.
  folderIn(home).folder.add(key, packed)
  expect(fs.statSync(path).ino).not.toBe(ino)
})

test('add() lets the oldest go beyond the bounds', () => {
  using home = new TemporaryDirectory()
  const { folder, directory } = folderIn(home)
  const keys: Sha256Digest[] = []
  for (let index = 0; index < PACKED_CATALOGS_MAX + 3; index++) {
    const each = sha256Of(Buffer.from(`${index}`))
    keys.push(each)
    folder.add(each, packed)
    fs.utimesSync(join(directory, each), 1_700_000_000 + index, 1_700_000_000 + index)
  }
  folder.add(key, packed)
  expect(fs.readdirSync(directory).sort()).toEqual([...keys.slice(4), key].sort())
})
