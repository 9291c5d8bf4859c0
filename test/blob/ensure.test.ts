import { expect, test } from 'bun:test'
import { never } from '../../src/base/clock.ts'
import { HoloError } from '../../src/base/errors.ts'
import { BlobUnavailableError, ensureBlob } from '../../src/blob/ensure.ts'
import type { BlobSource } from '../../src/blob/source.ts'
import { blobOf, MemorySource, MemoryStore } from '../support/memory-blobs.ts'

const wanted = blobOf('import this\n')
const wrong = blobOf('import os\n')

// Goal: a lying source costs one attempt, never a wrong byte in the store.
// Method: two in-memory sources; the first answers the digest with other bytes.
test('ensureBlob() passes over a source whose bytes hash wrong', async () => {
  const liar = new MemorySource('liar', [[wanted.ref.digest, wrong.bytes]])
  const honest = new MemorySource('honest', [[wanted.ref.digest, wanted.bytes]])
  const store = new MemoryStore()
  const ensured = await ensureBlob(wanted.ref, { store, sources: [liar, honest] }, never)
  expect(ensured.source).toBe('honest')
  expect(ensured.failed.map(({ source }) => source)).toEqual(['liar'])
  expect([...store.blobs.keys()]).toEqual([wanted.ref.digest])
})

test('ensureBlob() asks nobody for a blob that is there', async () => {
  const store = new MemoryStore()
  store.blobs.set(wanted.ref.digest, wanted.bytes)
  const source = new MemorySource('idle', [])
  expect(await ensureBlob(wanted.ref, { store, sources: [source] }, never)).toEqual({ source: undefined, failed: [] })
  expect(source.asked).toEqual([])
})

test('ensureBlob() blames nobody where all sources miss, and the sources where one failed', async () => {
  const empty = new MemorySource('empty', [])
  const liar = new MemorySource('liar', [[wanted.ref.digest, wrong.bytes]])
  const missed = await ensureBlob(wanted.ref, { store: new MemoryStore(), sources: [empty] }, never).catch((e) => e)
  expect(missed).toBeInstanceOf(BlobUnavailableError)
  expect(missed.blame).toBe('missing')
  const failed = await ensureBlob(wanted.ref, { store: new MemoryStore(), sources: [empty, liar] }, never).catch(
    (e) => e,
  )
  expect(failed.blame).toBe('source')
  expect(failed.message).toContain('liar sent wrong bytes')
})

test('ensureBlob() stops at an error that blames this machine', async () => {
  const full: BlobSource = {
    name: 'full',
    has: async () => new Set(),
    get: async () => {
      throw new HoloError('disk full', { code: 'disk-full', blame: 'host' })
    },
  }
  const next = new MemorySource('next', [[wanted.ref.digest, wanted.bytes]])
  const error = await ensureBlob(wanted.ref, { store: new MemoryStore(), sources: [full, next] }, never).catch((e) => e)
  expect(error.code).toBe('disk-full')
  expect(next.asked).toEqual([])
})

test('ensureBlob() throws the reason of its signal, unwrapped', async () => {
  const reason = new Error('enough')
  const source = new MemorySource('any', [[wanted.ref.digest, wanted.bytes]])
  const error = await ensureBlob(
    wanted.ref,
    { store: new MemoryStore(), sources: [source] },
    AbortSignal.abort(reason),
  ).catch((e) => e)
  expect(error).toBe(reason)
})
