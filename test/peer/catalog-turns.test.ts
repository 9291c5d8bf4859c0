import { expect, test } from 'bun:test'
import { never } from '../../src/base/clock.ts'
import { abortable } from '../../src/base/concurrency.ts'
import { CATALOG_TURN_MS } from '../../src/base/limits.ts'
import { roomLogger } from '../../src/base/log.ts'
import { CatalogTurns, PIECES_HELD_MS_MAX } from '../../src/peer/catalog-turns.ts'
import { ComingCatalogs } from '../../src/peer/coming-catalogs.ts'
import { nothingServed, Uploads } from '../../src/peer/serve.ts'
import { failureOf } from '../support/failure-of.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { emptyCatalog } from '../support/members.ts'

/** What has resolved by now. */
async function soon(): Promise<void> {
  await Bun.sleep(0)
}

test('CatalogTurns gives one turn after the other, in the order of asking, and frees those who wait for none', async () => {
  const turns = new CatalogTurns(new ManualClock())
  const order: string[] = []
  const first = await turns.enter(never)
  const second = turns.enter(never).then((turn) => {
    order.push('second')
    return turn
  })
  const third = turns.enter(never).then((turn) => {
    order.push('third')
    return turn
  })
  void turns.free(never).then(() => order.push('free'))
  await soon()
  expect(order).toEqual([])
  first[Symbol.dispose]()
  await soon()
  expect(order).toEqual(['second'])
  ;(await second)[Symbol.dispose]()
  ;(await third)[Symbol.dispose]()
  await soon()
  expect(order).toEqual(['second', 'third', 'free'])
  expect(turns.holdsPieces).toBeFalse()
})

// A peer that takes nothing must not keep everybody else's pieces waiting.
test('CatalogTurns takes a turn back that does not end', async () => {
  const clock = new ManualClock()
  const turns = new CatalogTurns(clock)
  const first = await turns.enter(never)
  let hasSecond = false
  const second = turns.enter(never).then((turn) => {
    hasSecond = true
    return turn
  })
  await clock.advance(CATALOG_TURN_MS - 1)
  await soon()
  expect(hasSecond).toBeFalse()
  await clock.advance(1)
  await soon()
  expect(hasSecond).toBeTrue()
  await clock.advance(CATALOG_TURN_MS)
  await turns.free(never)
  // Each ends once, however often it is ended.
  first[Symbol.dispose]()
  ;(await second)[Symbol.dispose]()
  expect(turns.holdsPieces).toBeFalse()
  const last = await turns.enter(never)
  expect(turns.holdsPieces).toBeTrue()
  last[Symbol.dispose]()
})

test('CatalogTurns lets nobody pass by one that has left, and none waits for it', async () => {
  const turns = new CatalogTurns(new ManualClock())
  const first = await turns.enter(never)
  const left = new AbortController()
  const leaving = failureOf(turns.enter(left.signal))
  let hasThird = false
  const third = turns.enter(never).then((turn) => {
    hasThird = true
    return turn
  })
  const reason = new Error('it has gone')
  left.abort(reason)
  expect(await leaving).toBe(reason)
  await soon()
  expect(hasThird).toBeFalse()
  first[Symbol.dispose]()
  ;(await third)[Symbol.dispose]()
  expect(turns.holdsPieces).toBeFalse()
})

// A member that asks for catalogs again and again would else stop all pieces.
test('CatalogTurns holds pieces back for a bounded time only, and again after they had theirs', async () => {
  const clock = new ManualClock()
  const turns = new CatalogTurns(clock)
  const askAgain = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += CATALOG_TURN_MS / 2) {
      const turn = await turns.enter(never)
      await clock.advance(CATALOG_TURN_MS / 2)
      turn[Symbol.dispose]()
    }
  }
  const asking = askAgain(2 * PIECES_HELD_MS_MAX)
  let isFree = false
  const freed = (async () => {
    while (clock.nowMs() < PIECES_HELD_MS_MAX - 1) {
      await soon()
      await turns.free(never)
    }
    isFree = true
  })()
  await asking
  await freed
  expect([isFree, turns.holdsPieces]).toEqual([true, false])
  const held = await turns.enter(never)
  expect(turns.holdsPieces).toBeFalse()
  held[Symbol.dispose]()
  await clock.advance(PIECES_HELD_MS_MAX)
  const later = await turns.enter(never)
  expect(turns.holdsPieces).toBeTrue()
  later[Symbol.dispose]()
})

// Pieces to the same peer may fill the queue of a slow link for ever: nothing else was answered on it then.
test('Uploads waits no longer than its turn for a catalog to be on its way', async () => {
  const clock = new ManualClock()
  const { held, stored } = emptyCatalog()
  const answered: number[] = []
  const uploads = new Uploads({
    library: { ...nothingServed, storedCatalog: async () => stored },
    log: roomLogger('peer'),
    shared: {
      catalogTurns: new CatalogTurns(clock),
      coming: new ComingCatalogs(clock, () => {}),
      uploadLimit: undefined,
    },
    send: () => true,
    drained: async () => {},
    emptied: (signal) => abortable(new Promise<void>(() => {}), signal),
    onAnswered: (request) => answered.push(request),
    onCrash: (error) => {
      throw error
    },
  })
  uploads.catalog(0, held.name)
  uploads.catalog(1, held.name)
  await clock.advance(CATALOG_TURN_MS - 1)
  expect(answered).toEqual([0])
  await clock.advance(1)
  await soon()
  expect(answered).toEqual([0, 1])
  uploads.stop()
})
