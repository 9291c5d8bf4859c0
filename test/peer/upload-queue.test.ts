import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { seededRandom } from '../../src/base/random.ts'
import { UPLOAD_REST_MS_MAX, UPLOAD_TURN_MS, UPLOAD_WANTS_MAX } from '../../src/base/upload-limits.ts'
import { type UploadAction, UploadQueue } from '../../src/peer/upload-queue.ts'
import { runs } from '../support/runs.ts'

function queueOf(slots: number, peers: readonly string[]): UploadQueue {
  const queue = new UploadQueue({ slots, random: seededRandom(7) })
  for (const peer of peers) queue.addPeer(peer, 0)
  return queue
}

const chokesOf = (actions: readonly UploadAction[]) =>
  actions.flatMap((action) => (action.do === 'choke' ? [`${action.choked ? '-' : '+'}${action.peer}`] : []))

describe('UploadQueue.next()', () => {
  test('sends what all peers together were served least, each piece once while there are others', () => {
    const queue = queueOf(8, ['a', 'b', 'c'])
    const choices = [0, 1, 2, 3, 4, 5, 6, 7, 8]
    const sent: number[] = []
    for (let round = 0; round < 3; round++)
      for (const peer of ['a', 'b', 'c']) {
        queue.onWant(peer, { request: round, catalog: 'c', count: 1, choices }, 0)
        const upload = queue.next(peer, 0)
        if (upload === undefined) throw new Error('nothing to send')
        sent.push(upload.piece)
        queue.onSent(peer, upload, 100, 0)
      }
    expect(sent.sort()).toEqual(choices)
    expect(choices.map((piece) => queue.servedCount('c', piece))).toEqual(choices.map(() => 1))
  })

  test('sends an exact request in its order, one piece at a time, and knows catalogs apart', () => {
    const queue = queueOf(8, ['a'])
    queue.onWant('a', { request: 1, catalog: 'x', count: 3, choices: [5, 3, 4] }, 0)
    queue.onWant('a', { request: 2, catalog: 'y', count: 1, choices: [5] }, 0)
    const sent: string[] = []
    for (;;) {
      const upload = queue.next('a', 0)
      if (upload === undefined) break
      expect(queue.next('a', 0)).toBeUndefined()
      sent.push(`${upload.request}${upload.catalog}${upload.piece}`)
      queue.onSent('a', upload, 1, 0)
    }
    expect(sent).toEqual(['1x5', '1x3', '1x4', '2y5'])
  })
})

describe('UploadQueue, of choices that are all on their way to others,', () => {
  const TOOK_MS = 100

  /** `peer` is handed piece `piece` of `catalog` at 0, and tells of it `tookMs` later, if at all. */
  function hand(queue: UploadQueue, peer: string, catalog: string, piece: number, tookMs?: number): void {
    queue.onWant(peer, { request: 100 + piece, catalog, count: 1, choices: [piece] }, 0)
    const upload = queue.next(peer, 0)
    if (upload === undefined) throw new Error('nothing to send')
    queue.onSent(peer, upload, 1, 0)
    if (tookMs !== undefined) queue.onGot(peer, catalog, [piece], tookMs)
  }

  /** Two pieces were handed out to `a` and `b`, who pass on what they get; `c` leaves the choice between them to us. */
  function resting(tookMs = TOOK_MS) {
    const queue = queueOf(8, ['a', 'b', 'c'])
    // One that is far slower counts for nothing.
    for (const [piece, ms] of [tookMs, tookMs, 1e6, tookMs, tookMs].entries()) {
      for (const peer of ['a', 'b']) hand(queue, peer, `y${peer}`, piece, ms)
    }
    hand(queue, 'a', 'x', 0)
    hand(queue, 'b', 'x', 1)
    queue.onWant('c', { request: 1, catalog: 'x', count: 1, choices: [0, 1] }, 10)
    queue.tick(10)
    return queue
  }

  test('sends none until they should have come, and then one', () => {
    const queue = resting()
    expect(queue.next('c', 10)).toBeUndefined()
    expect(queue.wakeMs).toBe(4 * TOOK_MS)
    queue.tick(4 * TOOK_MS)
    expect([0, 1]).toContain(queue.next('c', 4 * TOOK_MS)?.piece ?? -1)
  })

  test('sends none for a moment after one was told of, so that it can be asked for there', () => {
    const queue = resting()
    expect(queue.next('c', 10)).toBeUndefined()
    queue.onGot('a', 'x', [0], 150)
    expect(queue.wakeMs).toBe(150 + TOOK_MS / 2)
    expect(queue.next('c', 150 + TOOK_MS / 2 - 1)).toBeUndefined()
    expect(queue.next('c', 150 + TOOK_MS / 2)).toBeDefined()
  })

  test('sends at once what is on its way to one who leaves, or who passes nothing on', () => {
    const left = resting()
    left.removePeer('b')
    expect(left.next('c', 10)).toBeDefined()
    const queue = resting()
    queue.addPeer('d', 0)
    hand(queue, 'd', 'x', 2)
    queue.onWant('c', { request: 2, catalog: 'x', count: 1, choices: [0, 2] }, 20)
    expect(queue.next('c', 20)).toMatchObject({ request: 2 })
  })

  test('sends meanwhile what a peer asks for by name, and what nobody has yet', () => {
    const queue = resting()
    queue.onWant('c', { request: 2, catalog: 'x', count: 1, choices: [1] }, 20)
    queue.onWant('b', { request: 2, catalog: 'x', count: 1, choices: [0, 1, 2] }, 20)
    expect(queue.next('c', 20)).toMatchObject({ request: 2, piece: 1 })
    expect(queue.next('b', 20)).toMatchObject({ request: 2, piece: 2 })
  })

  test('waits no longer than the bound, however slow the link', () => {
    const queue = resting(1e6)
    expect(queue.next('c', 20)).toBeUndefined()
    expect(queue.wakeMs).toBe(UPLOAD_REST_MS_MAX)
  })
})

test('UploadQueue.onCancel() takes back what waits, and says so of what is being sent', () => {
  const queue = queueOf(8, ['a'])
  queue.onWant('a', { request: 1, catalog: 'x', count: 2, choices: [1, 2, 3] }, 0)
  const upload = queue.next('a', 0)
  if (upload === undefined) throw new Error('nothing to send')
  const [other = -1] = [1, 2, 3].filter((piece) => piece !== upload.piece)
  expect(queue.onCancel('a', 1, other)).toBe(false)
  expect(queue.onCancel('a', 1, upload.piece)).toBe(true)
  expect(queue.tick(0)).toEqual([{ do: 'refuse', peer: 'a', request: 1, pieces: [other], reason: 'cancelled' }])
  queue.onUnsent('a', upload, { begun: true }, 0)
  expect(queue.servedCount('x', upload.piece)).toBe(0)
  const [last] = [1, 2, 3].filter((piece) => piece !== upload.piece && piece !== other)
  expect(queue.next('a', 0)?.piece).toBe(last)
  expect(queue.onCancel('a', 9, 1)).toBe(false)
})

test('UploadQueue.onUnsent() lets another choice take the place of one that cannot be sent', () => {
  const queue = queueOf(8, ['a'])
  queue.onWant('a', { request: 1, catalog: 'x', count: 1, choices: [1, 2] }, 0)
  const upload = queue.next('a', 0)
  if (upload === undefined) throw new Error('nothing to send')
  queue.onUnsent('a', upload, { begun: false }, 0)
  const second = queue.next('a', 0)
  expect(second?.piece).toBe(upload.piece === 1 ? 2 : 1)
  if (second !== undefined) queue.onUnsent('a', second, { begun: false }, 0)
  expect(queue.next('a', 0)).toBeUndefined()
})

test('UploadQueue.onWant() refuses what would cost us without bound', () => {
  const queue = queueOf(8, ['a'])
  const want = { catalog: 'x', count: 1, choices: [1] }
  expect(queue.onWant('a', { ...want, request: 1, count: 2 }, 0)).toBe('violation')
  expect(queue.onWant('a', { ...want, request: 1, count: 0, choices: [] }, 0)).toBe('violation')
  for (let request = 0; request < UPLOAD_WANTS_MAX; request++) {
    expect(queue.onWant('a', { ...want, request }, 0)).toBe('expected')
  }
  expect(queue.onWant('a', { ...want, request: 1000 }, 0)).toBe('violation')
  const other = queueOf(8, ['a'])
  expect(other.onWant('a', { ...want, request: 1 }, 0)).toBe('expected')
  expect(other.onWant('a', { ...want, request: 1 }, 0)).toBe('violation')
})

describe('UploadQueue.tick()', () => {
  const want = (queue: UploadQueue, peer: string, request: number, nowMs: number) =>
    queue.onWant(peer, { request, catalog: 'x', count: 1, choices: [request] }, nowMs)

  test('chokes nobody while there are slots, then who came last, whose wants it refuses', () => {
    const queue = queueOf(2, ['a', 'b', 'c'])
    want(queue, 'a', 1, 0)
    want(queue, 'b', 1, 0)
    expect(queue.tick(0)).toEqual([])
    want(queue, 'c', 1, 10)
    expect(queue.tick(10)).toEqual([
      { do: 'choke', peer: 'c', choked: true },
      { do: 'refuse', peer: 'c', request: 1, pieces: 'all', reason: 'choked' },
    ])
    want(queue, 'c', 2, 20)
    expect(queue.tick(20)).toEqual([{ do: 'refuse', peer: 'c', request: 2, pieces: 'all', reason: 'choked' }])
    expect(queue.next('c', 20)).toBeUndefined()
  })

  test('gives a slot on when its peer has gone, or wants nothing more', () => {
    const queue = queueOf(1, ['a', 'b', 'c'])
    for (const peer of ['a', 'b', 'c']) {
      want(queue, peer, 1, 0)
      queue.tick(0)
    }
    queue.removePeer('a')
    const [unchoked = ''] = chokesOf(queue.tick(1))
    expect(['+b', '+c']).toContain(unchoked)
    // That one wants nothing any more.
    const wakeMs = queue.wakeMs ?? Number.NaN
    expect(chokesOf(queue.tick(wakeMs))).toEqual([unchoked === '+b' ? '+c' : '+b'])
  })

  // Times are fractions: close to a power of two, one that was rounded otherwise in the comparison than in the sum was never over.
  test('has a time to come back to at which there is something to do, and none once nobody waits', () => {
    const times = fc
      .tuple(fc.integer({ min: 9, max: 24 }), fc.nat(249_999))
      .map(([bits, micros]) => 2 ** bits - micros / 1000)
    fc.assert(
      fc.property(times, (nowMs) => {
        const queue = queueOf(1, ['a', 'b'])
        for (const peer of ['a', 'b']) want(queue, peer, 1, nowMs)
        queue.tick(nowMs)
        const upload = queue.next('a', nowMs)
        if (upload !== undefined) queue.onSent('a', upload, 1, nowMs)
        queue.tick(nowMs)
        expect(chokesOf(queue.tick(queue.wakeMs ?? Number.NaN))).toEqual(['+b'])
        want(queue, 'a', 2, nowMs + 1000)
        want(queue, 'b', 2, nowMs + 1000)
        queue.tick(nowMs + 1000)
        expect(queue.wakeMs).toBeDefined()
        for (const peer of ['a', 'b']) queue.removePeer(peer)
        queue.tick(nowMs + 9000)
        expect(queue.wakeMs).toBeUndefined()
      }),
      { numRuns: runs(200) },
    )
  })

  test('passes slots on at each turn, from the slowest to those that have waited longest', () => {
    const peers = ['a', 'b', 'c', 'd', 'e', 'f']
    const queue = queueOf(4, peers)
    const speed = new Map(peers.map((peer, index) => [peer, (6 - index) * 1000]))
    const turns = new Map(peers.map((peer) => [peer, 0]))
    let request = 0
    for (let nowMs = 0; nowMs < 10 * UPLOAD_TURN_MS; nowMs += 100) {
      for (const peer of peers) {
        const upload = queue.next(peer, nowMs)
        if (upload !== undefined) {
          queue.onSent(peer, upload, speed.get(peer) ?? 0, nowMs + 99)
          turns.set(peer, (turns.get(peer) ?? 0) + 1)
        }
        if (!queue.isChoked(peer)) want(queue, peer, request++, nowMs)
      }
      queue.tick(nowMs)
      expect(peers.filter((peer) => !queue.isChoked(peer)).length).toBe(4)
    }
    expect([...turns.values()].every((count) => count > 10)).toBe(true)
    expect(turns.get('a') ?? 0).toBeGreaterThan(turns.get('f') ?? 0)
  })
})

// Goal: every want ends, whatever comes in which order. Method: any sequence of events against a count of what is owed.
test('UploadQueue answers every want to its end', () => {
  const events = fc.array(
    fc.record({
      kind: fc.constantFrom('want', 'cancel', 'send', 'fail', 'tick'),
      peer: fc.constantFrom('a', 'b', 'c'),
      choices: fc.uniqueArray(fc.nat(5), { minLength: 1, maxLength: 4 }),
      count: fc.integer({ min: 1, max: 4 }),
      request: fc.nat(20),
      begun: fc.boolean(),
      elapsedMs: fc.nat(1000),
    }),
    { maxLength: 60 },
  )
  fc.assert(
    fc.property(events, fc.integer({ min: 1, max: 3 }), (sequence, slots) => {
      const queue = queueOf(slots, ['a', 'b', 'c'])
      /** By peer and request: choices that are left, and how many of them are owed. */
      const owed = new Map<string, { choices: Set<number>; left: number }>()
      let nowMs = 0
      let requests = 0
      const refuse = (key: string, pieces: 'all' | readonly number[]) => {
        const want = owed.get(key)
        // The refusal of one choice may come after the piece that was sent instead.
        if (want === undefined) return
        for (const piece of pieces === 'all' ? [...want.choices] : pieces) want.choices.delete(piece)
        want.left = Math.min(want.left, want.choices.size)
        if (want.left === 0) owed.delete(key)
      }
      const tick = () => {
        for (const action of queue.tick(nowMs)) {
          if (action.do === 'refuse') refuse(`${action.peer}:${action.request}`, action.pieces)
        }
      }
      const send = (peer: string, begun: boolean, whole: boolean) => {
        const upload = queue.next(peer, nowMs)
        if (upload === undefined) return false
        const key = `${peer}:${upload.request}`
        const want = owed.get(key)
        expect(want?.choices.has(upload.piece)).toBe(true)
        if (!whole) queue.onUnsent(peer, upload, { begun }, nowMs)
        else queue.onSent(peer, upload, 1, nowMs)
        if (!whole && !begun) refuse(key, [upload.piece])
        else if (want !== undefined) {
          want.choices.delete(upload.piece)
          if (--want.left === 0) owed.delete(key)
        }
        return true
      }
      for (const { kind, peer, choices, count, request, begun, elapsedMs } of sequence) {
        nowMs += elapsedMs
        if (kind === 'tick') tick()
        else if (kind === 'send') send(peer, true, true)
        else if (kind === 'fail') send(peer, begun, false)
        else if (kind === 'cancel') {
          queue.onCancel(peer, request, choices[0] ?? 0)
          // What it refuses is owed only now.
          tick()
        } else {
          const left = Math.min(count, choices.length)
          owed.set(`${peer}:${requests}`, { choices: new Set(choices), left })
          expect(queue.onWant(peer, { request: requests++, catalog: 'x', count: left, choices }, nowMs)).toBe(
            'expected',
          )
        }
      }
      tick()
      for (const peer of ['a', 'b', 'c']) while (send(peer, true, true)) tick()
      expect(owed.size).toBe(0)
    }),
    { numRuns: runs(300) },
  )
})
