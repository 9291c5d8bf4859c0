/** Lanes over real sockets: who is let in, who is not, and what either costs. */
import { afterEach, describe, expect, test } from 'bun:test'
import { connect, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { never, systemClock } from '../../src/base/clock.ts'
import type { LaneCall, LaneLink } from '../../src/base/lane.ts'
import { LANE_OPENING_MS, LANE_QUEUE_BYTES, LANE_STRANGERS_MAX } from '../../src/base/lane-limits.ts'
import { callLane } from '../../src/lane/call.ts'
import { framed } from '../../src/lane/frame-reader.ts'
import { LaneListener } from '../../src/lane/listen.ts'
import { startLanes } from '../../src/lane/tcp-lanes.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { skipUnless } from '../support/skip.ts'

const ticket = new Uint8Array(32).fill(7)
const signature = new Uint8Array(64).fill(9)
const opened: AsyncDisposable[] = []
afterEach(async () => {
  for (const each of opened.splice(0)) await each[Symbol.asyncDispose]()
})

function listener(port = 0, clock = systemClock): LaneListener {
  const made = new LaneListener(port, LANE_QUEUE_BYTES, clock)
  opened.push(made)
  return made
}

/** Let everybody in. */
function open(listening: LaneListener): { links: LaneLink[]; calls: LaneCall[] } {
  const [links, calls]: [LaneLink[], LaneCall[]] = [[], []]
  listening.admit((call) => {
    calls.push(call)
    return (link) => links.push(link)
  })
  return { links, calls }
}

function call(port: number, certificate: Uint8Array, sign = (_binding: Uint8Array) => signature): Promise<LaneLink> {
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

/** Resolves with all that came before the other end closed. */
function whole(socket: Socket | TLSSocket): Promise<Buffer> {
  const { promise, resolve } = Promise.withResolvers<Buffer>()
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  socket.on('error', () => {})
  socket.on('close', () => resolve(Buffer.concat(chunks)))
  return promise
}

async function secured(port: number): Promise<TLSSocket> {
  const socket = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false })
  await new Promise<void>((resolve) => socket.once('secureConnect', () => resolve()))
  return socket
}

describe('a lane', () => {
  test('carries frames of any size both ways, in order, with the same binding at both ends', async () => {
    const listening = listener()
    const { links, calls } = open(listening)
    let binding: Uint8Array | undefined
    const link = await call(listening.port, listening.certificate, (bytes) => {
      binding = bytes
      return signature
    })
    expect(calls[0]).toMatchObject({ ticket, signature })
    expect(Buffer.from(calls[0]?.binding ?? []).toString('hex')).toBe(Buffer.from(binding ?? []).toString('hex'))
    const sizes = [0, 1, 1000, 65_536, 1_048_576, 3]
    links[0]?.onFrame((frame) => links[0]?.send(frame))
    const back: number[] = []
    const all = new Promise<void>((resolve) =>
      link.onFrame((frame) => back.push(frame.byteLength) === sizes.length && resolve()),
    )
    for (const size of sizes) link.send(new Uint8Array(size))
    await all
    expect(back).toEqual(sizes)
  })

  test('asks its sender for patience, and has room again when the other end reads', async () => {
    const listening = listener()
    const { links } = open(listening)
    const link = await call(listening.port, listening.certificate)
    let sent = 0
    while (link.send(new Uint8Array(1_000_000))) sent++
    sent++
    let got = 0
    const all = new Promise<void>((resolve) => links[0]?.onFrame(() => ++got === sent && resolve()))
    await link.drained(never)
    await all
    expect(got).toBe(sent)
  })

  test('tells when nothing waits in its queue any more, also where it ends before', async () => {
    const listening = listener()
    const { links } = open(listening)
    const link = await call(listening.port, listening.certificate)
    links[0]?.onFrame(() => {})
    while (link.send(new Uint8Array(1_000_000))) {}
    const emptied = link.emptied(never).then(() => 'empty')
    expect(await Promise.race([emptied, Promise.resolve('waits')])).toBe('waits')
    expect(await emptied).toBe('empty')
    while (link.send(new Uint8Array(1_000_000))) {}
    const late = link.emptied(never)
    link.destroy()
    await late
  })

  skipUnless(process.platform === 'linux', 'only Linux tells what it has of the bytes of a socket')(
    'tells what the system has of its bytes, as long as it is open',
    async () => {
      const listening = listener()
      const { links } = open(listening)
      const link = await call(listening.port, listening.certificate)
      let got = 0
      links[0]?.onFrame(() => got++)
      // Nobody reads before this turn ends.
      let sent = 0
      do sent++
      while (link.send(new Uint8Array(1_000_000)))
      expect(link.backlog()?.bytes).toBeGreaterThan(0)
      expect(link.backlog()?.queueMs).toBeGreaterThanOrEqual(0)
      while (got < sent || link.backlog()?.bytes !== 0) await Bun.sleep(5)
      link.destroy()
      await link.closed
      expect(link.backlog()).toBeUndefined()
    },
  )

  test('delivers what was sent before it was closed', async () => {
    const listening = listener()
    const { links } = open(listening)
    const link = await call(listening.port, listening.certificate)
    let bytes = 0
    links[0]?.onFrame((frame) => {
      bytes += frame.byteLength
    })
    for (let index = 0; index < 40; index++) link.send(new Uint8Array(500_000))
    link.close()
    expect(await links[0]?.closed).toBeUndefined()
    expect(bytes).toBe(20_000_000)
  })

  test('ends where a frame beyond the bound is announced', async () => {
    const listening = listener()
    const { links } = open(listening)
    const socket = await secured(listening.port)
    socket.write(framed(Buffer.concat([ticket, signature])))
    await new Promise((resolve) => socket.once('data', resolve))
    socket.write(Uint8Array.of(0xff, 0xff, 0xff, 0x7f, 1, 2, 3))
    expect((await links[0]?.closed)?.message).toContain('a frame of 2147483647 bytes')
  })
})

describe('LaneListener', () => {
  test('moves to a free port where its own is taken, and tells which', async () => {
    const first = listener()
    const moved = listener(first.port)
    expect(moved.port).not.toBe(first.port)
    open(moved)
    await call(moved.port, moved.certificate)
  })

  test('sends nobody a byte who shows no ticket that the gate takes', async () => {
    const listening = listener()
    listening.admit(() => 'showed a ticket that is not ours')
    const socket = await secured(listening.port)
    const answer = whole(socket)
    socket.write(framed(Buffer.concat([ticket, signature])))
    expect(await answer).toHaveLength(0)
    expect(listening.turnedAway).toBe(1)
    await expect(call(listening.port, listening.certificate)).rejects.toMatchObject({
      code: 'lane-failed',
      blame: 'source',
    })
  })

  for (const [name, bytes] of [
    ['a huge length', Uint8Array.of(0xff, 0xff, 0xff, 0xff)],
    ['an opening that is too short', framed(new Uint8Array(95))],
    ['words of HTTP', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
  ] as const) {
    test(`cuts off who sends ${name}`, async () => {
      const listening = listener()
      open(listening)
      const socket = await secured(listening.port)
      const answer = whole(socket)
      socket.write(bytes)
      expect(await answer).toHaveLength(0)
      expect(listening.turnedAway).toBe(1)
    })
  }

  test('cuts off who speaks no TLS', async () => {
    const listening = listener()
    const { links } = open(listening)
    const socket = connect(listening.port, '127.0.0.1')
    const answer = whole(socket)
    socket.write(Buffer.alloc(500, 'x'))
    await answer
    expect(listening.turnedAway).toBe(1)
    expect(links).toHaveLength(0)
  })

  test('gives a caller that sends a byte now and then no more time than one that is silent', async () => {
    const clock = new ManualClock()
    const listening = listener(0, clock)
    open(listening)
    const [slow, silent] = [await secured(listening.port), connect(listening.port, '127.0.0.1')]
    const ends = Promise.all([whole(slow), whole(silent)])
    await new Promise((resolve) => silent.once('connect', resolve))
    slow.write(Uint8Array.of(96))
    // Both are known to the listener once a third one has been let in.
    await call(listening.port, listening.certificate)
    await clock.advance(LANE_OPENING_MS - 1)
    expect(listening.turnedAway).toBe(0)
    slow.write(Uint8Array.of(0))
    await clock.advance(1)
    await ends
    expect(listening.turnedAway).toBe(2)
  })

  test('keeps no more strangers than its bound, and lets members in again when they have gone', async () => {
    const listening = listener()
    open(listening)
    const crowd = Array.from({ length: LANE_STRANGERS_MAX + 8 }, () => connect(listening.port, '127.0.0.1'))
    const ends = crowd.map(whole)
    let gone = 0
    await new Promise<void>((resolve) => {
      for (const end of ends) void end.then(() => ++gone === 8 && resolve())
    })
    expect(listening.turnedAway).toBe(8)
    for (const socket of crowd) socket.destroy()
    await Promise.all(ends)
    await call(listening.port, listening.certificate)
  })
})

describe('callLane()', () => {
  test('sends nothing where another certificate answers', async () => {
    const [listening, other] = [listener(), listener()]
    const { calls } = open(listening)
    await expect(call(listening.port, other.certificate)).rejects.toThrow('another machine')
    expect(calls).toHaveLength(0)
  })

  test('says where nobody listens', async () => {
    const gone = new LaneListener(0, LANE_QUEUE_BYTES, systemClock)
    const { port, certificate } = gone
    await gone[Symbol.asyncDispose]()
    await expect(call(port, certificate)).rejects.toMatchObject({ code: 'lane-failed' })
  })

  test('ends with the reason of its signal, and closes what comes later', async () => {
    const listening = listener()
    const { links } = open(listening)
    const stop = new AbortController()
    const { port, certificate } = listening
    const calling = callLane(
      {
        address: { host: '127.0.0.1', port, certificate },
        ticket,
        sign: () => signature,
        queueBytes: LANE_QUEUE_BYTES,
        clock: systemClock,
      },
      stop.signal,
    )
    const reason = new Error('no time')
    stop.abort(reason)
    await expect(calling).rejects.toBe(reason)
    expect(links).toHaveLength(0)
  })
})

test('startLanes() of a client listens nowhere, and closes its lanes with itself', async () => {
  const listening = listener()
  const { links } = open(listening)
  const lanes = startLanes(undefined, LANE_QUEUE_BYTES, systemClock)
  expect(lanes.own).toBeUndefined()
  const { port, certificate } = listening
  await lanes.open({ host: '127.0.0.1', port, certificate }, ticket, () => signature, never)
  await lanes[Symbol.asyncDispose]()
  await links[0]?.closed
})
