import { describe, expect, test } from 'bun:test'
import { runs } from '../support/runs.ts'
import { anyWorld } from './any-world.ts'
import { type CrowdFigures, host, hosts, LINK_BYTES_PER_SECOND, runCrowd } from './crowd-world.ts'
import type { HostPlan } from './transfer-world.ts'
import { World } from './transfer-world.ts'

/** Simulated time in which every small crowd is done: 2 MB at a hundredth of the usual speed, and many deadlines. */
const ANY_MS_MAX = 600_000

// Goal: nothing wrong is ever stored, memory stays bounded, and as long as one honest seed is there every fetch ends.
// Method: the real Exchange and UploadQueue in small crowds with liars, mutes, slow, vanishing and cut-off machines.
test(
  'Exchange and UploadQueue bring every fetch to its end, in any crowd',
  () => {
    const first = Math.floor(Math.random() * 2 ** 31)
    const count = runs(1000)
    console.log(`seeds ${first} to ${first + count - 1}`)
    for (let seed = first; seed < first + count; seed++) {
      const options = anyWorld(seed)
      const world = new World(options)
      const isDone = world.run(ANY_MS_MAX)
      const wrong = world.hosts.reduce((sum, each) => sum + each.wrongStored, 0)
      const inFlight = Math.max(...world.hosts.map((each) => each.inFlightBytesMost))
      const inFlightMax = Math.max(options.inFlightBytesMax, ...options.pieceBytes)
      const told = { seed, isDone, wrong, inFlightKept: inFlight <= inFlightMax }
      expect(told).toEqual({ seed, isDone: true, wrong: 0, inFlightKept: true })
    }
  },
  runs(120_000),
)

// A rest that was not needed any more, since all had come from where its beginning did, took the memory of both.
test('Exchange keeps its bound where the rest of a piece is not needed after all', () => {
  const options = anyWorld(1814071)
  const world = new World(options)
  expect(world.run(ANY_MS_MAX)).toBeTrue()
  expect(Math.max(...world.hosts.map((each) => each.inFlightBytesMost))).toBeLessThanOrEqual(options.inFlightBytesMax)
})

// Two that never finish, and were given each other's work by turns, though an honest machine had nothing to do.
test('Exchange does not let two tricklers keep a piece from everybody else', () => {
  expect(new World({ ...anyWorld(86407570), sendsRests: false }).run(ANY_MS_MAX)).toBeTrue()
})

// Pieces of a wrong blob, to be had of one peer only, were left to a machine that could not be asked for them.
test('Exchange spares a seed only what it may ask others for', () => {
  expect(new World({ ...anyWorld(16415063), sendsRests: false }).run(ANY_MS_MAX)).toBeTrue()
})

test('World.run() comes to the same end from the same seed', () => {
  const ends = [1, 2].map(() => {
    const world = new World(anyWorld(11))
    world.run(ANY_MS_MAX)
    return world.hosts.map(({ id, doneMs }) => [doneMs, world.network.sentBytes(id)])
  })
  expect(ends[0]).toEqual(ends[1] ?? [])
})

// Goal: the choices are as good as those that experiments found. Method: 500 pieces of some 0.33 MB on the wire, links of
// 100 Mbit/s; the figures that the real transfers have to reach are the bounds.
describe('a simulated crowd', () => {
  const seed = Math.floor(Math.random() * 2 ** 31)
  const run = (plans: readonly HostPlan[]) => runCrowd({ seed, hosts: plans, pieceCount: 500 })
  const told = (figures: CrowdFigures) => `seed ${seed}: ${JSON.stringify({ ...figures, doneMs: undefined })}`
  const alone = run(hosts(1, 1))
  const crowd = run(hosts(1, 7))

  test('of eight takes hardly longer than one alone, and its seed sends everything hardly more than once', () => {
    expect(crowd.lastMs / alone.lastMs, told(crowd)).toBeLessThan(1.1)
    expect(crowd.lastMs / crowd.medianMs, told(crowd)).toBeLessThan(1.05)
    expect(crowd.seedShare, told(crowd)).toBeLessThan(1.1)
    expect(crowd.allShare, told(crowd)).toBeLessThan(1.02)
  })

  test('takes little longer the larger it is', () => {
    const large = run(hosts(1, 23))
    expect(large.lastMs / alone.lastMs, told(large)).toBeLessThan(1.25)
    expect(large.allShare, told(large)).toBeLessThan(1.05)
  })

  test('loses little where one of eight machines sends at a hundredth of the usual speed', () => {
    const slow = { upBytesPerSecond: LINK_BYTES_PER_SECOND / 100 }
    const among = run([...hosts(1, 6), host(slow)])
    expect(among.lastMs / crowd.lastMs, told(among)).toBeLessThan(1.3)
    // Eight sources of one fast machine: it would wait longest for what it asked of the slow one.
    const fast = host({ downBytesPerSecond: 10 * LINK_BYTES_PER_SECOND })
    const healthy = run([...hosts(8, 0), fast])
    const from = run([...hosts(7, 0), host({ ...slow, isSeed: true }), fast])
    expect(from.lastMs / healthy.lastMs, told(from)).toBeLessThan(1.3)
    expect(from.allShare, told(from)).toBeLessThan(1.05)
  })

  test('loses little where a quarter of it is killed half-way', () => {
    const killed = host({ vanishMs: alone.lastMs / 2 })
    const left = run([...hosts(1, 5), killed, killed])
    expect(left.lastMs / crowd.lastMs, told(left)).toBeLessThan(1.3)
  })

  for (const behaviour of ['liar', 'mute', 'refuser', 'trickler'] as const)
    test(`loses little to a ${behaviour}`, () => {
      const among = run([...hosts(1, 6), host({ behaviour })])
      expect(among.lastMs / crowd.lastMs, told(among)).toBeLessThan(1.25)
    })

  // The others had the rests of what it had begun, and waited 10 s for the beginnings.
  test('does not wait for a trickler where the rest is here', () => {
    const pinned = (plans: readonly HostPlan[]) => runCrowd({ seed: 1358443, hosts: plans, pieceCount: 500 }).lastMs
    const among = pinned([...hosts(1, 6), host({ behaviour: 'trickler' })])
    expect(among / pinned(hosts(1, 7))).toBeLessThan(1.25)
  })

  test('is twice as fast from two as from one', () => {
    const fetching = host({ downBytesPerSecond: 10 * LINK_BYTES_PER_SECOND })
    expect(alone.lastMs / run([...hosts(2, 0), fetching]).lastMs).toBeGreaterThan(1.9)
  })
})
