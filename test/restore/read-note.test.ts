// Goal: what a note says is the same whether it was known, packed or decoded, and it is only taken for known where every
// byte is as we would write it.
import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { catalogTail } from '../../src/catalog/catalog-tail.ts'
import { type SpacePaths, spacePaths, statePaths } from '../../src/catalog/layout.ts'
import { catalogName } from '../../src/catalog/names.ts'
import { spaceNote } from '../../src/catalog/space-note.ts'
import type { Catalog } from '../../src/catalog/tree.ts'
import { type KnownNotes, readNote } from '../../src/restore/read-note.ts'
import { writeMeta } from '../../src/restore/write-meta.ts'
import { PackedCatalogFolder } from '../../src/store/packed-catalogs.ts'
import { rootsIn, TemporaryDirectory } from '../support/golden.ts'
import { MemoryBlobs, madeCatalog } from '../support/made-catalog.ts'

const SPACE = 'dc4d952_5a1fac3_9fcd2534'
let home: TemporaryDirectory
let paths: SpacePaths
beforeEach(() => {
  home = new TemporaryDirectory()
  paths = spacePaths(join(home.path, SPACE))
})
afterEach(() => home[Symbol.dispose]())

function catalogWith(text: string, blueprint: string): Catalog {
  const tree = { lib: { kind: 'directory', entries: { a: { kind: 'file', text, mode: 0o644 } } } } as const
  return { ...madeCatalog(tree, home.path, new MemoryBlobs()), blueprint }
}

function noteOf(catalog: Catalog) {
  const target = { spaceName: SPACE, controller: 'rcc.user', space: 'user' }
  return spaceNote(catalog, () => catalogTail(catalog), target)
}

function known(wanted: Catalog, more: Partial<KnownNotes> = {}): KnownNotes {
  return { wanted: noteOf(wanted), other: () => undefined, packed: undefined, ...more }
}

describe('readNote()', () => {
  test('says nothing where there is no note', () => {
    const wanted = catalogWith('one', '0123456789abcdef')
    expect(readNote(paths, known(wanted))).toEqual({ meta: undefined, metaInfo: undefined })
  })

  test('knows the note of the wanted catalog', () => {
    const wanted = catalogWith('one', '0123456789abcdef')
    writeMeta(paths, noteOf(wanted))
    const { meta, metaInfo } = readNote(paths, known(wanted))
    expect(meta?.tree).toBe(wanted.tree)
    expect(meta).toEqual(noteOf(wanted).meta)
    expect(metaInfo).toBe(Buffer.from(noteOf(wanted).infoBytes()).toString())
  })

  test('knows the note of the catalog that .meta.info names', () => {
    const wanted = catalogWith('one', '0123456789abcdef')
    const before = catalogWith('two', 'fedcba9876543210')
    writeMeta(paths, noteOf(before))
    const asked: string[] = []
    const other: KnownNotes['other'] = (name) => {
      asked.push(name)
      return noteOf(before)
    }
    expect(readNote(paths, known(wanted, { other })).meta?.tree).toBe(before.tree)
    expect(asked).toEqual([catalogName('fedcba9876543210', 'linux_amd64')])
  })

  test('decodes a note that differs in a byte from the known ones, whatever .meta.info says', () => {
    const wanted = catalogWith('one', '0123456789abcdef')
    const before = catalogWith('two', 'fedcba9876543210')
    for (const infoOf of [wanted, before]) {
      writeMeta(paths, noteOf(before))
      fs.writeFileSync(paths.metaInfo, noteOf(infoOf).infoBytes())
      const { meta } = readNote(paths, known(wanted, { other: () => noteOf(wanted) }))
      expect(meta).toEqual(noteOf(before).meta)
    }
  })

  test('decodes what rcc wrote, and once only where packed catalogs are kept', () => {
    const wanted = catalogWith('one', '0123456789abcdef')
    writeMeta(paths, noteOf(wanted))
    fs.writeFileSync(paths.meta, gzipSync(gunzipSync(fs.readFileSync(paths.meta)), { level: 9 }))
    const state = statePaths(rootsIn(join(home.path, 'rcc')))
    const packed = new PackedCatalogFolder(state, { readOnly: false })
    for (const _time of ['decoded', 'packed']) {
      const { meta } = readNote(paths, known(wanted, { packed }))
      expect(meta).toEqual(noteOf(wanted).meta)
      expect(fs.readdirSync(state.packedCatalogs)).toHaveLength(1)
    }
  })

  test.each(['{', 'null', '[]', '{"blueprint":{},"platform":[1]}', '{"blueprint":"../x","platform":"linux_amd64"}'])(
    'goes by .meta alone where .meta.info is %s',
    (text) => {
      const wanted = catalogWith('one', '0123456789abcdef')
      const before = catalogWith('two', 'fedcba9876543210')
      writeMeta(paths, noteOf(before))
      fs.writeFileSync(paths.metaInfo, text)
      const other = () => {
        throw new Error('asked for a catalog that nothing names')
      }
      expect(readNote(paths, known(wanted, { other }))).toEqual({ meta: noteOf(before).meta, metaInfo: text })
    },
  )

  test('says nothing of a torn note', () => {
    const wanted = catalogWith('one', '0123456789abcdef')
    writeMeta(paths, noteOf(wanted))
    fs.truncateSync(paths.meta, 40)
    expect(readNote(paths, known(wanted)).meta).toBeUndefined()
  })
})
