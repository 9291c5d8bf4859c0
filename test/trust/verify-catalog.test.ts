import { describe, expect, test } from 'bun:test'
import { gunzipSync, gzipSync } from 'node:zlib'
import { type Sha256Digest, sha256Of } from '../../src/blob/digest.ts'
import { catalogTail } from '../../src/catalog/catalog-tail.ts'
import { decodeStoredCatalog } from '../../src/catalog/decode-catalog.ts'
import type { PackedCatalog, PackedCatalogs } from '../../src/catalog/packed-form.ts'
import { Library } from '../../src/store/library.ts'
import { ownWord } from '../../src/trust/publication.ts'
import { verifyCatalog } from '../../src/trust/verify-catalog.ts'
import { codeOf } from '../support/failure-of.ts'
import { smallCold, TemporaryDirectory, unpackSmall } from '../support/golden.ts'

/** Packed catalogs in memory, counting what was found. */
class MemoryPacked implements PackedCatalogs {
  readonly kept = new Map<Sha256Digest, PackedCatalog>()
  found = 0

  find(stored: Sha256Digest): PackedCatalog | undefined {
    const packed = this.kept.get(stored)
    if (packed !== undefined) this.found++
    return packed
  }

  add(stored: Sha256Digest, packed: PackedCatalog): void {
    this.kept.set(stored, packed)
  }
}

function storedOf(version: 1 | 2): Uint8Array {
  using home = new TemporaryDirectory()
  const stored = new Library(unpackSmall('gzip', home.path)).storedCatalog(smallCold('gzip', version).name)
  if (stored === undefined) throw new Error('the golden library lacks it')
  return stored
}

const name = smallCold('gzip', 1).name
const stored = storedOf(1)
const sha256 = sha256Of(gunzipSync(stored))
const found = { name, stored, source: 'library', announced: undefined, judge: ownWord }

describe('verifyCatalog()', () => {
  test('gives the catalog with the hash of its JSON and its tail', () => {
    const verified = verifyCatalog({ ...found, announced: sha256 })
    expect(verified.catalog).toEqual(decodeStoredCatalog(stored))
    expect(verified.sha256).toBe(sha256)
    expect(verified.tail()).toEqual(catalogTail(verified.catalog))
    expect(verified.tail()).toBe(verified.tail())
  })

  test('refuses what is no catalog, not the announced one, or another than its name says', () => {
    const packed = new MemoryPacked()
    for (const where of [undefined, packed]) {
      expect(codeOf(() => verifyCatalog({ ...found, stored: gzipSync('{}') }, where))).toBe('catalog-invalid')
      const other = sha256Of(Buffer.from('other'))
      expect(codeOf(() => verifyCatalog({ ...found, announced: other }, where))).toBe('catalog-differs')
      expect(codeOf(() => verifyCatalog({ ...found, name: smallCold('gzip', 2).name }, where))).toBe(
        'catalog-mislabelled',
      )
    }
    expect(packed.kept.size).toBe(0)
  })

  test('packs what it decoded, and takes what is packed for the same bytes only', () => {
    const packed = new MemoryPacked()
    const first = verifyCatalog(found, packed)
    expect([...packed.kept.keys()]).toEqual([sha256Of(stored)])
    const second = verifyCatalog(found, packed)
    expect(packed.found).toBe(1)
    expect(second.catalog).toBe(first.catalog)
    expect(second.tail()).toBe(first.tail())
    expect({ ...second, tail: undefined }).toEqual({ ...first, tail: undefined })

    const respaced = gzipSync(Buffer.concat([gunzipSync(stored), Buffer.from('\n')]))
    expect(verifyCatalog({ ...found, stored: respaced }, packed).catalog).not.toBe(first.catalog)
    expect(packed.kept.size).toBe(2)
  })

  test('refuses a packed catalog like a decoded one', () => {
    const packed = new MemoryPacked()
    verifyCatalog(found, packed)
    expect(codeOf(() => verifyCatalog({ ...found, name: smallCold('gzip', 2).name }, packed))).toBe(
      'catalog-mislabelled',
    )
    const announced = sha256Of(Buffer.from('other'))
    expect(codeOf(() => verifyCatalog({ ...found, announced }, packed))).toBe('catalog-differs')
  })

  test('adds the tail to one that was packed without', () => {
    const packed = new MemoryPacked()
    packed.add(sha256Of(stored), { catalog: decodeStoredCatalog(stored), sha256, tail: undefined })
    verifyCatalog(found, packed)
    expect(packed.kept.get(sha256Of(stored))?.tail).toBeDefined()
  })
})
