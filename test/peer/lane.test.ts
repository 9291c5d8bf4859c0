/** Members that fetch over lanes: real TCP beside in-memory sessions. */
import { afterEach, describe, expect, test } from 'bun:test'
import { never, systemClock } from '../../src/base/clock.ts'
import { HoloError } from '../../src/base/errors.ts'
import type { LaneLink, Lanes } from '../../src/base/lane.ts'
import { LANE_QUEUE_BYTES } from '../../src/base/lane-limits.ts'
import { emptyTotals, fetchAll } from '../../src/blob/fetch-all.ts'
import { callLane } from '../../src/lane/call.ts'
import { startLanes } from '../../src/lane/tcp-lanes.ts'
import { decodeMessage, encodeMessage } from '../../src/peer/codec.ts'
import type { Message } from '../../src/peer/messages.ts'
import { keyPairFrom, randomSecret } from '../../src/trust/keys.ts'
import { signLaneCall } from '../../src/trust/lane-call.ts'
import { ownWord } from '../../src/trust/publication.ts'
import { CATALOG, connect, emptyCatalog, HandPlayed, type Member, member, until } from '../support/members.ts'
import { MemoryStore } from '../support/memory-blobs.ts'

const secret = randomSecret()
const catalog = emptyCatalog()
const opened: AsyncDisposable[] = []
afterEach(async () => {
  for (const each of opened.splice(0)) await each[Symbol.asyncDispose]()
})

interface LaneMember extends Member {
  /** Lanes that this member has opened. */
  readonly links: LaneLink[]
}

interface Meddling {
  /** Told instead of the port that is listened on. */
  readonly port?: number
  /** Called for every lane that was opened. */
  readonly onLink?: (link: LaneLink) => void
}

/** A member with lanes over real TCP: a daemon is called, both call. */
function laneMember(role: 'daemon' | 'client', { port, onLink }: Meddling = {}): LaneMember {
  const real = startLanes(role === 'daemon' ? 0 : undefined, LANE_QUEUE_BYTES, systemClock)
  opened.push(real)
  const links: LaneLink[] = []
  const lanes: Lanes = {
    own: real.own === undefined ? undefined : { certificate: real.own.certificate, port: port ?? real.own.port },
    admit: (gate) => real.admit(gate),
    open: async (...call) => {
      const link = await real.open(...call)
      links.push(link)
      onLink?.(link)
      return link
    },
    [Symbol.asyncDispose]: () => real[Symbol.asyncDispose](),
  }
  return {
    ...member(secret, role, systemClock, { lanes: { lanes, keyPair: keyPairFrom(randomSecret()) } }),
    links,
  }
}

function contentsOf(count: number, bytes = 20_000): Uint8Array[] {
  return Array.from({ length: count }, (_, index) => Buffer.alloc(bytes, `${index},`))
}

function fill(holder: Member, contents: readonly Uint8Array[]) {
  holder.library.hold(catalog)
  return contents.map((content) => holder.library.add(content))
}

async function sourcesOf(client: Member, holders: number) {
  const sources = client.swarm.sourcesFor(catalog.held.sha256, [])
  await until(client.swarm, () => client.swarm.peers().filter(({ catalogs }) => catalogs > 0).length === holders)
  return { ...sources, graceMs: 0 }
}

async function fetchOver(client: Member, holder: Member, contents: readonly Uint8Array[]) {
  const refs = fill(holder, contents)
  connect(client, holder, '127.0.0.1')
  const sources = await sourcesOf(client, 1)
  const [store, totals] = [new MemoryStore(), emptyTotals()]
  await fetchAll(refs, { store, sources }, totals, never)
  expect(store.blobs.size).toBe(refs.length)
  return totals
}

describe('a catalog', () => {
  const wish = { waitMs: 5_000, judge: () => ownWord } as const

  async function found(client: Member, holder: Member) {
    holder.library.hold(catalog)
    connect(client, holder, '127.0.0.1')
    return client.swarm.find(CATALOG, wish, never)
  }

  // Beside the pieces that other machines fetch over lanes a session starves.
  test('comes over a lane', async () => {
    const types: string[] = []
    const onLink = (link: LaneLink) => {
      const { onFrame } = link
      link.onFrame = (listener) =>
        onFrame.call(link, (frame) => {
          types.push(decodeMessage(frame).type)
          listener(frame)
        })
    }
    const sha256 = (await found(laneMember('client', { onLink }), laneMember('daemon')))?.catalog.sha256
    expect([sha256, types]).toEqual([catalog.held.sha256, ['parts']])
  })

  test('comes over the session where no lane can be had, or the lane is cut before it has come', async () => {
    const closed = await found(laneMember('client'), laneMember('daemon', { port: 1 }))
    const none = await found(member(secret, 'client'), laneMember('daemon'))
    const onLink = (link: LaneLink) => {
      link.send = () => {
        link.destroy()
        return true
      }
    }
    const cut = await found(laneMember('client', { onLink }), laneMember('daemon'))
    expect([closed, none, cut].map((each) => each?.catalog.sha256)).toEqual(Array(3).fill(catalog.held.sha256))
  })
})

describe('a fetch', () => {
  test('goes over a lane, which carries a large blob whole', async () => {
    const [client, holder] = [laneMember('client'), laneMember('daemon')]
    await fetchOver(client, holder, [...contentsOf(1500), Buffer.alloc(6_000_000, 'large')])
    expect(client.links).toHaveLength(1)
    expect(client.swarm.peers()).toMatchObject([{ lane: true }])
    expect(holder.swarm.peers()[0]?.sentBytes).toBe(1500 * 20_000 + 6_000_000)
  })

  test('needs no lane where either end has none', async () => {
    const [client, holder] = [laneMember('client'), member(secret)]
    await fetchOver(client, holder, contentsOf(300))
    expect(client.links).toHaveLength(0)
    const [older, modern] = [member(secret, 'client'), laneMember('daemon')]
    await fetchOver(older, modern, contentsOf(300))
    expect(modern.swarm.peers()).toMatchObject([{ lane: false }])
  })

  test('needs no lane where nobody answers at the port', async () => {
    const [client, holder] = [laneMember('client'), laneMember('daemon', { port: 1 })]
    const totals = await fetchOver(client, holder, [...contentsOf(600), Buffer.alloc(3_000_000, 'large')])
    expect(totals.blobs).toBe(601)
    expect(client.swarm.peers()).toMatchObject([{ lane: false }])
  })

  // Goal: a lane that goes costs time only, also in the middle of a large blob. Method: it is cut after its tenth frame,
  // when that blob, which waited for the lane, is under way.
  test('goes on over the session where its lane is cut', async () => {
    let cut = false
    const onLink = (link: LaneLink) => {
      const { onFrame } = link
      let frames = 0
      link.onFrame = (listener) =>
        onFrame.call(link, (frame) => {
          if (++frames === 10) link.destroy()
          cut ||= frames >= 10
          if (!cut) listener(frame)
        })
    }
    const [client, holder] = [laneMember('client', { onLink }), laneMember('daemon')]
    const totals = await fetchOver(client, holder, [Buffer.alloc(9_000_000, 'large'), ...contentsOf(900)])
    expect([cut, totals.blobs, totals.dropped.size]).toEqual([true, 901, 0])
    expect(client.swarm.peers()).toMatchObject([{ lane: false }])
  })

  test('drops a peer that sends wrong bytes over its lane, and names it', async () => {
    const [client, liar, honest] = [laneMember('client'), laneMember('daemon'), laneMember('daemon')]
    const contents = contentsOf(1200)
    const refs = fill(liar, contents)
    fill(honest, contents)
    for (const { digest } of refs.slice(800)) {
      const blob = liar.library.blobs.get(digest)
      if (blob !== undefined) liar.library.blobs.set(digest, { ...blob, bytes: Buffer.from(blob.bytes).fill('!') })
    }
    connect(client, liar, '127.0.0.1')
    connect(client, honest, '127.0.0.1')
    const sources = await sourcesOf(client, 2)
    const [store, totals] = [new MemoryStore(), emptyTotals()]
    await fetchAll(refs, { store, sources }, totals, never)
    expect(store.blobs.size).toBe(refs.length)
    expect(client.links).toHaveLength(2)
    expect(totals.dropped.size).toBe(1)
    expect(client.swarm.isBanned(liar.keys.publicKey)).toBe(true)
    expect(client.swarm.isBanned(honest.keys.publicKey)).toBe(false)
  })

  test('ends with its reason when it is aborted, and leaves nothing under way', async () => {
    const [client, holder] = [laneMember('client'), laneMember('daemon')]
    const refs = fill(holder, contentsOf(2000))
    connect(client, holder, '127.0.0.1')
    const sources = await sourcesOf(client, 1)
    const stop = new AbortController()
    const reason = new Error('enough')
    const totals = emptyTotals()
    const onProgress = () => {
      if (totals.blobs === 700) stop.abort(reason)
    }
    const fetching = fetchAll(refs, { store: new MemoryStore(), sources, onProgress }, totals, stop.signal)
    await expect(fetching).rejects.toBe(reason)
    const again = emptyTotals()
    await fetchAll(refs, { store: new MemoryStore(), sources }, again, never)
    expect(again.blobs).toBe(refs.length)
  })
})

describe('a caller by hand', () => {
  /** A member of version 2 that a test plays, with what it needs to call `holder`. */
  async function called(holder: LaneMember) {
    const hand = new HandPlayed(holder, secret, 2)
    await until(holder.swarm, () => holder.swarm.peers().length === 1)
    hand.say({ type: 'lane-wish' })
    const { lane } = await hand.hear('lane-offer')
    if (lane === undefined) throw new Error('no lane was offered')
    const { port, certificate } = lane
    const call = (by = hand.keys, ticket = lane.ticket) => {
      const sign = (binding: Uint8Array) => signLaneCall({ ticket, binding, calledKey: holder.keys.publicKey }, by)
      return callLane(
        {
          address: { host: '127.0.0.1', port, certificate },
          ticket,
          sign,
          queueBytes: LANE_QUEUE_BYTES,
          clock: systemClock,
        },
        never,
      )
    }
    return { hand, call }
  }

  test('is let in once with its ticket, and not with a forged one or by another key', async () => {
    const holder = laneMember('daemon')
    const { call } = await called(holder)
    await expect(call(keyPairFrom(randomSecret()))).rejects.toBeInstanceOf(HoloError)
    await expect(call(undefined, randomSecret())).rejects.toBeInstanceOf(HoloError)
    const link = await call()
    await expect(call()).rejects.toBeInstanceOf(HoloError)
    const { digest } = holder.library.add(Buffer.from('over the lane'))
    const frame = new Promise<Uint8Array>((resolve) => link.onFrame(resolve))
    link.send(encodeMessage({ type: 'want', request: 0, digests: [digest] }))
    expect(Buffer.from(await frame).toString('latin1')).toContain('over the lane')
  })

  test('is not let in after its session has ended', async () => {
    const holder = laneMember('daemon')
    const { hand, call } = await called(holder)
    hand.say({ type: 'bye', code: 'leaving', text: '' })
    await until(holder.swarm, () => holder.swarm.peers().length === 0)
    await expect(call()).rejects.toBeInstanceOf(HoloError)
  })

  test('loses its lane with its session', async () => {
    const { hand, call } = await called(laneMember('daemon'))
    const link = await call()
    hand.link.destroy()
    await link.closed
  })

  const wrong: readonly (readonly [string, Message | Uint8Array])[] = [
    ['what belongs on the session', { type: 'have', added: [], removed: [] }],
    ['an answer that nobody asked for', { type: 'missing', request: 3, reason: 'failed', indexes: [0] }],
    ['credit for more than it has got', { type: 'credit', bytes: 1 }],
    ['bytes that are no message', Uint8Array.of(99, 1, 2)],
    ['an empty frame', new Uint8Array(0)],
  ]
  for (const [what, message] of wrong) {
    test(`that sends ${what} over its lane is shut out`, async () => {
      const holder = laneMember('daemon')
      const { hand, call } = await called(holder)
      const link = await call()
      link.send(message instanceof Uint8Array ? message : encodeMessage(message))
      expect(await hand.hear('bye')).toMatchObject({ code: 'protocol-violation' })
      await link.closed
      expect(holder.swarm.isBanned(hand.keys.publicKey)).toBe(true)
    })
  }

  test('of version 1 that speaks of lanes is shut out', async () => {
    const hand = new HandPlayed(laneMember('daemon'), secret, 1)
    hand.say({ type: 'lane-wish' })
    expect(await hand.hear('bye')).toMatchObject({ code: 'protocol-violation' })
  })

  test('that offers a lane that nobody asked for is shut out', async () => {
    const hand = new HandPlayed(laneMember('daemon'), secret, 2)
    hand.say({ type: 'lane-offer', lane: undefined })
    expect(await hand.hear('bye')).toMatchObject({ code: 'protocol-violation' })
  })

  test('gets no more tickets than may be out at once', async () => {
    const { hand } = await called(laneMember('daemon'))
    for (let more = 0; more < 3; more++) hand.say({ type: 'lane-wish' })
    // Answers come in order: once this one is there, so are those.
    hand.say({ type: 'ask', request: 0, digests: [catalog.held.sha256] })
    await hand.hear('holding')
    const offers = hand.heard.filter((message) => message.type === 'lane-offer')
    expect(offers.map(({ lane }) => lane !== undefined)).toEqual([true, true, false, false])
  })
})
