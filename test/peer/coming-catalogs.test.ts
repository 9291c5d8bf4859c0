/** Catalogs that are sent on while they come. */
import { describe, expect, test } from 'bun:test'
import { never, systemClock } from '../../src/base/clock.ts'
import { CHUNK_BYTES_MAX, COMING_CATALOG_BYTES_MAX, COMING_CATALOGS_KEPT_MS } from '../../src/base/limits.ts'
import { roomLogger } from '../../src/base/log.ts'
import { seededRandom } from '../../src/base/random.ts'
import type { Sha256Digest } from '../../src/blob/digest.ts'
import { catalogBytes } from '../../src/peer/catalog-bytes.ts'
import { ComingCatalogs } from '../../src/peer/coming-catalogs.ts'
import type { PeerConnection } from '../../src/peer/connection.ts'
import type { WholeEvents } from '../../src/peer/incoming.ts'
import type { Message } from '../../src/peer/messages.ts'
import { OwnHoldings } from '../../src/peer/own-holdings.ts'
import { PieceServer } from '../../src/peer/piece-server.ts'
import { randomSecret } from '../../src/trust/keys.ts'
import { ownWord } from '../../src/trust/publication.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { CATALOG, emptyCatalog, HandPlayed, member, until } from '../support/members.ts'
import { MadePieces, MemoryServed } from '../support/memory-pieces.ts'

const catalog = emptyCatalog()
const { held, stored } = catalog

describe('ComingCatalogs', () => {
  const given = () => {
    const clock = new ManualClock()
    const told: Sha256Digest[] = []
    return { clock, told, coming: new ComingCatalogs(clock, (each) => told.push(each)) }
  }

  test('gives what has come and what comes, to everybody', async () => {
    const { coming, told } = given()
    const one = coming.begin(held, 3 * CHUNK_BYTES_MAX)
    expect(told).toEqual([held.sha256])
    one?.add(new Uint8Array(CHUNK_BYTES_MAX + 1).fill(1))
    const lengths: number[][] = [[], []]
    const readers = lengths.map(async (seen) => {
      const blob = coming.find(held.name)?.read(never)
      for await (const chunk of blob?.bytes() ?? []) seen.push(chunk.byteLength)
    })
    await Bun.sleep(1)
    expect(lengths).toEqual([
      [CHUNK_BYTES_MAX, 1],
      [CHUNK_BYTES_MAX, 1],
    ])
    one?.add(new Uint8Array(2 * CHUNK_BYTES_MAX - 1))
    await Promise.all(readers)
    expect(lengths[0]).toEqual([CHUNK_BYTES_MAX, 1, CHUNK_BYTES_MAX, CHUNK_BYTES_MAX - 1])
  })

  test('ends early what breaks off, and gives it to nobody else', async () => {
    const { coming } = given()
    const one = coming.begin(held, 100)
    one?.add(new Uint8Array(40))
    const blob = coming.find(held.name)?.read(never)
    one?.end()
    let bytes = 0
    for await (const chunk of blob?.bytes() ?? []) bytes += chunk.byteLength
    expect(bytes).toBe(40)
    expect(coming.find(held.name)).toBeUndefined()
  })

  test('ends with the signal of its reader', async () => {
    const { coming } = given()
    coming.begin(held, 100)
    const over = new AbortController()
    const blob = coming.find(held.name)?.read(over.signal)
    const reading = Array.fromAsync(blob?.bytes() ?? [])
    over.abort(new Error('gone'))
    await expect(reading).rejects.toThrow('gone')
  })

  test('keeps a whole one for a moment, few of them, and none that is too large', async () => {
    const { clock, coming, told } = given()
    const one = coming.begin(held, 1)
    expect(coming.begin(held, 1)).toBeUndefined()
    one?.add(new Uint8Array(1))
    one?.end()
    await clock.advance(COMING_CATALOGS_KEPT_MS - 1)
    expect(coming.digests()).toEqual([held.sha256])
    await clock.advance(1)
    expect(coming.digests()).toEqual([])
    expect(coming.begin(held, COMING_CATALOG_BYTES_MAX + 1)).toBeUndefined()
    expect(told).toHaveLength(1)
  })
})

// Who was sent its beginning would wait for ever, and nobody could be sent it later.
test('catalogBytes() ends what it sends on where a lane is lost, and sends on what begins anew', async () => {
  const coming = new ComingCatalogs(systemClock, () => {})
  const read: Promise<Uint8Array[]>[] = []
  const look = () => void read.push(Array.fromAsync(coming.find(held.name)?.read(never).bytes() ?? []))
  const source = {
    findCatalog: async (_held: unknown, { onBegun, onChunk }: WholeEvents) => {
      await Bun.sleep(0)
      for (const chunk of [stored.subarray(0, 5), stored]) {
        onBegun(stored.byteLength)
        onChunk(chunk)
        look()
      }
      return { name: held.name, stored, source: 'holder', announced: held.sha256 }
    },
  }
  const holder = { expectBulk: () => {}, remote: { version: 4 }, source } as unknown as PeerConnection
  await catalogBytes(holder, held, { members: () => [], subscribe: () => () => {}, coming }, never)
  const lengths = (await Promise.all(read)).map((chunks) => Buffer.concat(chunks).byteLength)
  expect(lengths).toEqual([5, stored.byteLength])
})

// A machine that looks for a catalog and serves others, one that holds it, and one that wants it, too.
describe('a machine that is being sent a catalog', () => {
  const VERSION = 4
  const part = (request: number, chunk: Uint8Array, { first = false, last = false }): Message => ({
    type: 'parts',
    parts: [{ request, index: 0, encoding: 'gzip', storedBytes: first ? stored.byteLength : undefined, last, chunk }],
  })
  const [begin, end] = [stored.subarray(0, 20), stored.subarray(20)]

  async function given(version = VERSION) {
    const secret = randomSecret()
    const served = new MemoryServed(held.sha256, new MadePieces([]), [])
    const pieceServer = new PieceServer({
      served,
      clock: systemClock,
      random: seededRandom(1),
      log: roomLogger('peer'),
    })
    const ownHoldings = new OwnHoldings(systemClock)
    const middle = member(secret, 'daemon', systemClock, { pieceServer, ownHoldings })
    const [holder, other] = [new HandPlayed(middle, secret, VERSION), new HandPlayed(middle, secret, version)]
    holder.say({ type: 'have', added: [held], removed: [] })
    await until(middle.swarm, () => middle.swarm.holdersOf(CATALOG) === 1 && middle.swarm.peers().length === 2)
    const found = middle.swarm.find(CATALOG, { waitMs: 0, judge: () => ownWord }, never)
    found.catch(() => {})
    const { request } = await holder.hear('catalog')
    holder.say({
      type: 'missing',
      request: (await holder.hear('signatures')).request,
      reason: 'not-held',
      indexes: [0],
    })
    return { secret, middle, holder, other, request, found }
  }

  const chunksOf = ({ heard }: HandPlayed) =>
    Buffer.concat(heard.flatMap((message) => (message.type === 'parts' ? message.parts.map(({ chunk }) => chunk) : [])))

  test('says so, also to who comes later, and sends it on as it comes', async () => {
    const { secret, middle, holder, other, request, found } = await given()
    holder.say(part(request, begin, { first: true }))
    expect(await other.hear('catalog-coming')).toMatchObject({ catalog: held.sha256 })
    const late = new HandPlayed(middle, secret, VERSION)
    expect(await late.hear('catalog-coming')).toMatchObject({ catalog: held.sha256 })
    other.say({ type: 'catalog', request: 0, name: CATALOG })
    await other.hear('parts')
    expect(chunksOf(other)).toEqual(Buffer.from(begin))
    holder.say(part(request, end, { last: true }))
    expect((await found)?.catalog.sha256).toBe(held.sha256)
    while (chunksOf(other).byteLength < stored.byteLength) await Bun.sleep(1)
    expect(chunksOf(other)).toEqual(Buffer.from(stored))
  })

  test('breaks off where it is broken off', async () => {
    const { holder, other, request } = await given()
    holder.say(part(request, begin, { first: true }))
    await other.hear('catalog-coming')
    other.say({ type: 'catalog', request: 0, name: CATALOG })
    await other.hear('parts')
    holder.say({ type: 'missing', request, reason: 'failed', indexes: [0] })
    expect(await other.hear('missing')).toMatchObject({ request: 0, reason: 'failed' })
  })

  test('says nothing of that to who speaks an earlier version', async () => {
    const { holder, other, request, found } = await given(3)
    holder.say(part(request, stored, { first: true, last: true }))
    expect((await found)?.catalog.sha256).toBe(held.sha256)
    await Bun.sleep(5)
    expect(other.heard.some(({ type }) => type === 'catalog-coming')).toBeFalse()
  })
})
