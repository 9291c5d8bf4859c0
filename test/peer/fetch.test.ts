/** A whole fetch from members of a fleet, over in-memory links: what a liar costs. */
import { expect, test } from 'bun:test'
import { never } from '../../src/base/clock.ts'
import { emptyTotals, FetchIncompleteError, fetchAll } from '../../src/blob/fetch-all.ts'
import { randomSecret } from '../../src/trust/keys.ts'
import { connect, emptyCatalog, type Member, member, until } from '../support/members.ts'
import { MemoryStore } from '../support/memory-blobs.ts'

const secret = randomSecret()
const catalog = emptyCatalog()
const contents = Array.from({ length: 400 }, (_, index) => Buffer.from(`content of blob ${index}`))

function holder(): Member {
  const made = member(secret)
  made.library.hold(catalog)
  for (const content of contents) made.library.add(content)
  return made
}

async function clientOf(...holders: readonly Member[]) {
  const client = member(secret, 'client')
  for (const each of holders) connect(client, each)
  const sources = client.swarm.sourcesFor(catalog.held.sha256, [])
  await until(client.swarm, () => client.swarm.peers().filter(({ catalogs }) => catalogs > 0).length === holders.length)
  return { client, sources: { ...sources, graceMs: 0 } }
}

const refs = contents.map((content) => member(secret).library.add(content))

/** Alter one blob of `liar`, keeping its length. */
function corrupt(liar: Member): void {
  const digest = refs[7]?.digest
  const blob = digest === undefined ? undefined : liar.library.blobs.get(digest)
  if (digest === undefined || blob === undefined) throw new Error('no such blob')
  liar.library.blobs.set(digest, { ...blob, bytes: Buffer.from(blob.bytes).fill('!') })
}

test('fetchAll() takes blobs from all members that hold the catalog', async () => {
  const { sources } = await clientOf(holder(), holder(), holder())
  const [store, totals] = [new MemoryStore(), emptyTotals()]
  await fetchAll(refs, { store, sources }, totals, never)
  expect(store.blobs.size).toBe(400)
  expect(totals.bySource.size).toBe(3)
})

test('fetchAll() names and drops a member that sends wrong bytes, and takes the blob elsewhere', async () => {
  const [liar, honest] = [holder(), holder()]
  corrupt(liar)
  const { client, sources } = await clientOf(liar, honest)
  const [store, totals] = [new MemoryStore(), emptyTotals()]
  await fetchAll(refs, { store, sources }, totals, never)
  expect(store.blobs.size).toBe(400)
  // Who is asked for that blob is chance; whoever sent it wrongly was dropped.
  for (const name of totals.dropped.keys()) expect(name).toContain('memory')
  expect(client.swarm.isBanned(liar.keys.publicKey)).toBe(totals.dropped.size === 1)
  expect(client.swarm.isBanned(honest.keys.publicKey)).toBe(false)
})

test('fetchAll() names the liar where nobody else has the blob', async () => {
  const liar = holder()
  corrupt(liar)
  const { client, sources } = await clientOf(liar)
  const name = client.swarm.peers()[0]?.name ?? ''
  const [store, totals] = [new MemoryStore(), emptyTotals()]
  const failed = fetchAll(refs, { store, sources }, totals, never)
  await expect(failed).rejects.toBeInstanceOf(FetchIncompleteError)
  await expect(failed).rejects.toThrow(name)
  expect(totals.dropped.has(name)).toBe(true)
  expect([...store.blobs.keys()].includes(refs[7]?.digest as never)).toBe(false)
})

test('fetchAll() takes from members of other environments what they share, and asks them once', async () => {
  const other = member(secret)
  other.library.hold(emptyCatalog('v0.0.0'))
  for (const content of contents.slice(0, 300)) other.library.add(content)
  const client = member(secret, 'client')
  connect(client, other)
  await until(client.swarm, () => client.swarm.peers().some(({ catalogs }) => catalogs === 1))
  const sources = client.swarm.sourcesFor(
    catalog.held.sha256,
    refs.map(({ digest }) => digest),
  )
  const [store, totals] = [new MemoryStore(), emptyTotals()]
  const failed = fetchAll(refs, { store, sources: { ...sources, graceMs: 0 } }, totals, never)
  await expect(failed).rejects.toMatchObject({ code: 'blob-nowhere', blame: 'missing' })
  await fetchAll(refs.slice(0, 300), { store, sources }, totals, never)
  expect(store.blobs.size).toBe(300)
})
