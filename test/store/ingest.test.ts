import { describe, expect, test } from 'bun:test'
import { randomBytes } from 'node:crypto'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { never } from '../../src/base/clock.ts'
import { BLOB_WHOLE_BYTES_MAX } from '../../src/base/limits.ts'
import { type Digest, parseDigest, sha256Of } from '../../src/blob/digest.ts'
import type { BlobRef, BlobStream } from '../../src/blob/source.ts'
import { blobPath, libraryDirectory } from '../../src/catalog/layout.ts'
import { Library } from '../../src/store/library.ts'
import { failureOf } from '../support/failure-of.ts'
import { rootsIn, TemporaryDirectory } from '../support/golden.ts'

function refOf(content: Uint8Array): BlobRef {
  return { digest: sha256Of(content), sizeBytes: content.byteLength }
}

function streamOf(bytes: Uint8Array, encoding: BlobStream['encoding'] = 'identity', pieceBytes = 65_536): BlobStream {
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.byteLength; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes)
  }
  return { source: 'the peer', encoding, bytes: pieces() }
}

function libraryIn(home: TemporaryDirectory): Library {
  return new Library(rootsIn(home.path))
}

function atRest(library: Library, digest: Digest): Buffer {
  return fs.readFileSync(blobPath(library.roots, digest))
}

/** Every file below the library, dot files too. */
function filesOf(library: Library): string[] {
  const root = libraryDirectory(library.roots)
  if (!fs.existsSync(root)) return []
  return fs
    .readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => name)
}

const small = new TextEncoder().encode('import this\n'.repeat(500))
const large = randomBytes(BLOB_WHOLE_BYTES_MAX + 70_001)
const smallGzipLike = gzipSync(small)
const largeGzipLike = gzipSync(large)

describe('put()', () => {
  test.each([
    ['empty', new Uint8Array(0)],
    ['small', small],
    ['large', large],
  ])('stores %s content raw, whatever came over the wire', async (_name, content) => {
    for (const encoding of ['identity', 'gzip'] as const) {
      using home = new TemporaryDirectory()
      const library = libraryIn(home)
      const ref = refOf(content)

      await library.put(ref, streamOf(encoding === 'gzip' ? gzipSync(content) : content, encoding), never)

      expect(atRest(library, ref.digest).equals(content)).toBe(true)
      expect(filesOf(library)).toEqual([ref.digest])
      expect(fs.statSync(blobPath(library.roots, ref.digest)).mode & 0o777).toBe(0o644 & ~process.umask())
    }
  })

  test.each([
    ['empty', new Uint8Array(0)],
    ['small', small],
    ['large', large],
  ])('stores %s content as rcc would, where the settings want gzip', async (_name, content) => {
    for (const encoding of ['identity', 'gzip'] as const) {
      using home = new TemporaryDirectory()
      const library = new Library(rootsIn(home.path), { compression: 'gzip' })
      const ref = refOf(content)

      await library.put(ref, streamOf(encoding === 'gzip' ? gzipSync(content) : content, encoding), never)

      expect(atRest(library, ref.digest).subarray(0, 10).toString('hex')).toBe('1f8b08000000000004ff')
      expect(gunzipSync(atRest(library, ref.digest)).equals(content)).toBe(true)
      expect(await library.verify(ref, never)).toBeUndefined()
    }
  })

  // Goal: rcc decodes whatever begins like gzip, so such content must not lie there raw.
  test.each([
    ['small', smallGzipLike],
    ['large', largeGzipLike],
    ['malformed', new Uint8Array([0x1f, 0x8b, 8])],
  ])('stores %s content that begins like gzip as gzip, once, whatever the settings want', async (_name, content) => {
    for (const [pieceBytes, compression] of [
      [1, 'raw'],
      [65_536, 'raw'],
      [65_536, 'gzip'],
    ] as const) {
      if (pieceBytes === 1 && content.byteLength > 100_000) continue
      using home = new TemporaryDirectory()
      const library = new Library(rootsIn(home.path), { compression })
      const ref = refOf(content)

      await library.put(ref, streamOf(content, 'identity', pieceBytes), never)

      expect(gunzipSync(atRest(library, ref.digest)).equals(content)).toBe(true)
      expect(await library.verify(ref, never)).toBeUndefined()
      expect(library.find(ref.digest)?.whole(content.byteLength)).toEqual(new Uint8Array(content))
    }
  })

  const lies: [what: string, bytes: Uint8Array, encoding: BlobStream['encoding']][] = [
    ['other bytes of the same size', new Uint8Array(small.byteLength), 'identity'],
    ['fewer bytes', small.subarray(1), 'identity'],
    ['more bytes', Buffer.concat([small, new Uint8Array(1)]), 'identity'],
    ['nothing', new Uint8Array(0), 'identity'],
    ['nothing as gzip', new Uint8Array(0), 'gzip'],
    ['a torn gzip stream', smallGzipLike.subarray(0, -9), 'gzip'],
    ['gzip with one byte altered', altered(smallGzipLike, 30), 'gzip'],
    ['gzip of other bytes', gzipSync(new Uint8Array(small.byteLength)), 'gzip'],
    ['raw bytes that are called gzip', small, 'gzip'],
    ['gzip bytes that are called raw', smallGzipLike, 'identity'],
  ]
  test.each(lies)('refuses %s, names the source, and leaves nothing', async (_what, bytes, encoding) => {
    using home = new TemporaryDirectory()
    const library = libraryIn(home)
    const error = await failureOf(library.put(refOf(small), streamOf(bytes, encoding), never))
    expect(error).toMatchObject({ blame: 'source', code: 'blob-corrupt' })
    expect(String(error)).toContain('the peer')
    expect(String(error)).toContain(sha256Of(small))
    expect(filesOf(library)).toEqual([])
  })

  test.each([
    ['other bytes', altered(large, 900_000), 'identity'],
    ['too many bytes', Buffer.concat([large, new Uint8Array(1)]), 'identity'],
    ['a torn gzip stream', largeGzipLike.subarray(0, -9), 'gzip'],
    ['gzip of more', gzipSync(Buffer.concat([large, new Uint8Array(1)])), 'gzip'],
  ] as const)('refuses a large blob of %s and leaves nothing', async (_what, bytes, encoding) => {
    using home = new TemporaryDirectory()
    const library = libraryIn(home)
    const error = await failureOf(library.put(refOf(large), streamOf(bytes, encoding), never))
    expect(error).toMatchObject({ blame: 'source', code: 'blob-corrupt' })
    expect(filesOf(library)).toEqual([])
  })

  // Method: 1 GiB of zeros in 1 MB of gzip, once for a small and once for a large blob; the resident set tells.
  test('stops a bomb at the size that was asked for', async () => {
    using home = new TemporaryDirectory()
    const library = libraryIn(home)
    const bomb = Buffer.concat(Array.from({ length: 16 }, () => gzipSync(new Uint8Array(64 << 20))))
    const lying = Buffer.from(bomb)
    lying.writeUInt32LE(small.byteLength, lying.byteLength - 4)
    Bun.gc(true)
    const before = process.memoryUsage.rss()
    for (const bytes of [bomb, lying, gzipSync(new Uint8Array(30 << 20))]) {
      for (const ref of [refOf(small), refOf(large), { ...refOf(small), sizeBytes: BLOB_WHOLE_BYTES_MAX }]) {
        const error = await failureOf(library.put(ref, streamOf(bytes, 'gzip'), never))
        expect(error).toMatchObject({ code: 'blob-corrupt' })
      }
    }
    expect(process.memoryUsage.rss() - before).toBeLessThan(150 << 20)
    expect(filesOf(library)).toEqual([])
  })

  test('passes on the error of a source that breaks off', async () => {
    for (const content of [small, large]) {
      using home = new TemporaryDirectory()
      const library = libraryIn(home)
      const broken = new Error('connection lost')
      async function* breaking(): AsyncGenerator<Uint8Array> {
        yield content.subarray(0, 5_000)
        throw broken
      }
      for (const encoding of ['identity', 'gzip'] as const) {
        const stream: BlobStream = { source: 'the peer', encoding, bytes: breaking() }
        expect(await failureOf(library.put(refOf(content), stream, never))).toBe(broken)
      }
      expect(filesOf(library)).toEqual([])
    }
  })

  test('ends with the reason of its signal and leaves nothing', async () => {
    using home = new TemporaryDirectory()
    const library = libraryIn(home)
    const controller = new AbortController()
    const reason = new Error('called off')
    async function* aborting(): AsyncGenerator<Uint8Array> {
      yield large.subarray(0, 5_000)
      controller.abort(reason)
      yield large.subarray(5_000)
    }
    const stream: BlobStream = { source: 'the peer', encoding: 'identity', bytes: aborting() }
    expect(await failureOf(library.put(refOf(large), stream, controller.signal))).toBe(reason)
    expect(filesOf(library)).toEqual([])
  })

  test('leaves a blob alone that is there', async () => {
    using home = new TemporaryDirectory()
    const library = libraryIn(home)
    await library.put(refOf(small), streamOf(small), never)
    const before = fs.statSync(blobPath(library.roots, sha256Of(small)))
    await library.put(refOf(small), streamOf(new Uint8Array(3)), never)
    expect(fs.statSync(blobPath(library.roots, sha256Of(small))).ino).toBe(before.ino)
  })

  test('takes nothing from elsewhere into a compress.no library, and no SipHash digest anywhere', async () => {
    using home = new TemporaryDirectory()
    const library = libraryIn(home)
    const sip = { digest: parseDigest('0123456789abcdef'.repeat(2)) as Digest, sizeBytes: 5 }
    expect(await failureOf(library.put(sip, streamOf(small), never))).toMatchObject({ code: 'digest-not-sha256' })
    fs.writeFileSync(join(library.ensureCatalogDirectory(), 'compress.no'), 'present')
    expect(await failureOf(library.put(refOf(small), streamOf(small), never))).toMatchObject({
      blame: 'input',
      code: 'library-no-compress',
    })
  })

  test('makes directories again that rcc removed meanwhile', async () => {
    using home = new TemporaryDirectory()
    const library = libraryIn(home)
    await library.put(refOf(small), streamOf(small), never)
    fs.rmSync(libraryDirectory(library.roots), { recursive: true })
    await library.put(refOf(small), streamOf(small), never)
    expect(filesOf(library)).toEqual([sha256Of(small)])
  })

  // rcc's check takes away directories that are empty, of any level.
  test('makes a parent again that was made before and has gone', async () => {
    using home = new TemporaryDirectory()
    const library = libraryIn(home)
    const contents = Array.from({ length: 2000 }, (_, index) => Buffer.from(`blob ${index}`))
    const first = contents[0] ?? small
    const prefix = sha256Of(first).slice(0, 2)
    const second = contents.find((content) => content !== first && sha256Of(content).startsWith(prefix)) ?? small
    expect(sha256Of(second).slice(0, 2)).toBe(prefix)
    await library.put(refOf(first), streamOf(first), never)
    fs.rmSync(join(libraryDirectory(library.roots), prefix), { recursive: true })
    await library.put(refOf(second), streamOf(second), never)
    expect(atRest(library, sha256Of(second)).equals(second)).toBe(true)
  })

  test('lets every user of a shared library read and write', async () => {
    using home = new TemporaryDirectory()
    const library = new Library({ ...rootsIn(home.path), shared: true })
    await library.put(refOf(small), streamOf(small), never)
    const path = blobPath(library.roots, sha256Of(small))
    expect(fs.statSync(path).mode & 0o777).toBe(0o666)
    expect(fs.statSync(join(path, '..')).mode & 0o777).toBe(0o777)
    expect(fs.statSync(libraryDirectory(library.roots)).mode & 0o777).toBe(0o777)
  })

  test('takes any content in any pieces and gives it back', async () => {
    using home = new TemporaryDirectory()
    const library = libraryIn(home)
    const content = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.uint8Array({ maxLength: 60 }).map((tail) => new Uint8Array([0x1f, 0x8b, 8, ...tail])),
      fc.uint8Array({ maxLength: 300 }).map((bytes) => new Uint8Array(gzipSync(bytes))),
    )
    const runs = 60 * Number(process.env.FUZZ_RUNS ?? 1)
    await fc.assert(
      fc.asyncProperty(content, fc.boolean(), fc.integer({ min: 1, max: 50 }), async (bytes, gzip, pieceBytes) => {
        const ref = refOf(bytes)
        await library.put(ref, streamOf(gzip ? gzipSync(bytes) : bytes, gzip ? 'gzip' : 'identity', pieceBytes), never)
        expect(library.find(ref.digest)?.whole(ref.sizeBytes)).toEqual(bytes)
        expect(await library.verify(ref, never)).toBeUndefined()
        using stored = library.stored(ref.digest)
        const whole = stored?.whole() ?? new Uint8Array(0)
        expect(new Uint8Array(stored?.encoding === 'gzip' ? gunzipSync(whole) : whole)).toEqual(bytes)
      }),
      { numRuns: runs },
    )
  })
})

function altered(bytes: Uint8Array, at: number): Uint8Array {
  const copy = new Uint8Array(bytes)
  copy[at] = (copy[at] ?? 0) ^ 0xff
  return copy
}
