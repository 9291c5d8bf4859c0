/** Limits on bytes a second, for what does not travel in pieces: catalogs, and blobs that are asked for one by one. */
import { expect, test } from 'bun:test'
import { never, systemClock } from '../../src/base/clock.ts'
import { RATE_BURST_MS } from '../../src/base/limits.ts'
import { roomLogger } from '../../src/base/log.ts'
import { systemRandom } from '../../src/base/random.ts'
import { RateLimit } from '../../src/base/rate-limit.ts'
import { emptyTotals, fetchAll } from '../../src/blob/fetch-all.ts'
import type { SwarmOptions } from '../../src/peer/fleet-swarm.ts'
import { PieceServer } from '../../src/peer/piece-server.ts'
import { randomSecret } from '../../src/trust/keys.ts'
import { ownWord } from '../../src/trust/publication.ts'
import { CATALOG, connect, emptyCatalog, member, until } from '../support/members.ts'
import { MemoryStore } from '../support/memory-blobs.ts'
import { MadePieces, MemoryServed } from '../support/memory-pieces.ts'

const secret = randomSecret()
const catalog = emptyCatalog()
const contents = Array.from({ length: 60 }, (_, index) => Buffer.alloc(10_000, index))
const contentBytes = 600_000

function limitOf(bytesPerSecond: number): RateLimit {
  return new RateLimit(bytesPerSecond, systemClock)
}

function uploadLimited(bytesPerSecond: number): Partial<SwarmOptions> {
  const served = new MemoryServed(catalog.held.sha256, new MadePieces([]))
  const uploadLimit = limitOf(bytesPerSecond)
  const log = roomLogger('peer')
  return { pieceServer: new PieceServer({ served, clock: systemClock, random: systemRandom, log, uploadLimit }) }
}

/** A client, and the holder that it is connected with. */
async function pair(client: Partial<SwarmOptions>, holder: Partial<SwarmOptions>) {
  const [taker, giver] = [member(secret, 'client', systemClock, client), member(secret, 'daemon', systemClock, holder)]
  giver.library.hold(catalog)
  const refs = contents.map((content) => giver.library.add(content))
  connect(taker, giver)
  await until(taker.swarm, () => taker.swarm.peers().some(({ catalogs }) => catalogs === 1))
  return { taker, refs }
}

async function msOf(work: () => Promise<unknown>): Promise<number> {
  const startedMs = systemClock.nowMs()
  await work()
  return systemClock.nowMs() - startedMs
}

/** The least that so many bytes take, ms. */
function leastMs(bytes: number, bytesPerSecond: number): number {
  return Math.floor((bytes / bytesPerSecond) * 1000 - RATE_BURST_MS)
}

for (const side of ['download', 'upload'] as const) {
  const limited = (bytesPerSecond: number) =>
    side === 'download' ? pair({ downloadLimit: limitOf(bytesPerSecond) }, {}) : pair({}, uploadLimited(bytesPerSecond))

  test(`blobs that come one by one keep the ${side} limit`, async () => {
    const { taker, refs } = await limited(1_500_000)
    const store = new MemoryStore()
    const sources = taker.swarm.sourcesFor(catalog.held.sha256, [])
    const ms = await msOf(() => fetchAll(refs, { store, sources }, emptyTotals(), never))
    expect(store.blobs.size).toBe(contents.length)
    expect(ms).toBeGreaterThanOrEqual(leastMs(contentBytes, 1_500_000))
  })

  test(`a catalog keeps the ${side} limit`, async () => {
    const { taker } = await limited(500)
    const ms = await msOf(() => taker.swarm.find(CATALOG, { waitMs: 0, judge: () => ownWord }, never))
    expect(ms).toBeGreaterThanOrEqual(leastMs(catalog.stored.byteLength, 500))
  })
}

test('a reader that is held back by the download limit leaves when it is told to', async () => {
  const { taker, refs } = await pair({ downloadLimit: limitOf(1) }, {})
  const [store, over] = [new MemoryStore(), new AbortController()]
  const sources = taker.swarm.sourcesFor(catalog.held.sha256, [])
  const fetching = fetchAll(refs, { store, sources }, emptyTotals(), over.signal)
  fetching.catch(() => {})
  await systemClock.sleep(50, never)
  over.abort(new Error('enough'))
  await expect(fetching).rejects.toThrow('enough')
  expect(store.blobs.size).toBeLessThan(contents.length)
})
