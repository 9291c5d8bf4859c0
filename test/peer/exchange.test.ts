import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { PEER_REFUSALS_MAX, PEER_STALL_MS } from '../../src/base/limits.ts'
import { seededRandom } from '../../src/base/random.ts'
import { Bitfield } from '../../src/peer/bitfield.ts'
import { Exchange } from '../../src/peer/exchange.ts'
import type { ExchangeAction } from '../../src/peer/exchange-want.ts'
import { runs } from '../support/runs.ts'

const MIB = 1024 * 1024

function exchangeOf(count: number, inFlightBytesMax = 64 * MIB): Exchange {
  const pieceBytes = Array.from({ length: count }, () => MIB)
  return new Exchange({ pieceBytes, wanted: pieceBytes.keys(), random: seededRandom(3), inFlightBytesMax })
}

/** One with a peer for each entry, which holds those pieces. */
function exchangeWith(count: number, peers: Readonly<Record<string, 'all' | readonly number[]>>): Exchange {
  const exchange = exchangeOf(count)
  for (const [peer, pieces] of Object.entries(peers)) {
    exchange.addPeer(peer, 0)
    exchange.onHoldings(peer, pieces === 'all' ? 'all' : holding(count, pieces), 0)
  }
  return exchange
}

function holding(count: number, pieces: readonly number[]): Bitfield {
  const field = new Bitfield(count)
  for (const piece of pieces) field.add(piece)
  return field
}

type WantAction = Extract<ExchangeAction, { do: 'want' }>

function wantsOf(actions: readonly ExchangeAction[]): WantAction[] {
  return actions.flatMap((action) => (action.do === 'want' ? [action] : []))
}

/** Send the first choice of `want` in whole. */
function deliver(exchange: Exchange, { peer, request, choices }: WantAction, nowMs: number): number {
  const piece = choices[0] ?? -1
  expect(exchange.onHead(peer, request, piece, 1000, nowMs)).toBe('expected')
  exchange.onBytes(peer, request, piece, 1000, nowMs)
  expect(exchange.onReceived(peer, request, piece, nowMs)).toBe('expected')
  return piece
}

describe('Exchange.next()', () => {
  test('asks one holder for everything in order from a random start, and is done', () => {
    const exchange = exchangeWith(20, { seed: 'all' })
    const order: number[] = []
    for (let nowMs = 0; !exchange.isDone; nowMs += 10) {
      for (const want of wantsOf(exchange.next(nowMs))) {
        expect([want.count, want.choices.length]).toEqual([1, 1])
        const piece = deliver(exchange, want, nowMs + 5)
        exchange.onStored([piece], nowMs + 5)
        order.push(piece)
      }
    }
    const [start = -1] = order
    expect(order).toEqual(order.map((_, index) => (start + index) % 20))
    expect([exchange.missing, exchange.inFlightBytes, exchange.isStuck]).toEqual([[], 0, false])
  })

  test('offers a seed many choices of what nobody else holds, no piece to two seeds at once', () => {
    const exchange = exchangeWith(40, { seed: 'all', other: 'all', fetching: [0, 1, 2] })
    const wants = wantsOf(exchange.next(0))
    const toSeeds = wants.filter(({ peer }) => peer !== 'fetching')
    expect(new Set(toSeeds.map(({ peer }) => peer))).toEqual(new Set(['seed', 'other']))
    for (const { count, choices } of toSeeds) {
      expect(count).toBe(1)
      expect(choices.length).toBeGreaterThan(5)
    }
    const choices = wants.flatMap((want) => want.choices)
    expect(new Set(choices).size).toBe(choices.length)
    const toFetching = wants.filter(({ peer }) => peer === 'fetching').flatMap((want) => want.choices)
    expect(toFetching.length).toBe(2)
    expect(toFetching.every((piece) => piece < 3)).toBe(true)
  })

  test('takes a choice back from the seed before it asks another peer for it', () => {
    const exchange = exchangeWith(10, { seed: 'all', fetching: [] })
    const [first] = wantsOf(exchange.next(0))
    const [piece = -1] = first?.choices ?? []
    exchange.onGot('fetching', [piece], 1)
    expect(exchange.next(1)).toEqual([
      { do: 'cancel', peer: 'seed', request: first?.request ?? -1, piece },
      { do: 'want', peer: 'fetching', request: expect.any(Number), count: 1, choices: [piece] },
    ])
  })

  test('asks the rarest first', () => {
    const rare = 17
    const most = Array.from({ length: 30 }, (_, piece) => piece).filter((piece) => piece !== rare)
    const exchange = exchangeWith(30, { a: most, b: most, c: [rare, ...most.slice(5)] })
    expect(wantsOf(exchange.next(0)).filter(({ peer }) => peer === 'c')[0]?.choices).toEqual([rare])
  })

  test('never has more in flight than it may, and asks for one piece in any case', () => {
    for (const [inFlightBytesMax, asked] of [
      [1, 1],
      [3 * MIB, 3],
      [64 * MIB, 8],
    ] as const) {
      const exchange = exchangeOf(100, inFlightBytesMax)
      for (let peer = 0; peer < 20; peer++) {
        exchange.addPeer(`p${peer}`, 0)
        exchange.onHoldings(`p${peer}`, 'all', 0)
      }
      expect(wantsOf(exchange.next(0)).length).toBe(asked)
      expect(exchange.inFlightBytes).toBe(asked * MIB)
    }
  })
})

test('Exchange.removePeer() and onChoke() give what was owed to others', () => {
  for (const leave of [
    (exchange: Exchange) => exchange.removePeer('a', 1),
    (exchange: Exchange) => exchange.onChoke('a', true, 1),
  ]) {
    const exchange = exchangeWith(2, { a: 'all' })
    expect(wantsOf(exchange.next(0)).length).toBe(2)
    exchange.addPeer('b', 1)
    exchange.onHoldings('b', 'all', 1)
    leave(exchange)
    expect(
      new Set(wantsOf(exchange.next(1)).flatMap(({ peer, choices }) => choices.map((each) => `${peer}${each}`))),
    ).toEqual(new Set(['b0', 'b1']))
  }
})

describe('Exchange.onHead()', () => {
  test('takes for a violation what was never asked, asked of others, or is larger than its piece', () => {
    const exchange = exchangeWith(4, { a: [0, 1], b: [2, 3] })
    const [want] = wantsOf(exchange.next(0)).filter(({ peer }) => peer === 'a')
    const { request = -1, choices: [piece = -1] = [] } = want ?? {}
    expect(exchange.onHead('a', 999, piece, 10, 0)).toBe('violation')
    expect(exchange.onHead('b', request, piece, 10, 0)).toBe('violation')
    expect(exchange.onHead('a', request, 3, 10, 0)).toBe('violation')
    expect(exchange.onHead('a', request, piece, MIB + 1, 0)).toBe('violation')
    expect(exchange.onReceived('a', request, piece, 0)).toBe('violation')
    expect(exchange.onHead('a', request, piece, MIB, 0)).toBe('expected')
    expect(exchange.onHead('a', request, piece, MIB, 0)).toBe('violation')
    expect(exchange.onRefused('a', 999, 'all', 'failed', 0)).toBe('violation')
    expect(exchange.onRefused('a', request, [3], 'failed', 0)).toBe('violation')
    expect(exchange.onGot('a', [4], 0)).toBe('violation')
    expect(exchange.onHoldings('a', new Bitfield(5), 0)).toBe('violation')
  })

  test('does not want what has come from elsewhere meanwhile', () => {
    const exchange = exchangeWith(1, { a: 'all' })
    const [want] = wantsOf(exchange.next(0))
    exchange.onStored([0], 1)
    const request = want?.request ?? -1
    expect(exchange.next(1)).toEqual([{ do: 'cancel', peer: 'a', request, piece: 0 }])
    expect(exchange.onHead('a', request, 0, 10, 1)).toBe('unwanted')
    expect(exchange.onReceived('a', request, 0, 1)).toBe('unwanted')
    expect([exchange.isDone, exchange.inFlightBytes]).toEqual([true, 0])
  })
})

// Over a wire of 1 Gbit/s it looked slow as long as the peer had to compress each piece first.
test('Exchange.isWireFast() goes by how fast pieces come, not by how long they take to be made ready', () => {
  const after = (bytesPerMs: number, readyMs: number) => {
    const exchange = exchangeWith(20, { seed: 'all' })
    const wants = wantsOf(exchange.next(0))
    const isFast = (nowMs: number) => wants.map(({ request }) => exchange.isWireFast('seed', request, nowMs))
    expect(isFast(0)).toEqual(wants.map((_want, index) => index < 2))
    let nowMs = 0
    for (const { request, choices } of wants.slice(0, 2)) {
      const piece = choices[0] ?? -1
      nowMs += readyMs
      exchange.onHead('seed', request, piece, MIB, nowMs)
      // What came with the head does not count, though the clock has moved a little.
      exchange.onBytes('seed', request, piece, MIB / 8, nowMs + 0.01)
      for (let got = MIB / 8; got < MIB; ) {
        nowMs += 4
        const bytes = Math.min(4 * bytesPerMs, MIB - got)
        exchange.onBytes('seed', request, piece, bytes, nowMs)
        got += bytes
        if (got === MIB) exchange.onReceived('seed', request, piece, nowMs)
      }
    }
    return isFast(nowMs).at(-1)
  }
  expect([after(125_000, 5), after(125_000, 500), after(16_000, 5)]).toEqual([true, true, false])
})

describe('Exchange.onRefused()', () => {
  test('asks others, and is stuck once nobody is left', () => {
    const exchange = exchangeWith(1, { a: 'all', b: 'all' })
    const [first] = wantsOf(exchange.next(0))
    if (first === undefined) throw new Error('nothing was asked')
    exchange.onRefused(first.peer, first.request, [0], 'not-held', 1)
    expect(exchange.isStuck).toBe(false)
    const [second] = wantsOf(exchange.next(1))
    if (second === undefined) throw new Error('nobody else was asked')
    expect(second.peer).not.toBe(first.peer)
    exchange.onRefused(second.peer, second.request, 'all', 'failed', 2)
    expect(exchange.next(2)).toEqual([])
    expect(exchange.isStuck).toBe(true)
    exchange.onGot(first.peer, [0], 3)
    expect(wantsOf(exchange.next(3)).map(({ peer }) => peer)).toEqual([first.peer])
  })

  test('may come after what was sent instead, and is of no use then', () => {
    const exchange = exchangeWith(10, { seed: 'all', fetching: [] })
    const [want] = wantsOf(exchange.next(0))
    if (want === undefined) throw new Error('nothing was asked')
    const { peer, request, choices } = want
    const [sent = -1, other = -1, another = -1] = choices
    exchange.onHead(peer, request, sent, 10, 1)
    expect(exchange.onRefused(peer, request, [other], 'cancelled', 1)).toBe('expected')
    expect(exchange.onReceived(peer, request, sent, 1)).toBe('expected')
    expect(exchange.onRefused(peer, request, [another], 'cancelled', 1)).toBe('unwanted')
    expect(exchange.onRefused(peer, 1_000, [another], 'cancelled', 1)).toBe('violation')
  })

  test('gives up on a peer that has announced everything and delivers nothing', () => {
    const exchange = exchangeWith(200, { liar: 'all' })
    const givenUp: ExchangeAction[] = []
    for (let nowMs = 0; nowMs < 1000 && givenUp.length === 0; nowMs++) {
      const actions = exchange.next(nowMs)
      for (const { peer, request } of wantsOf(actions)) exchange.onRefused(peer, request, 'all', 'not-held', nowMs)
      givenUp.push(...actions.filter((action) => action.do === 'give-up'))
    }
    expect(givenUp.length).toBe(1)
    expect(exchange.peers(0)[0]?.refused).toBeWithin(PEER_REFUSALS_MAX, PEER_REFUSALS_MAX + 3)
    expect(exchange.isStuck).toBe(true)
  })
})

describe('Exchange gives up on a peer', () => {
  test('that owes pieces and is silent until its deadline', () => {
    const exchange = exchangeWith(4, { silent: 'all' })
    exchange.next(0)
    expect(exchange.wakeMs).toBe(PEER_STALL_MS)
    expect(exchange.next(PEER_STALL_MS - 1)).toEqual([])
    expect(exchange.next(PEER_STALL_MS)).toEqual([
      { do: 'give-up', peer: 'silent', why: 'sent next to nothing of what it owes us for 10 s' },
    ])
    expect(exchange.next(PEER_STALL_MS + 1)).toEqual([])
    exchange.removePeer('silent', PEER_STALL_MS + 1)
    expect([exchange.isStuck, exchange.inFlightBytes]).toEqual([true, 0])
  })

  test('that sends a byte a second', () => {
    const exchange = exchangeWith(1, { slow: 'all' })
    const [want] = wantsOf(exchange.next(0))
    const request = want?.request ?? -1
    exchange.onHead('slow', request, 0, 100_000, 1)
    for (let nowMs = 1000; nowMs < PEER_STALL_MS; nowMs += 1000) exchange.onBytes('slow', request, 0, 1, nowMs)
    expect(exchange.next(PEER_STALL_MS).map((action) => action.do)).toEqual(['give-up'])
  })
})

describe('Exchange spares a seed', () => {
  test('what a machine that fetches, too, has room to send', () => {
    const exchange = exchangeWith(6, { seed: 'all', fetching: [0, 1, 2, 3] })
    const sent: number[] = []
    for (let nowMs = 0; sent.length < 4; nowMs++) {
      for (const want of wantsOf(exchange.next(nowMs))) {
        if (want.peer !== 'seed') continue
        sent.push(deliver(exchange, want, nowMs))
        exchange.onStored(sent.slice(-1), nowMs)
      }
    }
    // The other one owes us two pieces then, which is all that it may.
    expect(sent.slice(0, 2).sort()).toEqual([4, 5])
    expect(exchange.peers(0).map(({ inFlight }) => inFlight)).toEqual([0, 2])
  })
})

describe('Exchange takes over from a slow peer', () => {
  test('what has not begun, and takes it back once it comes', () => {
    const exchange = exchangeWith(1, { slow: [0] })
    const [slow] = wantsOf(exchange.next(0))
    exchange.addPeer('fast', 1)
    exchange.onHoldings('fast', 'all', 1)
    expect(wantsOf(exchange.next(1))).toEqual([])
    const nowMs = 2_000
    const [fast] = wantsOf(exchange.next(nowMs))
    expect(fast?.peer).toBe('fast')
    if (fast === undefined || slow === undefined) throw new Error('nobody was asked')
    deliver(exchange, fast, nowMs + 10)
    expect(exchange.next(nowMs + 10)).toEqual([{ do: 'cancel', peer: 'slow', request: slow.request, piece: 0 }])
    expect(exchange.inFlightBytes).toBe(2 * MIB)
    exchange.onRefused('slow', slow.request, [0], 'cancelled', nowMs + 11)
    exchange.onStored([0], nowMs + 11)
    expect([exchange.inFlightBytes, exchange.isDone]).toEqual([0, true])
  })

  // Once everybody holds everything, nobody but the first could be asked for its choices: the last piece came 10 s late.
  test('what it was only offered as a choice', () => {
    const exchange = exchangeWith(10, { slow: 'all', fetching: [] })
    const [offer] = wantsOf(exchange.next(0))
    expect(offer?.choices.length).toBeGreaterThan(1)
    exchange.onHoldings('fetching', 'all', 1)
    let nowMs = 1
    while (exchange.missing.length > 0 && nowMs < 5_000) {
      for (const want of wantsOf(exchange.next(nowMs))) {
        if (want.peer === 'fetching') exchange.onStored([deliver(exchange, want, nowMs)], nowMs)
      }
      nowMs += 10
    }
    expect(exchange.missing).toEqual([])
  })

  test('what crawls, and does not want the rest of it', () => {
    const exchange = exchangeWith(3, { slow: [0], fast: [1, 2] })
    const wants = wantsOf(exchange.next(0))
    const slow = wants.find(({ peer }) => peer === 'slow')
    if (slow === undefined) throw new Error('nobody was asked')
    exchange.onHead('slow', slow.request, 0, MIB, 0)
    exchange.onBytes('slow', slow.request, 0, 1000, 1_000)
    for (const want of wants) if (want.peer === 'fast') exchange.onStored([deliver(exchange, want, 1_000)], 1_000)
    exchange.onGot('fast', [0], 1_000)
    const [fast] = wantsOf(exchange.next(2_000))
    if (fast === undefined) throw new Error('nobody took over')
    expect([fast.peer, fast.choices]).toEqual(['fast', [0]])
    deliver(exchange, fast, 2_001)
    expect(exchange.next(2_001)).toEqual([{ do: 'cancel', peer: 'slow', request: slow.request, piece: 0 }])
  })
})

// A piece of 400 kB, of which the slow peer has sent 100 kB in the first second.
describe('Exchange asks an idle peer for the rest of what comes slowly', () => {
  const WIRE = 400_000
  const BEGUN = 100_000
  const NOW = 1_000

  function slowlyBegun({ sendsRests = true, isProvedAlone = true } = {}) {
    const exchange = new Exchange({
      pieceBytes: [MIB, MIB],
      wanted: [0, 1],
      random: seededRandom(3),
      inFlightBytesMax: 64 * MIB,
      isProvedAlone: () => isProvedAlone,
    })
    for (const [piece, peer] of ['slow', 'idle'].entries()) {
      exchange.addPeer(peer, 0, sendsRests)
      exchange.onHoldings(peer, holding(2, [piece]), 0)
    }
    const wants = wantsOf(exchange.next(0))
    const slow = wants.find(({ peer }) => peer === 'slow')?.request ?? -1
    exchange.onHead('slow', slow, 0, WIRE, 0)
    exchange.onBytes('slow', slow, 0, BEGUN, NOW)
    const other = wants.find(({ peer }) => peer === 'idle')?.request ?? -1
    exchange.onHead('idle', other, 1, WIRE, 1)
    exchange.onBytes('idle', other, 1, WIRE, 20)
    exchange.onReceived('idle', other, 1, 20)
    exchange.onStored([1], NOW)
    exchange.onGot('idle', [0], NOW)
    const [idle] = wantsOf(exchange.next(2 * NOW))
    return { exchange, slow, idle: idle?.request ?? -1, rest: idle?.rest, from: idle?.rest?.from ?? 0 }
  }

  /** All of the rest. */
  function sendRest({ exchange, idle, from }: ReturnType<typeof slowlyBegun>, nowMs: number) {
    expect(exchange.onHead('idle', idle, 0, WIRE - from, nowMs)).toBe('expected')
    exchange.onBytes('idle', idle, 0, WIRE - from, nowMs)
    return exchange.onReceived('idle', idle, 0, nowMs)
  }

  test('and is done once both have come, the rest first', () => {
    const it = slowlyBegun()
    const { exchange, slow, from } = it
    expect(it.rest).toMatchObject({ peer: 'slow', request: slow })
    expect(from).toBeWithin(BEGUN, WIRE)
    expect(sendRest(it, 2_100)).toBe('partial')
    // It is kept until the beginning is here.
    expect(exchange.inFlightBytes).toBe(2 * MIB)
    expect(exchange.next(2_100)).toEqual([])
    expect(exchange.onBytes('slow', slow, 0, from - BEGUN - 1, 2_200)).toBeFalse()
    expect(exchange.onBytes('slow', slow, 0, 1, 2_300)).toBeTrue()
    expect(exchange.inFlightBytes).toBe(2 * MIB)
    expect(exchange.next(2_300)).toEqual([{ do: 'cancel', peer: 'slow', request: slow, piece: 0 }])
    exchange.onRefused('slow', slow, [0], 'cancelled', 2_400)
    exchange.onStored([0], 2_400)
    expect([exchange.isDone, exchange.inFlightBytes]).toEqual([true, 0])
  })

  test('and is done once both have come, the beginning first', () => {
    const it = slowlyBegun()
    const { exchange, slow, idle, from } = it
    expect(exchange.onBytes('slow', slow, 0, from - BEGUN, 2_050)).toBeFalse()
    // Until the rest begins to come, it may as well come from where the beginning does.
    expect(exchange.next(2_050)).toEqual([])
    expect(exchange.onHead('idle', idle, 0, WIRE - from, 2_060)).toBe('expected')
    expect(exchange.next(2_060)).toEqual([{ do: 'cancel', peer: 'slow', request: slow, piece: 0 }])
    exchange.onRefused('slow', slow, [0], 'cancelled', 2_070)
    // What came of the beginning still takes its memory.
    expect(exchange.inFlightBytes).toBe(2 * MIB)
    exchange.onBytes('idle', idle, 0, WIRE - from, 2_080)
    expect(exchange.onReceived('idle', idle, 0, 2_080)).toBe('expected')
    exchange.onStored([0], 2_090)
    expect([exchange.isDone, exchange.inFlightBytes]).toEqual([true, 0])
  })

  test('and takes it whole from the slow one, where that is sooner after all', () => {
    const { exchange, slow, idle, from } = slowlyBegun()
    exchange.onBytes('slow', slow, 0, WIRE - BEGUN, 2_010)
    expect(exchange.onReceived('slow', slow, 0, 2_010)).toBe('expected')
    // The rest may still come, and keeps nothing of the beginning.
    expect(exchange.inFlightBytes).toBe(2 * MIB)
    expect(exchange.next(2_010)).toEqual([{ do: 'cancel', peer: 'idle', request: idle, piece: 0 }])
    expect(exchange.onHead('idle', idle, 0, WIRE - from, 2_020)).toBe('unwanted')
  })

  test('once, where it is refused, and does not take that for a broken word', () => {
    const { exchange, slow, idle } = slowlyBegun()
    exchange.onRefused('idle', idle, [0], 'not-held', 2_010)
    expect(exchange.peers(2_010).map(({ refused }) => refused)).toEqual([0, 0])
    exchange.onBytes('slow', slow, 0, WIRE - BEGUN, 2_060)
    expect(exchange.onReceived('slow', slow, 0, 2_060)).toBe('expected')
  })

  test('and for all of it where the beginning stops before the rest', () => {
    for (const isHere of [false, true]) {
      const it = slowlyBegun()
      const { exchange, idle } = it
      if (isHere) expect(sendRest(it, 2_100)).toBe('partial')
      exchange.removePeer('slow', 2_200)
      const actions = exchange.next(2_200)
      if (!isHere) expect(actions[0]).toEqual({ do: 'cancel', peer: 'idle', request: idle, piece: 0 })
      const [again] = wantsOf(actions)
      if (again === undefined) throw new Error('nobody was asked')
      expect([again.peer, again.choices, again.rest]).toEqual(['idle', [0], undefined])
      exchange.onStored([deliver(exchange, again, 2_300)], 2_300)
      if (!isHere) exchange.onRefused('idle', idle, [0], 'cancelled', 2_300)
      expect([exchange.isDone, exchange.inFlightBytes]).toEqual([true, 0])
    }
  })

  test('and for all of it where the rest is here and the beginning hardly comes', () => {
    const it = slowlyBegun()
    const { exchange, slow } = it
    expect(sendRest(it, 2_100)).toBe('partial')
    exchange.onBytes('slow', slow, 0, 1, 6_000)
    const [whole] = wantsOf(exchange.next(6_000))
    if (whole === undefined) throw new Error('nobody was asked')
    expect([whole.peer, whole.rest]).toEqual(['idle', undefined])
    exchange.onStored([deliver(exchange, whole, 6_010)], 6_010)
    expect(exchange.next(6_010)).toEqual([{ do: 'cancel', peer: 'slow', request: slow, piece: 0 }])
    exchange.onRefused('slow', slow, [0], 'cancelled', 6_020)
    expect([exchange.isDone, exchange.inFlightBytes]).toEqual([true, 0])
  })

  test('and, where both together are wrong, suspects both and has it all from one', () => {
    const it = slowlyBegun()
    const { exchange, slow, from } = it
    sendRest(it, 2_100)
    exchange.onBytes('slow', slow, 0, from - BEGUN, 2_200)
    exchange.next(2_200)
    exchange.onRefused('slow', slow, [0], 'cancelled', 2_210)
    exchange.onWrong(0, 2_220)
    const [again] = wantsOf(exchange.next(2_300))
    if (again === undefined) throw new Error('nobody was asked')
    expect(again.rest).toBeUndefined()
    exchange.onStored([deliver(exchange, again, 2_310)], 2_310)
    expect([exchange.isDone, exchange.inFlightBytes]).toEqual([true, 0])
  })

  test('only where it knows what that is, and where the piece is proved alone', () => {
    expect(slowlyBegun({ sendsRests: false }).rest).toBeUndefined()
    expect(slowlyBegun({ isProvedAlone: false }).rest).toBeUndefined()
  })

  test('and takes another length for a violation', () => {
    const { exchange, idle, from } = slowlyBegun()
    expect(exchange.onHead('idle', idle, 0, WIRE - from - 1, 2_010)).toBe('violation')
  })
})

describe('Exchange fetches again', () => {
  test('a wrong piece, elsewhere', () => {
    const exchange = exchangeWith(1, { liar: 'all' })
    const [want] = wantsOf(exchange.next(0))
    if (want === undefined) throw new Error('nobody was asked')
    deliver(exchange, want, 1)
    exchange.onWrong(0, 2)
    expect(wantsOf(exchange.next(2))).toEqual([])
    expect(exchange.isStuck).toBe(true)
    exchange.addPeer('honest', 3)
    exchange.onHoldings('honest', 'all', 3)
    expect(wantsOf(exchange.next(3)).map(({ peer }) => peer)).toEqual(['honest'])
  })

  test('all pieces of a wrong blob from one peer, and not from those that sent parts of it', () => {
    const exchange = exchangeWith(6, { a: 'all', b: 'all' })
    for (let nowMs = 0; exchange.missing.length > 0; nowMs += 10) {
      for (const want of wantsOf(exchange.next(nowMs))) exchange.onHeld(deliver(exchange, want, nowMs + 1), nowMs + 1)
    }
    exchange.addPeer('c', 100)
    exchange.onHoldings('c', 'all', 100)
    exchange.onBlobWrong([0, 1, 2, 3, 4, 5], 100)
    expect(exchange.missing).toEqual([0, 1, 2, 3, 4, 5])
    const asked: string[] = []
    for (let nowMs = 100; !exchange.isDone; nowMs += 10) {
      for (const want of wantsOf(exchange.next(nowMs))) {
        asked.push(want.peer)
        exchange.onStored([deliver(exchange, want, nowMs + 1)], nowMs + 1)
      }
    }
    expect(asked).toEqual(['c', 'c', 'c', 'c', 'c', 'c'])
  })

  // Two that stall in turn, and come back, were the least suspicious each time.
  test('a wrong blob from others, where those that were chosen for it do not deliver', () => {
    const exchange = exchangeWith(4, { a: 'all', b: 'all' })
    for (const want of wantsOf(exchange.next(0))) exchange.onHeld(deliver(exchange, want, 1), 1)
    expect(exchange.missing).toEqual([])
    exchange.onBlobWrong([0, 1, 2, 3], 2)
    const backMs = new Map([
      ['mute', 2],
      ['silent', 2],
    ])
    const asked: string[] = []
    for (let nowMs = 2; nowMs < 20 * PEER_STALL_MS && !exchange.isDone; nowMs += 1_000) {
      for (const [peer, atMs] of backMs) {
        if (nowMs < atMs) continue
        backMs.delete(peer)
        exchange.addPeer(peer, nowMs)
        exchange.onHoldings(peer, 'all', nowMs)
      }
      for (const action of exchange.next(nowMs)) {
        if (action.do === 'give-up') {
          exchange.removePeer(action.peer, nowMs)
          backMs.set(action.peer, nowMs + 2_000)
        }
        if (action.do !== 'want') continue
        asked.push(action.peer)
        if (action.peer === 'a' || action.peer === 'b') exchange.onStored([deliver(exchange, action, nowMs)], nowMs)
      }
    }
    expect(['mute', 'silent']).toContain(asked[0] ?? '')
    expect(exchange.isDone).toBe(true)
  })
})

// Goal: whatever peers say, in whatever order, nothing throws, and what may be in flight is kept. Method: any events, most
// of them nonsense, and afterwards a peer that delivers.
test('Exchange keeps its bounds and comes to its end after any events', () => {
  const count = 6
  const piece = fc.integer({ min: -1, max: count })
  const events = fc.array(
    fc.record({
      kind: fc.constantFrom(
        'add',
        'remove',
        'all',
        'some',
        'got',
        'choke',
        'head',
        'bytes',
        'received',
        'refused',
        'verified',
      ),
      peer: fc.constantFrom('a', 'b', 'c'),
      request: fc.integer({ min: -1, max: 12 }),
      piece,
      pieces: fc.uniqueArray(piece, { maxLength: 3 }),
      flag: fc.boolean(),
      wireBytes: fc.constantFrom(-1, 0, 5, 10, 11, Number.NaN),
      reason: fc.constantFrom('not-held' as const, 'choked' as const, 'cancelled' as const, 'failed' as const),
      elapsedMs: fc.constantFrom(0, 1, 60, 3_000),
    }),
    { maxLength: 80 },
  )
  fc.assert(
    fc.property(events, fc.nat(), (sequence, seed) => {
      const pieceBytes = Array.from({ length: count }, () => 10)
      const exchange = new Exchange({
        pieceBytes,
        wanted: pieceBytes.keys(),
        random: seededRandom(seed),
        inFlightBytesMax: 30,
      })
      let nowMs = 0
      const verifying: number[] = []
      const work = () => {
        const actions = exchange.next(nowMs)
        expect(exchange.inFlightBytes).toBeWithin(0, 31)
        for (const { choices } of wantsOf(actions)) {
          for (const each of choices) expect(exchange.missing).toContain(each)
        }
        return actions
      }
      const verify = (flag: boolean) => {
        const each = verifying.shift()
        if (each === undefined) return
        if (flag) exchange.onStored([each], nowMs)
        else exchange.onWrong(each, nowMs)
      }
      for (const event of sequence) {
        const { kind, peer, request } = event
        nowMs += event.elapsedMs
        if (kind === 'add') exchange.addPeer(peer, nowMs)
        else if (kind === 'remove') exchange.removePeer(peer, nowMs)
        else if (kind === 'all') exchange.onHoldings(peer, 'all', nowMs)
        else if (kind === 'some') exchange.onHoldings(peer, holding(count, event.pieces), nowMs)
        else if (kind === 'got') exchange.onGot(peer, event.pieces, nowMs)
        else if (kind === 'choke') exchange.onChoke(peer, event.flag, nowMs)
        else if (kind === 'head') exchange.onHead(peer, request, event.piece, event.wireBytes, nowMs)
        else if (kind === 'bytes') exchange.onBytes(peer, request, event.piece, 3, nowMs)
        else if (kind === 'received') {
          if (exchange.onReceived(peer, request, event.piece, nowMs) === 'expected') verifying.push(event.piece)
        } else if (kind === 'refused') {
          exchange.onRefused(peer, request, event.flag ? 'all' : event.pieces, event.reason, nowMs)
        } else verify(event.flag)
        work()
      }
      while (verifying.length > 0) verify(true)
      for (const peer of ['a', 'b', 'c']) exchange.removePeer(peer, nowMs)
      exchange.addPeer('honest', nowMs)
      exchange.onHoldings('honest', 'all', nowMs)
      for (let round = 0; round < 20 && !exchange.isDone; round++) {
        for (const { peer, request, choices } of wantsOf(work())) {
          const [first = -1] = choices
          expect(exchange.onHead(peer, request, first, 10, nowMs)).toBe('expected')
          expect(exchange.onReceived(peer, request, first, nowMs)).toBe('expected')
          exchange.onStored([first], nowMs)
        }
      }
      expect([exchange.isDone, exchange.inFlightBytes, exchange.isStuck]).toEqual([true, 0, false])
    }),
    { numRuns: runs(500) },
  )
})
