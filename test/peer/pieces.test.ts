/** Pieces between members: whole fetches over in-memory links, and peers played by hand that break the rules. */
import { describe, expect, test } from 'bun:test'
import { never, systemClock } from '../../src/base/clock.ts'
import { BAD_REQUESTS_MAX, PIECE_BYTES, RATE_BURST_MS } from '../../src/base/limits.ts'
import { roomLogger } from '../../src/base/log.ts'
import { seededRandom } from '../../src/base/random.ts'
import { RateLimit } from '../../src/base/rate-limit.ts'
import { UPLOAD_WANTS_MAX } from '../../src/base/upload-limits.ts'
import type { Sha256Digest } from '../../src/blob/digest.ts'
import { emptyTotals, type FetchTotals } from '../../src/blob/fetch-all.ts'
import type { Message } from '../../src/peer/messages.ts'
import { OwnHoldings } from '../../src/peer/own-holdings.ts'
import { PieceFetch } from '../../src/peer/piece-fetch.ts'
import { PieceServer } from '../../src/peer/piece-server.ts'
import { randomSecret } from '../../src/trust/keys.ts'
import { connect, emptyCatalog, HandPlayed, type Member, member, until } from '../support/members.ts'
import { MadePieces, MemoryServed, MemorySink } from '../support/memory-pieces.ts'

const secret = randomSecret()
const catalog = emptyCatalog()
const { sha256 } = catalog.held
const OTHER = 'ab'.repeat(32) as Sha256Digest
const made = new MadePieces([
  ...Array.from({ length: 60 }, (_, piece) => 1 + ((piece * 7919) % 90_000)),
  PIECE_BYTES,
  0,
  3,
])

interface Node extends Member {
  readonly served: MemoryServed
  readonly holdings: OwnHoldings
}

/** @param held undefined: everything, and the catalog is announced */
function node(held?: readonly number[], uploadLimit?: RateLimit): Node {
  const served = new MemoryServed(sha256, made, held)
  const holdings = new OwnHoldings(systemClock)
  const random = seededRandom(7)
  const pieceServer = new PieceServer({ served, clock: systemClock, random, log: roomLogger('peer'), uploadLimit })
  const each = member(secret, 'daemon', systemClock, { pieceServer, ownHoldings: holdings })
  if (held === undefined) each.library.hold(catalog)
  return { ...each, served, holdings }
}

function fetchOf(
  taker: Member,
  {
    totals = emptyTotals(),
    wanted = made.numbers,
    passesOn = false,
    graceMs = 1_000,
    downloadLimit = undefined as RateLimit | undefined,
  } = {},
) {
  const sink = new MemorySink(made)
  const own = taker as Partial<Node>
  const holding = passesOn ? own.holdings?.begin(sha256, made.pieces.length, []) : undefined
  const fetch = new PieceFetch({
    catalog: sha256,
    pieces: made.pieces,
    wanted,
    sink: {
      put: async (piece, wire, source) => {
        const receipt = await sink.put(piece, wire, source)
        if (receipt.verdict.verdict === 'stored') own.served?.held.add(piece)
        return receipt
      },
      [Symbol.asyncDispose]: async () => {},
    },
    clock: systemClock,
    random: seededRandom(11),
    log: roomLogger('peer'),
    holding,
    downloadLimit,
    graceMs,
    totals,
    onProgress: () => {},
    drop: (peer, error) => taker.swarm.drop(peer, error),
  })
  return { sink, totals, holding, run: taker.swarm.fetchPieces(fetch, never) }
}

describe('fetchPieces()', () => {
  test('takes every piece once, from all members that hold the catalog', async () => {
    const taker = member(secret, 'client')
    const holders = [node(), node(), node()]
    for (const each of holders) connect(taker, each)
    await until(taker.swarm, () => taker.swarm.peers().length === 3)
    const { run, sink, totals } = fetchOf(taker)
    expect(await run).toEqual([])
    expect(sink.stored.size).toBe(made.pieces.length)
    expect(totals.bySource.size).toBe(3)
    expect(totals.blobBytes).toBe(made.contents.reduce((sum, { byteLength }) => sum + byteLength, 0))
    expect(totals.wireBytes).toBeLessThan(totals.blobBytes)
  })

  test('passes on what came a moment ago to a machine that knows no seed', async () => {
    const [seed, middle, last] = [node(), node([]), node([])]
    connect(middle, seed)
    connect(middle, last)
    await until(middle.swarm, () => middle.swarm.peers().length === 2)
    const first = fetchOf(middle, { passesOn: true })
    const second = fetchOf(last, { passesOn: true })
    expect(await first.run).toEqual([])
    expect(await second.run).toEqual([])
    expect(second.sink.stored.size).toBe(made.pieces.length)
    expect([...second.totals.bySource.keys()]).toHaveLength(1)
    first.holding?.[Symbol.dispose]()
  })

  test('finds a member that comes while it waits, and is told what is left where none does', async () => {
    const taker = member(secret, 'client')
    const partial = node([0, 1, 2])
    connect(taker, partial)
    await until(taker.swarm, () => taker.swarm.peers().length === 1)
    using _told = partial.holdings.begin(sha256, made.pieces.length, [0, 1, 2])
    const { run, sink } = fetchOf(taker, { wanted: [0, 1, 2, 3], graceMs: 50 })
    expect(await run).toEqual([3])
    expect([...sink.stored.keys()].sort()).toEqual([0, 1, 2])
    const late = fetchOf(taker, { wanted: [3] })
    connect(taker, node())
    expect(await late.run).toEqual([])
  })

  test('drops a member that sends wrong bytes, and has its pieces from others', async () => {
    const taker = member(secret, 'client')
    const [liar, honest] = [node(), node()]
    for (const piece of made.numbers) liar.served.lies.add(piece)
    connect(taker, liar)
    connect(taker, honest)
    await until(taker.swarm, () => taker.swarm.peers().length === 2)
    const { run, sink, totals } = fetchOf(taker)
    expect(await run).toEqual([])
    expect(sink.stored.size).toBe(made.pieces.length)
    expect(totals.dropped.size).toBe(1)
    expect(taker.swarm.isBanned(liar.keys.publicKey)).toBe(true)
    expect(taker.swarm.bans().map(({ reason }) => reason.code)).toEqual(['blob-corrupt'])
    expect(taker.swarm.isBanned(honest.keys.publicKey)).toBe(false)
  })

  // Only the first of several that came together was waited for: the others went beyond the limit.
  test('asks for more only once all that has come is within its limit', async () => {
    const taker = member(secret, 'client')
    const holder = new HandPlayed(taker, secret, 2)
    holder.say({ type: 'have', added: [catalog.held], removed: [] })
    await until(taker.swarm, () => taker.swarm.peers().some(({ catalogs }) => catalogs === 1))
    const wanted = made.numbers.filter((piece) => (made.contents[piece]?.byteLength ?? 0) > 40_000).slice(0, 3)
    const bytesPerSecond = 200_000
    const { run } = fetchOf(taker, { wanted, downloadLimit: new RateLimit(bytesPerSecond, systemClock) })
    run.catch(() => {})
    const wants = () => holder.heard.filter((message) => message.type === 'want-pieces')
    while (wants().length < 2) await Bun.sleep(1)
    const startedMs = systemClock.nowMs()
    let bytes = 0
    for (const { request, choices } of wants()) {
      const [piece = -1] = choices
      const chunk = made.contents[piece] ?? new Uint8Array()
      bytes += chunk.byteLength
      holder.say({ type: 'piece', request, piece, encoding: 'identity', wireBytes: chunk.byteLength, chunk })
    }
    while (wants().length < 3) await Bun.sleep(1)
    const dueMs = (bytes / bytesPerSecond) * 1000 - RATE_BURST_MS
    expect(systemClock.nowMs() - startedMs).toBeGreaterThanOrEqual(Math.floor(dueMs))
    holder.link.destroy()
  })

  // Bytes that the sink had taken over counted as none: no limit held.
  test('ends only once all that has come is within its limit, and the sink has it', async () => {
    const taker = member(secret, 'client')
    connect(taker, node())
    await until(taker.swarm, () => taker.swarm.peers().length === 1)
    const bytesPerSecond = 400_000
    const startedMs = systemClock.nowMs()
    const downloadLimit = new RateLimit(bytesPerSecond, systemClock)
    const { run, totals } = fetchOf(taker, { downloadLimit })
    expect(await run).toEqual([])
    const dueMs = (totals.wireBytes / bytesPerSecond) * 1000 - RATE_BURST_MS
    expect(dueMs).toBeGreaterThan(100)
    expect(systemClock.nowMs() - startedMs).toBeGreaterThanOrEqual(Math.floor(dueMs))
  })

  test('asks others for what a member announces and cannot send', async () => {
    const taker = member(secret, 'client')
    const [broken, whole] = [node(), node()]
    for (const piece of made.numbers) broken.served.failing.add(piece)
    connect(taker, broken)
    connect(taker, whole)
    await until(taker.swarm, () => taker.swarm.peers().length === 2)
    const { run, sink } = fetchOf(taker)
    expect(await run).toEqual([])
    expect(sink.stored.size).toBe(made.pieces.length)
    expect(taker.swarm.bans()).toEqual([])
  })

  test('goes on when the member that it fetches from leaves in the middle', async () => {
    const taker = member(secret, 'client')
    const [first, second] = [node(), node()]
    connect(taker, first)
    connect(taker, second)
    await until(taker.swarm, () => taker.swarm.peers().length === 2)
    const totals = new Proxy(emptyTotals(), {
      set: (target, key, value) => {
        if (key === 'blobs' && value === 10) void first.swarm[Symbol.asyncDispose]()
        return Reflect.set(target, key, value)
      },
    }) as FetchTotals
    const { run, sink } = fetchOf(taker, { totals })
    expect(await run).toEqual([])
    expect(sink.stored.size).toBe(made.pieces.length)
  })

  test('has the rest of what one member sends slowly from another one', async () => {
    const taker = member(secret, 'client')
    const [slow, fast] = [node(undefined, new RateLimit(256 * 1024, systemClock)), node()]
    const piece = made.contents.findIndex(({ byteLength }) => byteLength === PIECE_BYTES)
    // How fast the other one is shows by what it alone can send.
    const others = [0, 1, 2, 3]
    for (const each of others) slow.served.failing.add(each)
    connect(taker, slow)
    await until(taker.swarm, () => taker.swarm.peers().length === 1)
    const { run, sink, totals } = fetchOf(taker, { wanted: [piece, ...others] })
    await Bun.sleep(500)
    connect(taker, fast)
    expect(await run).toEqual([])
    expect(sink.stored.size).toBe(5)
    expect(fast.served.rests.map((rest) => [rest.wireBytes, rest.from > 0])).toEqual([[PIECE_BYTES, true]])
    expect(slow.served.rests).toEqual([])
    // Next to nothing of it came twice.
    expect(totals.wireBytes).toBeLessThan(totals.blobBytes + 200_000)
    expect(taker.swarm.bans()).toEqual([])
  })

  test('ends with the reason of its signal, and cancels what it asked for', async () => {
    const taker = member(secret, 'client')
    const holder = new HandPlayed(taker, secret, 2)
    holder.say({ type: 'have', added: [catalog.held], removed: [] })
    await until(taker.swarm, () => taker.swarm.peers().some(({ catalogs }) => catalogs === 1))
    const stop = new AbortController()
    const fetch = new PieceFetch({
      catalog: sha256,
      pieces: made.pieces,
      wanted: [0],
      sink: new MemorySink(made),
      clock: systemClock,
      random: seededRandom(1),
      log: roomLogger('peer'),
      holding: undefined,
      downloadLimit: undefined,
      graceMs: 0,
      totals: emptyTotals(),
      onProgress: () => {},
      drop: () => {},
    })
    const run = taker.swarm.fetchPieces(fetch, stop.signal)
    const want = await holder.hear('want-pieces')
    stop.abort(new Error('enough'))
    await expect(run).rejects.toThrow('enough')
    expect((await holder.hear('cancel-pieces')).request).toBe(want.request)
  })
})

describe('a peer that breaks the rules of pieces is parted with', () => {
  const piece = (request: number, number: number, bytes: number): Message => ({
    type: 'piece',
    request,
    piece: number,
    encoding: 'identity',
    wireBytes: bytes,
    chunk: new Uint8Array(Math.min(bytes, 100)),
  })
  const small = made.contents.findIndex(({ byteLength }) => byteLength > 1_000)
  const bytes = made.contents[small]?.byteLength ?? 0

  /** What it does as a holder that was asked for the piece `small`. */
  test.each<[string, (request: number) => Message[]]>([
    ['a piece that nobody asked for', (request) => [piece(request, small + 1, 10)]],
    ['a piece for a request that is none of ours', (request) => [piece(request + 9, small, bytes)]],
    ['a raw piece of another length', (request) => [piece(request, small, bytes - 1)]],
    [
      'a zstd piece that is no shorter',
      (request) => [{ ...piece(request, small, bytes), encoding: 'zstd' } as Message],
    ],
    [
      'more of a piece than it told',
      (request) => [piece(request, small, bytes), { type: 'piece-more', chunk: new Uint8Array(bytes) }],
    ],
    [
      'a piece before the end of another one',
      (request) => [piece(request, small, bytes), piece(request, small, bytes)],
    ],
    ['the middle of a piece before its beginning', () => [{ type: 'piece-more', chunk: new Uint8Array(1) }]],
    ['an empty middle', (request) => [piece(request, small, bytes), { type: 'piece-more', chunk: new Uint8Array(0) }]],
    [
      'a refusal of what nobody asked for',
      (request) => [{ type: 'refuse-pieces', request, reason: 'failed', pieces: [small + 1] }],
    ],
    ['pieces besides what it never told of', () => [{ type: 'pieces-got', catalog: OTHER, pieces: [0] }]],
    [
      'pieces beyond the last one',
      () => [
        { type: 'pieces-held', catalog: OTHER, count: 3, bits: new Uint8Array(1) },
        { type: 'pieces-got', catalog: OTHER, pieces: [3] },
      ],
    ],
  ])('who sends %s', async (_what, say) => {
    const taker = member(secret, 'client')
    const holder = new HandPlayed(taker, secret, 2)
    holder.say({ type: 'have', added: [catalog.held], removed: [] })
    await until(taker.swarm, () => taker.swarm.peers().some(({ catalogs }) => catalogs === 1))
    const { run } = fetchOf(taker, { wanted: [small], graceMs: 0 })
    const { request } = await holder.hear('want-pieces')
    for (const message of say(request)) holder.say(message)
    expect((await holder.hear('bye')).code).toBe('protocol-violation')
    expect(taker.swarm.bans().map(({ reason }) => reason.code)).toEqual(['protocol-violation'])
    expect(await run).toEqual([small])
  })

  const want = (request: number, choices: readonly number[], of = sha256): Message => ({
    type: 'want-pieces',
    request,
    catalog: of,
    count: 1,
    preference: 'fast',
    choices,
  })

  test.each<[string, Message[]]>([
    ['asks for pieces beyond the last one', [want(0, [made.pieces.length])]],
    ['uses a number twice at once', [want(0, [60]), want(0, [60])]],
    [
      'asks for too much at once',
      Array.from({ length: UPLOAD_WANTS_MAX + BAD_REQUESTS_MAX + 2 }, (_, request) => want(request, [60])),
    ],
    [
      'asks again and again for what was never told',
      Array.from({ length: BAD_REQUESTS_MAX + 1 }, (_, request) => want(request, [0], OTHER)),
    ],
  ])('who %s', async (_what, messages) => {
    const holder = node()
    holder.served.slow.add(60)
    const hostile = new HandPlayed(holder, secret, 2)
    await hostile.hear('have')
    for (const message of messages) hostile.say(message)
    expect((await hostile.hear('bye')).code).toBe('protocol-violation')
    expect(holder.swarm.isBanned(hostile.keys.publicKey)).toBe(true)
  })

  test('who says in version 1 what it does not have', async () => {
    const holder = node()
    const old = new HandPlayed(holder, secret, 1)
    await old.hear('have')
    old.say(want(0, [0]))
    expect((await old.hear('bye')).code).toBe('protocol-violation')
  })
})

test('a daemon sends the piece that it has served least, whole, and refuses what it does not have', async () => {
  const holder = node()
  holder.served.failing.add(5)
  const taker = new HandPlayed(holder, secret, 2)
  await taker.hear('have')
  const ask = (request: number, choices: readonly number[]): Message => ({
    type: 'want-pieces',
    request,
    catalog: sha256,
    count: 1,
    preference: 'small',
    choices,
  })
  taker.say(ask(0, [3]))
  const first = await taker.hear('piece')
  expect(first).toMatchObject({ request: 0, piece: 3, encoding: 'zstd' })
  taker.say(ask(1, [3, 4]))
  taker.say(ask(2, [5]))
  taker.say(ask(3, [0]))
  const refusal = await taker.hear('refuse-pieces')
  expect(refusal).toMatchObject({ request: 2, reason: 'failed', pieces: [5] })
  const pieces = taker.heard.filter((message) => message.type === 'piece')
  expect(pieces.map(({ piece }) => piece).slice(0, 2)).toEqual([3, 4])
})

test('RateLimit lets a rate pass, over all who share it', async () => {
  let nowMs = 0
  const waits: number[] = []
  const clock = {
    nowMs: () => nowMs,
    wallMs: () => nowMs,
    sleep: async (ms: number) => {
      waits.push(ms)
      nowMs += ms
    },
  }
  const limit = new RateLimit(1_000_000, clock)
  for (let chunk = 0; chunk < 50; chunk++) await limit.pass(100_000, never)
  // 5 MB at 1 MB/s, less what a pause of 100 ms lets go at once.
  expect(nowMs).toBeCloseTo(4_900, 0)
  expect(waits.every((ms) => ms > 0)).toBe(true)
})
