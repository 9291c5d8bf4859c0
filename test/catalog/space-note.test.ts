// Goal: a note made from a compressed tail is one gzip member that every reader takes for the JSON that rcc would write.
import { expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { crc32, gunzipSync } from 'node:zlib'
import fc from 'fast-check'
import { catalogTail } from '../../src/catalog/catalog-tail.ts'
import { combineCrc32 } from '../../src/catalog/combine-crc32.ts'
import { decodeCatalog, decodeStoredCatalog } from '../../src/catalog/decode-catalog.ts'
import { encodeCatalog } from '../../src/catalog/encode-catalog.ts'
import { spaceNote } from '../../src/catalog/space-note.ts'
import type { Catalog } from '../../src/catalog/tree.ts'
import { skipUnless } from '../support/skip.ts'
import { anyCatalog } from './any-catalog.ts'
import { numRuns, readText, smallRobots } from './support.ts'

const target = { spaceName: 'dc4d952_5a1fac3_9fcd2534', controller: 'rcc.user', space: 'user' }
const noteOf = (catalog: Catalog, space = target) => spaceNote(catalog, () => catalogTail(catalog), space)

test('combineCrc32() is the CRC-32 of both texts in a row', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 3000 }), fc.uint8Array({ maxLength: 3000 }), (left, right) => {
      const both = crc32(Buffer.concat([left, right]))
      expect(combineCrc32(crc32(left), crc32(right), right.byteLength)).toBe(both)
    }),
    { numRuns: numRuns(300) },
  )
  const long = Buffer.alloc(5_000_000, 'holo')
  expect(combineCrc32(crc32('x'), crc32(long), long.byteLength)).toBe(crc32(long, crc32('x')))
})

test('spaceNote() inflates to what encodeCatalog() writes for the space, for any catalog', () => {
  fc.assert(
    fc.property(anyCatalog(), fc.string({ unit: 'grapheme', maxLength: 9 }), (catalog, space) => {
      const note = noteOf(catalog, { ...target, space: space.toWellFormed() })
      expect(gunzipSync(note.bytes()).equals(encodeCatalog(note.meta))).toBe(true)
      expect(decodeStoredCatalog(note.bytes())).toEqual(note.meta)
    }),
    { numRuns: numRuns(100) },
  )
})

test.each([...smallRobots])('spaceNote() says what rcc says of %s', (robot) => {
  const catalog = decodeCatalog(readFileSync(join(robot, 'catalog.json')))
  const { controller, space } = JSON.parse(readText(robot, 'space-meta.json'))
  const spaceName = basename(readText(robot, 'coldpath.txt').trim())
  const note = noteOf(catalog, { spaceName, controller, space })
  expect(gunzipSync(note.bytes()).toString()).toBe(readText(robot, 'space-meta.json'))
  expect(Buffer.from(note.infoBytes()).toString()).toBe(readText(robot, 'space-meta.info.json'))
  expect(Buffer.from(noteOf(catalog, { spaceName, controller, space }).bytes()).equals(note.bytes())).toBe(true)
})

test('spaceNote() takes a header that fills more than one block of deflate', () => {
  const catalog = decodeCatalog(readFileSync(join(smallRobots[0] ?? '', 'catalog.json')))
  const controller = '\u2028'.repeat(50_000)
  const note = noteOf(catalog, { ...target, controller })
  expect(gunzipSync(note.bytes()).equals(encodeCatalog(note.meta))).toBe(true)
})

for (const reader of [
  ['gunzip', '-c'],
  ['python3', '-c', 'import gzip,sys;sys.stdout.buffer.write(gzip.decompress(sys.stdin.buffer.read()))'],
]) {
  const [program = ''] = reader
  skipUnless(Bun.which(program) !== null, `there is no ${program}`)(`spaceNote() is read by ${program}`, () => {
    const catalog = decodeCatalog(readFileSync(join(smallRobots[0] ?? '', 'catalog.json')))
    const note = noteOf(catalog)
    const { exitCode, stdout } = Bun.spawnSync(reader, { stdin: note.bytes() })
    expect(exitCode).toBe(0)
    expect(stdout.equals(encodeCatalog(note.meta))).toBe(true)
  })
}
