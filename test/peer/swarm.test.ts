/** Members in one process, over in-memory links: what is found, fetched, refused and dropped. */
import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { never, systemClock } from '../../src/base/clock.ts'
import { HoloError } from '../../src/base/errors.ts'
import { MAJORITY_GRACE_MS, MAJORITY_TOLD_MS, PEER_CREDIT_BYTES, PEERS_MAX } from '../../src/base/limits.ts'
import type { Sha256Digest } from '../../src/blob/digest.ts'
import type { BlobRef, BlobSource } from '../../src/blob/source.ts'
import type { Part } from '../../src/peer/messages.ts'
import { KeyRules } from '../../src/trust/key-rules.ts'
import { deriveSessionKey, fingerprint, randomSecret } from '../../src/trust/keys.ts'
import { ownWord } from '../../src/trust/publication.ts'
import { anyMessage } from '../support/any-message.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { CATALOG, connect, emptyCatalog, HandPlayed, type Member, member, until } from '../support/members.ts'
import { runs } from '../support/runs.ts'

const secret = randomSecret()
const catalog = emptyCatalog()

async function read(source: BlobSource, ref: BlobRef, signal = never): Promise<Buffer | undefined> {
  const stream = await source.get(ref, signal)
  if (stream === undefined) return undefined
  const chunks: Uint8Array[] = []
  for await (const chunk of stream.bytes) chunks.push(chunk)
  const stored = Buffer.concat(chunks)
  return stream.encoding === 'gzip' ? Buffer.from(Bun.gunzipSync(stored)) : stored
}

async function sourceOf(client: Member): Promise<BlobSource> {
  const sources = client.swarm.sourcesFor(catalog.held.sha256, [])
  await until(client.swarm, () => client.swarm.isHeld(catalog.held.sha256))
  return sources.list()[0] as BlobSource
}

/** A client with one holder of the catalog. */
async function linked(): Promise<{ seed: Member; client: Member; source: BlobSource }> {
  const [seed, client] = [member(secret), member(secret, 'client')]
  seed.library.hold(catalog)
  connect(client, seed)
  return { seed, client, source: await sourceOf(client) }
}

/** A client with one holder that the test plays by hand. */
async function handPlayed(clock = systemClock as ManualClock | typeof systemClock) {
  const client = member(secret, 'client', clock)
  const peer = new HandPlayed(client, secret)
  peer.say({ type: 'have', added: [catalog.held], removed: [] })
  return { client, peer, source: await sourceOf(client) }
}

const failure = (promise: Promise<unknown>): Promise<HoloError> =>
  promise.then(
    () => expect.unreachable(),
    (error) => {
      if (error instanceof HoloError) return error
      throw error
    },
  )

const ref = (text: string): BlobRef => member(secret).library.add(Buffer.from(text))
const answer = (parts: readonly Partial<Part>[]) => ({
  type: 'parts' as const,
  parts: parts.map((part) => ({
    request: 0,
    index: 0,
    encoding: 'identity' as const,
    storedBytes: undefined,
    last: false,
    chunk: new Uint8Array(),
    ...part,
  })),
})

describe('PeerSource', () => {
  test('fetches blobs of every size and form, many at once', async () => {
    const { seed, source } = await linked()
    const contents = [0, 1, 100, 65_535, 65_536, 65_537, 1_048_576, 3_000_000, 9_000_000].map((size) =>
      crypto
        .getRandomValues(Buffer.alloc(Math.min(size, 65_536)))
        .toString('latin1')
        .repeat(Math.max(1, size >> 16))
        .slice(0, size),
    )
    const all = [...contents, ...Array.from({ length: 500 }, (_, index) => `small ${index}`)]
    const refs = all.map((text, index) =>
      seed.library.add(Buffer.from(text, 'latin1'), index % 2 === 0 ? 'gzip' : 'identity'),
    )
    const got = await Promise.all(refs.map((each) => read(source, each)))
    expect(got.map((bytes) => bytes?.toString('latin1').length)).toEqual(all.map((text) => text.length))
    expect(got.every((bytes, index) => bytes?.equals(Buffer.from(all[index] ?? '', 'latin1')))).toBe(true)
  })

  test('gives undefined for what the peer does not hold, and has() tells beforehand', async () => {
    const { seed, source } = await linked()
    const held = Array.from({ length: 1500 }, (_, index) => seed.library.add(Buffer.from(`held ${index}`)))
    const missing = ref('missing')
    expect(await read(source, missing)).toBeUndefined()
    const has = await source.has([...held.map(({ digest }) => digest), missing.digest], never)
    expect(has.size).toBe(1500)
    expect(has.has(missing.digest)).toBe(false)
  })

  test('asks for what is wanted in one tick with one question', async () => {
    const { peer, source } = await handPlayed()
    const refs = ['a', 'b', 'c'].map(ref)
    const got = Promise.all(refs.map((each) => read(source, each)))
    const want = await peer.hear('want')
    expect(want.digests).toEqual(refs.map(({ digest }) => digest as Sha256Digest))
    peer.say(
      answer(['a', 'b', 'c'].map((text, index) => ({ index, storedBytes: 1, last: true, chunk: Buffer.from(text) }))),
    )
    expect((await got).join('')).toBe('abc')
  })

  test('ends with signal.reason when it is cancelled, tells the peer, and goes on with others', async () => {
    const { peer, source } = await handPlayed()
    const cancel = new AbortController()
    const first = read(source, ref('first'), cancel.signal)
    const second = read(source, ref('other'))
    await peer.hear('want')
    cancel.abort(new Error('enough'))
    await expect(first).rejects.toThrow('enough')
    expect(await peer.hear('cancel')).toMatchObject({ request: 0, indexes: [0] })
    // What was on its way is let pass; the end of it is confirmed.
    peer.say(answer([{ index: 0, storedBytes: 5, chunk: Buffer.from('fi') }]))
    peer.say({ type: 'missing', request: 0, reason: 'cancelled', indexes: [0] })
    peer.say(answer([{ index: 1, storedBytes: 5, last: true, chunk: Buffer.from('other') }]))
    expect((await second)?.toString()).toBe('other')
  })

  test('cancels a large blob in the middle, and the server confirms it', async () => {
    const { seed, source } = await linked()
    const large = seed.library.add(crypto.getRandomValues(Buffer.alloc(65_536)))
    seed.library.blobs.set(large.digest, { encoding: 'gzip', bytes: new Uint8Array(20_000_000) })
    const stream = await source.get({ ...large, sizeBytes: 20_000_000 }, never)
    for await (const chunk of stream?.bytes ?? []) {
      expect(chunk.byteLength).toBeGreaterThan(0)
      break
    }
    // Far more than the credit was left; all of it would not have come.
    const small = seed.library.add(Buffer.from('small'))
    expect((await read(source, small))?.toString()).toBe('small')
    expect(seed.swarm.peers()[0]?.sentBytes).toBeLessThan(10_000_000)
  })

  // Goal: a slow disk here never fills memory: the peer stops when its credit is used up.
  test('takes no more than the credit while nobody reads', async () => {
    const { seed, source } = await linked()
    const bytes = new Uint8Array(20_000_000)
    const big = seed.library.add(bytes)
    const stream = await source.get(big, never)
    const idle = seed.library.add(Buffer.from('x'))
    const blocked = read(source, idle)
    for (let turn = 0; turn < 2000; turn++) await new Promise((resolve) => setImmediate(resolve))
    expect(seed.swarm.peers()[0]?.sentBytes).toBeLessThanOrEqual(PEER_CREDIT_BYTES)
    let got = 0
    for await (const chunk of stream?.bytes ?? []) got += chunk.byteLength
    expect(got).toBe(bytes.byteLength)
    expect((await blocked)?.toString()).toBe('x')
  })

  test('gives a peer up that owes something and sends nothing for ten seconds', async () => {
    const clock = new ManualClock()
    const { client, peer, source } = await handPlayed(clock)
    const failed = failure(read(source, ref('never comes')))
    await peer.hear('want')
    await clock.advance(9_000)
    expect(client.swarm.peers()).toHaveLength(1)
    await clock.advance(2_000)
    expect(await failed).toMatchObject({ code: 'peer-stalled', blame: 'source' })
    expect((await failed).message).toStartWith(`Peer ${source.name.slice(5)}`)
    expect(await peer.hear('bye')).toMatchObject({ code: 'stalled' })
    expect(client.swarm.peers()).toHaveLength(0)
    expect(client.swarm.isBanned(peer.keys.publicKey)).toBe(false)
  })

  test('fails what is under way when the connection is lost', async () => {
    const { peer, source } = await handPlayed()
    const failed = failure(read(source, ref('cut off')))
    await peer.hear('want')
    peer.link.destroy()
    expect(await failed).toMatchObject({ code: 'peer-lost', blame: 'source' })
    expect(await failure(read(source, ref('too late')))).toMatchObject({ code: 'peer-lost' })
  })

  test('refuses a blob whose size cannot be right, without blaming the connection', async () => {
    const { client, peer, source } = await handPlayed()
    const wrong = failure(read(source, ref('five.')))
    const right = read(source, ref('right'))
    await peer.hear('want')
    peer.say(answer([{ index: 0, storedBytes: 1_000_000, chunk: Buffer.alloc(10) }]))
    expect(await wrong).toMatchObject({ code: 'blob-size-wrong', blame: 'source' })
    await peer.hear('cancel')
    peer.say({ type: 'missing', request: 0, reason: 'cancelled', indexes: [0] })
    peer.say(answer([{ index: 1, storedBytes: 5, last: true, chunk: Buffer.from('right') }]))
    expect((await right)?.toString()).toBe('right')
    expect(client.swarm.peers()).toHaveLength(1)
  })

  // Goal: answers that fit no question end the connection and shut the peer out.
  const violations: Record<string, Part[]> = {
    'a blob that nobody asked for': answer([{ request: 7, storedBytes: 1, last: true, chunk: Buffer.from('x') }]).parts,
    'a number that nobody asked for': answer([{ index: 3, storedBytes: 1, last: true, chunk: Buffer.from('x') }]).parts,
    'a middle without a beginning': answer([{ chunk: Buffer.from('x') }]).parts,
    'two beginnings': answer([
      { storedBytes: 5, chunk: Buffer.from('x') },
      { storedBytes: 5, chunk: Buffer.from('x') },
    ]).parts,
    'more bytes than told': answer([{ storedBytes: 5, last: true, chunk: Buffer.from('123456') }]).parts,
    'fewer bytes than told': answer([{ storedBytes: 5, last: true, chunk: Buffer.from('1234') }]).parts,
    'an empty chunk that ends nothing': answer([{ storedBytes: 5 }]).parts,
  }
  for (const [what, parts] of Object.entries(violations)) {
    test(`ends at ${what}`, async () => {
      const { client, peer, source } = await handPlayed()
      const failed = failure(read(source, ref('12345')))
      await peer.hear('want')
      peer.say({ type: 'parts', parts })
      expect(await failed).toMatchObject({ code: 'protocol-violation', blame: 'source' })
      expect(await peer.hear('bye')).toMatchObject({ code: 'protocol-violation' })
      expect(client.swarm.isBanned(peer.keys.publicKey)).toBe(true)
    })
  }

  test('ends at more bytes than credit', async () => {
    const { client, peer, source } = await handPlayed()
    const big = { ...ref('big'), sizeBytes: 1 << 30 }
    const stream = source.get(big, never)
    await peer.hear('want')
    peer.say(answer([{ storedBytes: big.sizeBytes, chunk: new Uint8Array(65_536) }]))
    await stream
    for (let sent = 0; sent <= PEER_CREDIT_BYTES; sent += 65_536) peer.say(answer([{ chunk: new Uint8Array(65_536) }]))
    expect(await peer.hear('bye')).toMatchObject({ code: 'protocol-violation' })
    expect(client.swarm.isBanned(peer.keys.publicKey)).toBe(true)
  })
})

describe('FleetSwarm', () => {
  // Goal: no order of messages, each well-formed, crashes a member or makes it forget its bounds.
  // Method: a proved member says anything while something is owed to us; in the end it is either there or shut out.
  test('stands anything that a proved member says', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyMessage, { minLength: 1, maxLength: 12 }), async (messages) => {
        const { client, peer, source } = await handPlayed()
        const owed = read(source, ref('owed')).then(
          () => 'done',
          (error) => (error instanceof HoloError ? 'failed' : Promise.reject(error)),
        )
        await peer.hear('want')
        for (const message of messages) peer.say(message)
        for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
        const ended = peer.heard.some(({ type }) => type === 'bye') || messages.some(({ type }) => type === 'bye')
        expect(client.swarm.peers()).toHaveLength(ended ? 0 : 1)
        peer.link.destroy()
        expect(['done', 'failed']).toContain(await owed)
      }),
      { numRuns: runs(100) },
    )
  })

  // Goal: one who knows the topic, and so gets a connection, but not the secret, learns nothing and gets nothing.
  test('tells a stranger nothing', async () => {
    const seed = member(secret)
    seed.library.hold(catalog)
    const blob = seed.library.add(Buffer.from('treasure'))
    for (const other of [undefined, randomSecret()]) {
      const stranger = new HandPlayed(seed, other)
      stranger.say({ type: 'catalog', request: 0, name: CATALOG })
      stranger.say({ type: 'want', request: 1, digests: [blob.digest] })
      stranger.say({ type: 'ask', request: 2, digests: [blob.digest] })
      await stranger.link.closed
      expect(stranger.heard.map(({ type }) => type)).toEqual(['hello', 'bye'])
      expect(seed.swarm.peers()).toEqual([])
    }
  })

  test('drops one who says nothing at all', async () => {
    const clock = new ManualClock()
    const seed = member(secret, 'daemon', clock)
    const silent = new HandPlayed(seed, undefined)
    await clock.advance(4_900)
    await clock.advance(200)
    await silent.link.closed
    expect(silent.heard.map(({ type }) => type)).toEqual(['hello'])
  })

  test('finds a catalog, also one that appears only while it waits', async () => {
    const [seed, client] = [member(secret), member(secret, 'client')]
    connect(client, seed)
    const found = client.swarm.find(CATALOG, { waitMs: 10_000, judge: () => ownWord }, never)
    await until(client.swarm, () => client.swarm.peers().length === 1)
    seed.library.hold(catalog)
    expect(await found).toMatchObject({ catalog: { name: CATALOG, sha256: catalog.held.sha256 }, warnings: [] })
    seed.library.release(CATALOG)
    await until(client.swarm, () => client.swarm.peers()[0]?.catalogs === 0)
    expect(await client.swarm.find(CATALOG, { waitMs: 0, judge: () => ownWord }, never)).toBeUndefined()
  })

  test('gives up waiting when told to', async () => {
    const client = member(secret, 'client')
    const cancel = new AbortController()
    const found = client.swarm.find(CATALOG, { waitMs: 10_000, judge: () => ownWord }, cancel.signal)
    cancel.abort(new Error('enough'))
    await expect(found).rejects.toThrow('enough')
  })

  test('believes the majority where members differ, and names the others', async () => {
    const client = member(secret, 'client')
    const members = [member(secret), member(secret), member(secret)]
    const rare = emptyCatalog('v0.0.0')
    for (const [index, each] of members.entries()) {
      each.library.hold(index === 1 ? rare : catalog)
      connect(client, each)
    }
    await until(
      client.swarm,
      () => client.swarm.peers().every(({ catalogs }) => catalogs === 1) && client.swarm.peers().length === 3,
    )
    const found = await client.swarm.find(CATALOG, { waitMs: 0, judge: () => ownWord }, never)
    expect(found?.catalog.sha256).toBe(catalog.held.sha256)
    const odd = client.swarm.sourcesFor(rare.held.sha256, []).list()[0]?.name
    expect(found?.warnings).toEqual([expect.stringContaining(`not ${odd}`)])
    expect(client.swarm.sourcesFor(catalog.held.sha256, []).list()).toHaveLength(2)
    // The local one wins against any majority.
    const local = await client.swarm.find(CATALOG, { waitMs: 0, judge: () => ownWord, local: rare.held.sha256 }, never)
    expect(local?.catalog.sha256).toBe(rare.held.sha256)
  })

  // Goal: no wait where nobody else is coming, and no belief in whoever came first where somebody is. Method: the clock
  // stands still; a liar is here, two honest ones come before, or after, those on the way are said to be through.
  test('hears those who are on the way before it believes a majority, and waits for nobody else', async () => {
    for (const comes of ['in time', 'too late'] as const) {
      const clock = new ManualClock()
      const client = member(secret, 'client', clock)
      const rare = emptyCatalog('v0.0.0')
      const [first, ...others] = [member(secret), member(secret), member(secret)]
      first.library.hold(rare)
      connect(client, first)
      await until(client.swarm, () => client.swarm.isHeld(rare.held.sha256))
      const through = Promise.withResolvers<void>()
      let found: Sha256Digest | undefined
      const wish = { waitMs: 10_000, judge: () => ownWord, settled: () => through.promise }
      const finding = client.swarm.find(CATALOG, wish, never).then((each) => {
        found = each?.catalog.sha256
      })
      await clock.advance(MAJORITY_TOLD_MS + 5)
      expect(found).toBeUndefined()
      const come = async () => {
        for (const each of others) {
          each.library.hold(catalog)
          connect(client, each)
        }
        await until(client.swarm, () => client.swarm.peers().filter(({ catalogs }) => catalogs > 0).length === 3)
      }
      if (comes === 'in time') await come()
      through.resolve()
      await clock.advance(MAJORITY_TOLD_MS)
      await finding
      expect(found).toBe(comes === 'in time' ? catalog.held.sha256 : rare.held.sha256)
      expect(clock.nowMs()).toBeLessThan(MAJORITY_GRACE_MS)
    }
  })

  test('waits its time out where it cannot be told who is on the way', async () => {
    const clock = new ManualClock()
    const client = member(secret, 'client', clock)
    const seed = member(secret)
    seed.library.hold(catalog)
    connect(client, seed)
    await until(client.swarm, () => client.swarm.isHeld(catalog.held.sha256))
    const settled = () => Promise.reject(new Error('the look-up has failed'))
    let isFound = false
    const finding = client.swarm.find(CATALOG, { waitMs: 10_000, judge: () => ownWord, settled }, never).then(() => {
      isFound = true
    })
    await clock.advance(MAJORITY_GRACE_MS - 1)
    expect(isFound).toBe(false)
    await clock.advance(1)
    await finding
  })

  test('drops a member that sends another catalog than it announced, and takes it from the next', async () => {
    const client = member(secret, 'client')
    const [liar, honest] = [member(secret), member(secret)]
    liar.library.held.set(CATALOG, { held: catalog.held, stored: emptyCatalog('v6.6.6').stored })
    honest.library.hold(catalog)
    connect(client, liar)
    connect(client, honest)
    await until(client.swarm, () => client.swarm.peers().filter(({ catalogs }) => catalogs > 0).length === 2)
    const found = await client.swarm.find(CATALOG, { waitMs: 1_000, judge: () => ownWord }, never)
    expect(found?.catalog.sha256).toBe(catalog.held.sha256)
    expect(found?.warnings.some((warning) => warning.includes('is not the one that was announced'))).toBe(true)
    expect(client.swarm.isBanned(liar.keys.publicKey)).toBe(true)
  })

  test('never talks again to a peer that was dropped', async () => {
    const { seed, client, source } = await linked()
    client.swarm.drop(source.name, new HoloError('it lied', { code: 'blob-corrupt', blame: 'source' }))
    expect(client.swarm.sourcesFor(catalog.held.sha256, []).list()).toEqual([])
    connect(client, seed)
    expect(client.swarm.peers()).toEqual([])
    expect(client.swarm.isBanned(seed.keys.publicKey)).toBe(true)
  })

  test('lets in only whom the allow-list names, and calls nobody else', async () => {
    const friend = member(secret)
    const rules = new KeyRules({ allow: [fingerprint(friend.keys.publicKey)], ban: [] })
    const careful = member(secret, 'daemon', systemClock, { rules })
    const other = member(secret)
    expect(careful.swarm.refuses(other.keys.publicKey)).toBe(true)
    expect(careful.swarm.refuses(friend.keys.publicKey)).toBe(false)
    // A process of the friend, and others that say to be one.
    const { keyPair, delegation } = deriveSessionKey(friend.keys, randomSecret())
    expect(careful.swarm.refuses(keyPair.publicKey, delegation)).toBe(false)
    expect(careful.swarm.refuses(keyPair.publicKey)).toBe(true)
    expect(careful.swarm.refuses(other.keys.publicKey, delegation)).toBe(true)
    expect(careful.swarm.refuses(friend.keys.publicKey, deriveSessionKey(other.keys, randomSecret()).delegation)).toBe(
      true,
    )
    const sentAway = new HandPlayed(careful, secret)
    expect(await sentAway.hear('bye')).toMatchObject({ code: 'dropped' })
    connect(friend, careful)
    await until(careful.swarm, () => careful.swarm.peers().length === 1)
    expect(careful.swarm.peers()[0]?.machineKey).toEqual(friend.keys.publicKey)
  })

  test('shuts out whom the ban-list names, before a word is said', () => {
    const outcast = member(secret)
    const rules = new KeyRules({ allow: [], ban: [fingerprint(outcast.keys.publicKey)] })
    const careful = member(secret, 'daemon', systemClock, { rules })
    expect(careful.swarm.isBanned(outcast.keys.publicKey)).toBe(true)
    expect(careful.swarm.refuses(outcast.keys.publicKey)).toBe(true)
    const { keyPair, delegation } = deriveSessionKey(outcast.keys, randomSecret())
    expect(careful.swarm.refuses(keyPair.publicKey, delegation)).toBe(true)
    connect(outcast, careful)
    expect([careful.swarm.peers(), outcast.swarm.peers()]).toEqual([[], []])
  })

  // Goal: whoever has come for something that only this machine holds gets in, however many are there. Method: as many as
  // it takes, the longest there waiting for a blob that never comes; then two more.
  test('makes room by parting with a daemon with which nothing is under way', async () => {
    const seed = member(secret)
    const present: HandPlayed[] = []
    while (present.length < PEERS_MAX) {
      present.push(new HandPlayed(seed, secret))
      await until(seed.swarm, () => seed.swarm.peers().length === present.length)
    }
    const [busy, idle, next] = present
    const owed = seed.swarm.sourcesFor(catalog.held.sha256, [])
    busy?.say({ type: 'have', added: [catalog.held], removed: [] })
    await until(seed.swarm, () => seed.swarm.isHeld(catalog.held.sha256))
    void owed
      .list()[0]
      ?.get(ref('never comes'), never)
      .catch(() => {})
    await busy?.hear('want')
    for (const parting of [idle, next]) {
      const late = new HandPlayed(seed, secret)
      expect(await parting?.hear('bye')).toMatchObject({ code: 'leaving' })
      await late.hear('hello')
      await until(seed.swarm, () =>
        seed.swarm.peers().some(({ machineKey }) => late.keys.publicKey.every((byte, at) => byte === machineKey[at])),
      )
    }
    expect(seed.swarm.peers()).toHaveLength(PEERS_MAX)
    expect(busy?.heard.some(({ type }) => type === 'bye')).toBe(false)
  })

  test('parts at once with members that new rules refuse, and keeps the others', async () => {
    const seed = member(secret)
    const [out, kept] = [new HandPlayed(seed, secret), new HandPlayed(seed, secret)]
    await until(seed.swarm, () => seed.swarm.peers().length === 2)
    seed.swarm.follow(new KeyRules({ allow: [], ban: [fingerprint(out.keys.publicKey)] }))
    expect(await out.hear('bye')).toMatchObject({ code: 'dropped' })
    expect(seed.swarm.peers().map(({ machineKey }) => machineKey)).toEqual([Uint8Array.from(kept.keys.publicKey)])
    seed.swarm.follow(new KeyRules({ allow: [], ban: [] }))
    expect(seed.swarm.refuses(out.keys.publicKey)).toBe(false)
  })

  test('parts with members whose secret counts no more, and keeps the others', async () => {
    const next = randomSecret()
    let secrets = [next, secret]
    const seed = member(secret, 'daemon', systemClock, { secrets: () => secrets })
    const [old, fresh] = [new HandPlayed(seed, secret), new HandPlayed(seed, next)]
    await until(seed.swarm, () => seed.swarm.peers().length === 2)
    seed.swarm.dropOutsiders()
    expect(seed.swarm.peers()).toHaveLength(2)
    secrets = [next]
    seed.swarm.dropOutsiders()
    expect(await old.hear('bye')).toMatchObject({ code: 'not-a-member' })
    expect(seed.swarm.peers().map(({ machineKey }) => machineKey)).toEqual([Uint8Array.from(fresh.keys.publicKey)])
  })

  test('says goodbye when it ends', async () => {
    const { seed, client } = await linked()
    await client.swarm[Symbol.asyncDispose]()
    await until(seed.swarm, () => seed.swarm.peers().length === 0)
  })

  test('serves several peers at once', async () => {
    const seed = member(secret)
    seed.library.hold(catalog)
    const refs = Array.from({ length: 300 }, (_, index) => seed.library.add(Buffer.alloc(5_000, index)))
    const big = seed.library.add(crypto.getRandomValues(Buffer.alloc(65_536)))
    seed.library.blobs.set(big.digest, { encoding: 'gzip', bytes: new Uint8Array(50_000_000) })
    const [greedy, modest] = [member(secret, 'client'), member(secret, 'client')]
    connect(greedy, seed)
    connect(modest, seed)
    let greedyDone = false
    const [fromGreedy, fromModest] = [await sourceOf(greedy), await sourceOf(modest)]
    const stream = await fromGreedy.get({ ...big, sizeBytes: 50_000_000 }, never)
    const draining = (async () => {
      for await (const _ of stream?.bytes ?? []);
      greedyDone = true
    })()
    const got = await Promise.all(refs.map((each) => read(fromModest, each)))
    expect(greedyDone).toBe(false)
    expect(got.every((bytes) => bytes?.byteLength === 5_000)).toBe(true)
    await draining
  })
})
