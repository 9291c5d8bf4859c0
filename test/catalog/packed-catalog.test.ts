// Goal: unpacking gives back the very catalog that was packed, whatever it holds, and nothing at all from other bytes.
import { expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { sha256Of } from '../../src/blob/digest.ts'
import { catalogTail } from '../../src/catalog/catalog-tail.ts'
import { decodeCatalog } from '../../src/catalog/decode-catalog.ts'
import { packCatalog } from '../../src/catalog/pack-catalog.ts'
import { packedPlaces, readPackedHeader, writePackedHeader } from '../../src/catalog/packed-form.ts'
import type { Catalog, CatalogDirectory } from '../../src/catalog/tree.ts'
import { unpackCatalog } from '../../src/catalog/unpack-catalog.ts'
import { anyCatalog } from './any-catalog.ts'
import { numRuns, smallRobots } from './support.ts'

const key = sha256Of(Buffer.from('stored bytes'))
const sha256 = sha256Of(Buffer.from('JSON'))
const packed = (catalog: Catalog) => packCatalog(key, { catalog, sha256, tail: catalogTail(catalog) })

/** `toEqual` passes over the order of maps. */
function order(directory: CatalogDirectory): unknown {
  return [[...directory.files.keys()], [...directory.subdirs].map(([name, subdir]) => [name, order(subdir)])]
}

test('unpackCatalog() gives back what packCatalog() took, for any tree', () => {
  fc.assert(
    fc.property(anyCatalog(), fc.boolean(), (catalog, withTail) => {
      const tail = withTail ? catalogTail(catalog) : undefined
      const found = unpackCatalog(packCatalog(key, { catalog, sha256, tail }), key)
      expect(found?.catalog).toEqual(catalog)
      expect(order(found?.catalog.tree ?? catalog.tree)).toEqual(order(catalog.tree))
      expect(found?.sha256).toBe(sha256)
      expect(found?.tail && { ...found.tail, deflated: Buffer.from(found.tail.deflated) }).toEqual(
        tail && { ...tail, deflated: Buffer.from(tail.deflated) },
      )
    }),
    { numRuns: numRuns(150) },
  )
})

test.each([...smallRobots])('unpackCatalog() gives back the golden catalog of %s', (robot) => {
  const catalog = decodeCatalog(readFileSync(join(robot, 'catalog.json')))
  const found = unpackCatalog(packed(catalog), key)
  expect(found?.catalog).toEqual(catalog)
  expect(order(found?.catalog.tree ?? catalog.tree)).toEqual(order(catalog.tree))
})

test('unpackCatalog() takes bytes that begin anywhere in their buffer', () => {
  const bytes = packed(decodeCatalog(readFileSync(join(smallRobots[0] ?? '', 'catalog.json'))))
  const shifted = new Uint8Array(bytes.byteLength + 3)
  shifted.set(bytes, 3)
  expect(unpackCatalog(shifted.subarray(3), key)?.catalog).toEqual(unpackCatalog(bytes, key)?.catalog as Catalog)
})

test('unpackCatalog() finds nothing in bytes that were packed for others', () => {
  const catalog = decodeCatalog(readFileSync(join(smallRobots[0] ?? '', 'catalog.json')))
  expect(unpackCatalog(packed(catalog), sha256)).toBeUndefined()
})

test('unpackCatalog() finds nothing in bytes that were altered, cut, or never packed', () => {
  const whole = packed(decodeCatalog(readFileSync(join(smallRobots[2] ?? '', 'catalog.json'))))
  const edit = fc.tuple(fc.nat(whole.byteLength - 1), fc.integer({ min: 1, max: 255 }))
  fc.assert(
    fc.property(fc.uniqueArray(edit, { minLength: 1, maxLength: 4, selector: ([at]) => at }), (edits) => {
      const bytes = Uint8Array.from(whole)
      for (const [at, mask] of edits) bytes[at] = (bytes[at] ?? 0) ^ mask
      expect(unpackCatalog(bytes, key)).toBeUndefined()
    }),
    { numRuns: numRuns(300) },
  )
  fc.assert(
    fc.property(
      fc.oneof(fc.nat(whole.byteLength - 1), fc.nat(300)),
      fc.uint8Array({ maxLength: 40 }),
      (length, more) => {
        expect(unpackCatalog(whole.subarray(0, length), key)).toBeUndefined()
        expect(unpackCatalog(Buffer.concat([whole, more, Buffer.of(0)]), key)).toBeUndefined()
        expect(unpackCatalog(more, key)).toBeUndefined()
      },
    ),
    { numRuns: numRuns(100) },
  )
})

// Goal: even bytes that were forged with a right checksum allocate nothing beyond the limits and give no name that climbs.
// Method: single bytes of every column are altered and the checksum is made anew; what comes out is a catalog or nothing.
test('unpackCatalog() throws nothing on forged bytes, and gives no name that climbs', () => {
  const whole = packed(decodeCatalog(readFileSync(join(smallRobots[2] ?? '', 'catalog.json'))))
  fc.assert(
    fc.property(fc.nat(whole.byteLength - 33), fc.constantFrom(0, 1, 0x2e, 0x2f, 0x7f, 0xff), (at, byte) => {
      const bytes = Uint8Array.from(whole)
      bytes[at] = byte
      sign(bytes)
      const found = unpackCatalog(bytes, key)
      for (const name of found === undefined ? [] : namesOf(found.catalog.tree)) {
        expect(name).not.toMatch(/^(|\.|\.\.|.*[/\0].*)$/s)
      }
    }),
    { numRuns: numRuns(1000) },
  )
})

test('unpackCatalog() allocates nothing for counts that no file bears out', () => {
  const bytes = packed(decodeCatalog(readFileSync(join(smallRobots[2] ?? '', 'catalog.json'))))
  const header = readPackedHeader(bytes)
  if (header === undefined) throw new Error('no header')
  for (const [word, value] of Object.entries({
    directories: 0,
    files: 2 ** 32 - 1,
    rewrites: 2 ** 31,
    links: 2 ** 30,
  })) {
    const forged = Uint8Array.from(bytes)
    writePackedHeader(forged, { ...header, [word]: value })
    sign(forged)
    expect(unpackCatalog(forged, key)).toBeUndefined()
  }
})

test.each(['..', '.', '', 'a/b', 'a\0b'])('unpackCatalog() refuses the forged name %j', (name) => {
  const catalog = decodeCatalog(readFileSync(join(smallRobots[2] ?? '', 'catalog.json')))
  const [file] = catalog.tree.files.values()
  if (file === undefined) throw new Error('no file')
  const files = new Map([...catalog.tree.files, [name, { ...file, name }]])
  expect(unpackCatalog(packed({ ...catalog, tree: { ...catalog.tree, files } }), key)).toBeUndefined()
})

/** Make the checksum right. */
function sign(bytes: Uint8Array): void {
  const header = readPackedHeader(bytes)
  if (header === undefined) throw new Error('no header')
  const end = Math.min(packedPlaces(header).checksum.at, bytes.byteLength - 32)
  bytes.set(Uint8Array.fromHex(sha256Of(bytes.subarray(0, end))), end)
}

function namesOf(directory: CatalogDirectory): string[] {
  return [...directory.files.keys(), ...[...directory.subdirs].flatMap(([name, subdir]) => [name, ...namesOf(subdir)])]
}
