// Goal: the pool is a BlobStore like the library itself, with its work on other threads.
import { describe, expect, test } from 'bun:test'
import { randomBytes } from 'node:crypto'
import * as fs from 'node:fs'
import { gzipSync } from 'node:zlib'
import { never } from '../../src/base/clock.ts'
import { BLOB_WHOLE_BYTES_MAX, INGEST_AHEAD_BYTES } from '../../src/base/limits.ts'
import { sha256Of } from '../../src/blob/digest.ts'
import type { BlobRef, BlobStream } from '../../src/blob/source.ts'
import { libraryDirectory, noCompressMarker } from '../../src/catalog/layout.ts'
import type { IngestPlan } from '../../src/store/ingest-messages.ts'
import { IngestPool, ingestLane } from '../../src/store/ingest-pool.ts'
import { Library } from '../../src/store/library.ts'
import { failureOf } from '../support/failure-of.ts'
import { rootsIn, TemporaryDirectory } from '../support/golden.ts'
import { altered } from '../support/made-pieces.ts'

function given() {
  const home = new TemporaryDirectory()
  const library = new Library(rootsIn(home.path))
  const pool = new IngestPool(library, { workers: 2 })
  return {
    library,
    pool,
    async [Symbol.asyncDispose]() {
      await pool[Symbol.asyncDispose]()
      home[Symbol.dispose]()
    },
  }
}

function refOf(content: Uint8Array): BlobRef {
  return { digest: sha256Of(content), sizeBytes: content.byteLength }
}

function streamOf(stored: Uint8Array, encoding: BlobStream['encoding'] = 'identity'): BlobStream {
  async function* chunks(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < stored.byteLength; at += 65_536) yield stored.subarray(at, at + 65_536)
  }
  return { source: 'the peer', encoding, bytes: chunks() }
}

function temporariesIn(library: Library): string[] {
  return fs.readdirSync(libraryDirectory(library.roots)).filter((name) => name.startsWith('.'))
}

const small = new Uint8Array(Buffer.from('import this\n'.repeat(500)))
const large = new Uint8Array(randomBytes(3 * INGEST_AHEAD_BYTES + 70_001))

describe('put()', () => {
  test.each([
    ['empty', new Uint8Array(0)],
    ['small', small],
    ['large', large],
  ])('verifies and stores %s content, and notes it', async (_name, content) => {
    for (const encoding of ['identity', 'gzip'] as const) {
      await using it = given()
      const stored = encoding === 'gzip' ? gzipSync(content) : content.slice()
      await it.pool.put(refOf(content), streamOf(stored, encoding), never)
      expect(it.library.find(sha256Of(content))?.whole(content.byteLength)).toEqual(content)
      it.library.notes.flush()
      expect(it.library.notes.find(sha256Of(content), new Uint32Array(8), 0)).toBe('identity')
      // The source keeps its chunks.
      expect(stored.byteLength).toBeGreaterThanOrEqual(encoding === 'gzip' ? 20 : content.byteLength)
    }
  })

  test('takes thousands at once', async () => {
    await using it = given()
    const contents = Array.from({ length: 3000 }, (_, index) => new Uint8Array(Buffer.from(`blob ${index}`)))
    await Promise.all(contents.map((content) => it.pool.put(refOf(content), streamOf(content), never)))
    expect(await it.library.missingOf(contents.map(refOf), never)).toEqual([])
    expect(temporariesIn(it.library)).toEqual([])
  })

  test.each([
    ['other bytes', small, altered(small, 9), 'identity'],
    ['fewer bytes', small, small.subarray(1), 'identity'],
    ['more bytes', small, Buffer.concat([small, small]), 'identity'],
    ['a torn gzip stream', small, gzipSync(small).subarray(0, -9), 'gzip'],
    ['other bytes of a large blob', large, altered(large, 9), 'identity'],
    ['fewer bytes of a large blob', large, large.subarray(0, -1), 'identity'],
    ['more bytes of a large blob', large, Buffer.concat([large, large]), 'identity'],
    ['a large torn gzip stream', large, gzipSync(large).subarray(0, -9), 'gzip'],
  ] as const)(
    'refuses %s, names the source, leaves nothing, and takes the right ones next',
    async (_what, content, stored, encoding) => {
      await using it = given()
      const error = await failureOf(it.pool.put(refOf(content), streamOf(stored, encoding), never))
      expect(error).toMatchObject({ blame: 'source', code: 'blob-corrupt' })
      expect(String(error)).toContain('the peer')
      expect(it.library.holds(sha256Of(content))).toBe(false)
      await it.pool.put(refOf(content), streamOf(content), never)
      expect(it.library.holds(sha256Of(content))).toBe(true)
      expect(temporariesIn(it.library)).toEqual([])
    },
  )

  test('passes on what a stream fails with, and leaves nothing', async () => {
    for (const content of [small, large]) {
      await using it = given()
      const reason = new Error('the cable')
      async function* breaking(): AsyncGenerator<Uint8Array> {
        yield content.subarray(0, 1000)
        throw reason
      }
      const stream: BlobStream = { source: 'the peer', encoding: 'identity', bytes: breaking() }
      expect(await failureOf(it.pool.put(refOf(content), stream, never))).toBe(reason)
      await it.pool.put(refOf(content), streamOf(content), never)
      expect(temporariesIn(it.library)).toEqual([])
    }
  })

  test('ends with the signal while a Worker has no room', async () => {
    await using it = given()
    const stop = new AbortController()
    const reason = new Error('enough')
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (let given = 0; ; given++) {
        if (given === 3) stop.abort(reason)
        yield large.subarray(0, BLOB_WHOLE_BYTES_MAX)
      }
    }
    const stream: BlobStream = { source: 'the peer', encoding: 'identity', bytes: endless() }
    expect(await failureOf(it.pool.put({ ...refOf(large), sizeBytes: 1 << 30 }, stream, stop.signal))).toBe(reason)
  })

  test('refuses a library that names its blobs by another digest', () => {
    using home = new TemporaryDirectory()
    const library = new Library(rootsIn(home.path))
    library.ensureCatalogDirectory()
    fs.writeFileSync(noCompressMarker(library.roots), '')
    expect(() => new IngestPool(library)).toThrow('compress.no')
  })
})

test('ask() fails at once and ever after where the Worker has crashed', async () => {
  await using lane = ingestLane({} as unknown as IngestPlan)
  const ask = () => failureOf(lane.ask({ kind: 'table', id: lane.nextId(), table: undefined }, 0, []))
  expect(await ask()).toBeInstanceOf(Error)
  expect(await ask()).toBeInstanceOf(Error)
  expect(lane.outstandingBytes).toBe(0)
})
