/** Hyperswarm over real UDP sockets on loopback, with a private DHT. */
import { afterEach, describe, expect, test } from 'bun:test'
import { never, systemClock } from '../../src/base/clock.ts'
import type { HostPort } from '../../src/base/host-port.ts'
import type { FrameLink } from '../../src/base/link.ts'
import { systemRandom } from '../../src/base/random.ts'
import type { Discovery } from '../../src/discovery/discovery.ts'
import { startHyperswarm } from '../../src/discovery/hyperswarm.ts'
import type { Refuses } from '../../src/discovery/hyperswarm-options.ts'
import { Admission } from '../../src/peer/admission.ts'
import { Bans } from '../../src/peer/bans.ts'
import { decodeMessage, encodeMessage } from '../../src/peer/codec.ts'
import { KeyRules } from '../../src/trust/key-rules.ts'
import {
  type Delegation,
  deriveSessionKey,
  fingerprint,
  type KeyPair,
  keyPairFrom,
  randomSecret,
} from '../../src/trust/keys.ts'
import { ownWord } from '../../src/trust/publication.ts'
import { CATALOG, connectedSwarm, emptyCatalog, until } from '../support/members.ts'

const started: AsyncDisposable[] = []
afterEach(async () => {
  await Promise.all(started.splice(0).map((each) => each[Symbol.asyncDispose]()))
})

let nextPort = 46_000 + Math.floor(performance.now() % 1000) * 8

async function start(
  mode: 'daemon' | 'client',
  bootstraps: readonly HostPort[],
  {
    keyPair = keyPairFrom(randomSecret()),
    delegation,
    refuses = () => false,
    port = nextPort++,
  }: {
    keyPair?: KeyPair
    delegation?: Delegation
    refuses?: Refuses
    port?: number
  } = {},
): Promise<Discovery> {
  const discovery = await startHyperswarm(
    {
      keyPair,
      mode,
      bootstraps,
      port,
      dht: 'private',
      delegation,
      secrets: () => [],
      multicast: false,
      refuses,
      clock: systemClock,
      random: systemRandom,
    },
    never,
  )
  started.push(discovery)
  return discovery
}

const loopbackOf = (discovery: Discovery): HostPort => ({
  host: '127.0.0.1',
  port: discovery.bootstrapAddresses[0]?.port ?? 0,
})

function nextLink(discovery: Discovery): Promise<FrameLink> {
  return new Promise((resolve) => discovery.onLink(resolve))
}

function nextFrame(link: FrameLink): Promise<string> {
  return new Promise((resolve) => link.onFrame((frame) => resolve(Buffer.from(frame).toString())))
}

describe('startHyperswarm()', () => {
  test('links a client with a daemon, and frames travel whole', async () => {
    const topic = randomSecret()
    const daemon = await start('daemon', [])
    await daemon.join(topic).flushed(never)
    const atDaemon = nextLink(daemon)
    const client = await start('client', [loopbackOf(daemon)])
    const atClient = nextLink(client)
    client.join(topic)
    const [left, right] = await Promise.all([atClient, atDaemon])

    expect(left.handshakeHash).toEqual(right.handshakeHash)
    expect(left.handshakeHash.byteLength).toBe(64)
    expect(left.remoteKey).toEqual(right.localKey)
    expect([left.initiator, right.initiator]).toEqual([true, false])
    expect(left.address).toMatch(/^[0-9.]+:\d+$/)
    const big = 'x'.repeat(200_000)
    left.send(Buffer.from(big))
    expect(await nextFrame(right)).toBe(big)
    left.close()
    expect(await right.closed).toBeUndefined()
  })

  // Goal: daemons that know one address between them form one DHT.
  // Method: B and C know A only; a client that knows C only meets all three.
  test('makes one DHT of three daemons that know one address', async () => {
    const topic = randomSecret()
    const daemonA = await start('daemon', [])
    daemonA.join(topic)
    const daemonB = await start('daemon', [loopbackOf(daemonA)])
    daemonB.join(topic)
    const daemonC = await start('daemon', [loopbackOf(daemonA)])
    daemonC.join(topic)
    const ports = [daemonA, daemonB, daemonC].map((each) => loopbackOf(each).port)
    expect(new Set(ports).size).toBe(3)

    const client = await start('client', [loopbackOf(daemonC)])
    const met = new Set<string>()
    const { promise, resolve } = Promise.withResolvers<void>()
    client.onLink((link) => {
      met.add(Buffer.from(link.remoteKey).toString('hex'))
      if (met.size === 3) resolve()
    })
    client.join(topic)
    await promise
    expect(met.size).toBe(3)
  })

  test('moves to the next port where its own is taken, and says so', async () => {
    const first = await start('daemon', [])
    const second = await start('daemon', [], { port: loopbackOf(first).port })
    expect(loopbackOf(second).port).toBe(loopbackOf(first).port + 1)
  })

  test('passes over a dead bootstrap and a name that does not resolve', async () => {
    const topic = randomSecret()
    const daemon = await start('daemon', [
      { host: '127.0.0.1', port: 9 },
      { host: 'no-such-host.invalid', port: 49737 },
    ])
    daemon.join(topic)
    const client = await start('client', [
      { host: 'no-such-host.invalid', port: 49737 },
      { host: '127.0.0.1', port: 9 },
      loopbackOf(daemon),
    ])
    const link = nextLink(client)
    client.join(topic)
    expect((await link).initiator).toBe(true)
  })

  test('finds a daemon that is named only later', async () => {
    const topic = randomSecret()
    const daemon = await start('daemon', [])
    daemon.join(topic)
    const client = await start('client', [])
    const other = await start('daemon', [])
    const links = Promise.all([nextLink(client), nextLink(other)])
    client.join(topic)
    other.join(topic)
    client.addBootstraps([loopbackOf(daemon)])
    other.addBootstraps([loopbackOf(daemon)])
    expect(await links).toHaveLength(2)
  })

  test('refuses a banned key', async () => {
    const topic = randomSecret()
    const banned = keyPairFrom(randomSecret())
    let asked = 0
    const daemon = await start('daemon', [], {
      refuses: (key) => {
        if (!Buffer.from(key).equals(banned.publicKey)) return false
        asked++
        return true
      },
    })
    const keys: Uint8Array[] = []
    daemon.onLink((link) => keys.push(link.remoteKey))
    await daemon.join(topic).flushed(never)
    const outcast = await start('client', [loopbackOf(daemon)], { keyPair: banned })
    outcast.join(topic)
    const friend = await start('client', [loopbackOf(daemon)])
    const link = nextLink(friend)
    await outcast.join(topic).flushed(never)
    friend.join(topic)
    await link
    expect(asked).toBeGreaterThan(0)
    expect(keys.some((key) => Buffer.from(key).equals(banned.publicKey))).toBe(false)
  })

  // Goal: an allow-list decides at the firewall for commands too, which call under keys of their own. Method: three
  // callers, one of the machine on the list; the daemon sees no link of the others, and so no hello.
  test('lets a process in by the word of its machine, and answers no other', async () => {
    const topic = randomSecret()
    const [friend, other] = [keyPairFrom(randomSecret()), keyPairFrom(randomSecret())]
    const admission = new Admission(
      new KeyRules({ allow: [fingerprint(friend.publicKey)], ban: [] }),
      new Bans(systemClock),
    )
    const asked: string[] = []
    const daemon = await start('daemon', [], {
      refuses: (key, delegation) => {
        const refused = admission.refuses(key, delegation)
        asked.push(refused ? 'refused' : 'let in')
        return refused
      },
    })
    const keys: string[] = []
    daemon.onLink((link) => keys.push(Buffer.from(link.remoteKey).toString('hex')))
    await daemon.join(topic).flushed(never)
    const process = deriveSessionKey(friend, randomSecret())
    const pretender = { ...process, keyPair: keyPairFrom(randomSecret()) }
    for (const outcast of [deriveSessionKey(other, randomSecret()), pretender]) {
      const before = asked.length
      const discovery = await start('client', [loopbackOf(daemon)], outcast)
      discovery.join(topic)
      while (asked.length === before) await Bun.sleep(10)
    }
    const client = await start('client', [loopbackOf(daemon)], process)
    const link = nextLink(client)
    client.join(topic)
    await link
    expect(new Set(asked.slice(0, -1))).toEqual(new Set(['refused']))
    expect(keys).toEqual([Buffer.from(process.keyPair.publicKey).toString('hex')])
  })

  // Goal: what is announced for itself is found without a common topic. Method: the two share no other one, and the
  // announcement is sought twice: before it is there, and after.
  test('calls who is announced under a topic that is sought', async () => {
    const [topic, common] = [randomSecret(), randomSecret()]
    const daemon = await start('daemon', [])
    await daemon.join(common).flushed(never)
    const holder = await start('daemon', [loopbackOf(daemon)])
    const link = nextLink(holder)
    const client = await start('client', [loopbackOf(daemon)])
    const linked = nextLink(client)
    await client.join(common).flushed(never)
    await linked
    expect(await client.seek(topic, never)).toBe(0)
    await holder.announce(topic).flushed(never)
    expect(await client.seek(topic, never)).toBe(1)
    expect((await link).initiator).toBe(false)
  })

  // Goal: who was refused is welcome as soon as the rules say so, though Hyperswarm remembers whom it refused for good.
  test('calls at once whom new rules let in', async () => {
    const topic = randomSecret()
    const keyPair = keyPairFrom(randomSecret())
    const admission = new Admission(
      new KeyRules({ allow: [], ban: [fingerprint(keyPair.publicKey)] }),
      new Bans(systemClock),
    )
    const daemon = await start('daemon', [], { keyPair })
    await daemon.join(topic).flushed(never)
    let refused = 0
    const careful = await start('daemon', [loopbackOf(daemon)], {
      refuses: (key) => {
        const refuses = admission.refuses(key)
        if (refuses) refused++
        return refuses
      },
    })
    const link = nextLink(careful)
    careful.join(topic)
    while (refused === 0) await Bun.sleep(10)
    admission.follow(new KeyRules({ allow: [], ban: [] }))
    careful.reconsider()
    expect(Buffer.from((await link).remoteKey).equals(keyPair.publicKey)).toBe(true)
  })

  test('ends within two seconds, also when its network is gone', async () => {
    const topic = randomSecret()
    const daemon = await start('daemon', [])
    const client = await start('daemon', [loopbackOf(daemon)])
    const link = nextLink(client)
    await Promise.all([daemon.join(topic).flushed(never), client.join(topic).flushed(never)])
    await link
    await daemon[Symbol.asyncDispose]()
    const startMs = performance.now()
    await client[Symbol.asyncDispose]()
    expect(performance.now() - startMs).toBeLessThan(2_000)
  })
})

// Goal: the whole of it, on real sockets: two holders and a client with the secret; what one lacks the other sends.
test('two daemons and a client exchange a catalog and blobs', async () => {
  const secret = randomSecret()
  const topic = randomSecret()
  const daemonA = await start('daemon', [])
  const seed = connectedSwarm(secret, 'daemon', daemonA)
  await daemonA.join(topic).flushed(never)
  const daemonB = await start('daemon', [loopbackOf(daemonA)])
  const second = connectedSwarm(secret, 'daemon', daemonB)
  daemonB.join(topic)
  const catalog = emptyCatalog()
  for (const { library } of [seed, second]) library.hold(catalog)
  const refs = Array.from({ length: 200 }, (_, index) => seed.library.add(Buffer.from(`blob ${index} `.repeat(index))))

  const network = await start('client', [loopbackOf(daemonA)])
  const client = connectedSwarm(secret, 'client', network)
  network.join(topic)
  const found = await client.swarm.find(CATALOG, { waitMs: 5_000, judge: () => ownWord }, never)
  expect(found?.catalog.sha256).toBe(catalog.held.sha256)
  const sources = client.swarm.sourcesFor(catalog.held.sha256, [])
  await until(client.swarm, () => client.swarm.peers().filter(({ catalogs }) => catalogs > 0).length === 2)
  const holder = await Promise.any(
    sources.list().map(async (source) => {
      const held = await source.has(
        refs.map(({ digest }) => digest),
        never,
      )
      if (held.size !== refs.length) throw new Error('holds none')
      return source
    }),
  )
  const sizes = await Promise.all(
    refs.map(async (ref) => {
      const stream = await holder.get(ref, never)
      let bytes = 0
      for await (const chunk of stream?.bytes ?? []) bytes += chunk.byteLength
      return bytes
    }),
  )
  expect(sizes).toEqual(refs.map(({ sizeBytes }) => sizeBytes))
  await client.swarm[Symbol.asyncDispose]()
})

// Goal: a topic is no secret; whoever only knows it is connected, greeted, and sent away.
test('a stranger with the topic, but not the secret, is told nothing', async () => {
  const topic = randomSecret()
  const daemon = await start('daemon', [])
  const seed = connectedSwarm(randomSecret(), 'daemon', daemon)
  seed.library.hold(emptyCatalog())
  await daemon.join(topic).flushed(never)
  const stranger = await start('client', [loopbackOf(daemon)])
  const linked = nextLink(stranger)
  stranger.join(topic)
  const link = await linked
  const heard: string[] = []
  link.onFrame((frame) => heard.push(decodeMessage(frame).type))
  link.send(encodeMessage({ type: 'catalog', request: 0, name: CATALOG }))
  await link.closed
  expect(heard).toEqual(['hello', 'bye'])
  expect(seed.swarm.peers()).toEqual([])
})
