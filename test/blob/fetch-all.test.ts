import { describe, expect, test } from 'bun:test'
import { never } from '../../src/base/clock.ts'
import { emptyTotals, FetchIncompleteError, fetchAll, type SourceSet } from '../../src/blob/fetch-all.ts'
import type { BlobSource } from '../../src/blob/source.ts'
import { blobOf, type MemoryBlob, MemorySource, MemoryStore } from '../support/memory-blobs.ts'

class MemorySources implements SourceSet {
  readonly graceMs = 200
  #sources: BlobSource[]
  readonly #listeners = new Set<() => void>()
  constructor(...sources: BlobSource[]) {
    this.#sources = sources
  }
  list(): readonly BlobSource[] {
    return this.#sources
  }
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
  drop(source: string): void {
    this.#sources = this.#sources.filter(({ name }) => name !== source)
  }
  add(source: BlobSource): void {
    this.#sources = [...this.#sources, source]
    for (const listener of this.#listeners) listener()
  }
}

const blobs = Array.from({ length: 300 }, (_, index) => blobOf(`file ${index}\n`))
const refs = blobs.map(({ ref }) => ref)
const held = (from: readonly MemoryBlob[]) => from.map(({ ref, bytes }) => [ref.digest, bytes] as const)
const lyingFrom = (first: number) =>
  blobs.map(({ ref, bytes }, at) => [ref.digest, at >= first ? blobOf('other').bytes : bytes] as const)

describe('fetchAll()', () => {
  test('spreads blobs over the sources and counts what each gave', async () => {
    const store = new MemoryStore()
    const totals = emptyTotals()
    const sources = new MemorySources(new MemorySource('a', held(blobs)), new MemorySource('b', held(blobs)))
    await fetchAll(refs, { store, sources }, totals, never)
    expect(store.blobs.size).toBe(300)
    expect(totals.blobs).toBe(300)
    expect(totals.blobBytes).toBe(refs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0))
    expect(totals.wireBytes).toBe(totals.blobBytes)
    expect(totals.bySource.get('a')).toBeGreaterThan(100)
    expect(totals.bySource.get('b')).toBeGreaterThan(100)
  })

  test('drops a liar after its first lie and completes from the others', async () => {
    const store = new MemoryStore()
    const totals = emptyTotals()
    const sources = new MemorySources(new MemorySource('liar', lyingFrom(7)), new MemorySource('honest', held(blobs)))
    await fetchAll(refs, { store, sources }, totals, never)
    expect(store.blobs.size).toBe(300)
    expect([...totals.dropped.keys()]).toEqual(['liar'])
    expect(sources.list().map(({ name }) => name)).toEqual(['honest'])
  })

  test('asks a source that appears after the only one lied', async () => {
    const store = new MemoryStore()
    const totals = emptyTotals()
    const sources = new MemorySources(new MemorySource('liar', lyingFrom(20)))
    const fetching = fetchAll(refs, { store, sources }, totals, never)
    sources.add(new MemorySource('late', held(blobs)))
    await fetching
    expect(store.blobs.size).toBe(300)
    expect([...totals.dropped.keys()]).toEqual(['liar'])
  })

  test('names liar and blob, and keeps what is right, where nobody else has it', async () => {
    const store = new MemoryStore()
    const totals = emptyTotals()
    const sources = new MemorySources(new MemorySource('liar', lyingFrom(20)))
    const error = await fetchAll(refs, { store, sources }, totals, never).catch((e) => e)
    expect(error).toBeInstanceOf(FetchIncompleteError)
    expect(error.code).toBe('blob-corrupt')
    expect(error.message).toContain(`liar sent wrong bytes for blob ${refs[20]?.digest}`)
    expect(error.message).toContain('still missing')
    expect(store.blobs.size).toBe(20)
    expect(totals.blobs).toBe(20)
  })

  test('moves nothing for blobs that are there', async () => {
    const store = new MemoryStore()
    for (const { ref, bytes } of blobs) store.blobs.set(ref.digest, bytes)
    const source = new MemorySource('a', held(blobs))
    await fetchAll(refs, { store, sources: new MemorySources(source) }, emptyTotals(), never)
    expect(source.asked).toEqual([])
  })

  test('throws the reason of its signal', async () => {
    const reason = new Error('enough')
    const sources = new MemorySources(new MemorySource('a', held(blobs)))
    const error = await fetchAll(
      refs,
      { store: new MemoryStore(), sources },
      emptyTotals(),
      AbortSignal.abort(reason),
    ).catch((e) => e)
    expect(error).toBe(reason)
  })
})
