import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import {
  LEASE_CLAIM_MS,
  LEASE_CLAIMS_MAX,
  LEASE_HOLDERS_IN_VAIN_MAX,
  LEASE_MS,
  LEASE_PATIENCE_MS,
  LEASE_SETTLE_MS,
} from '../../src/base/substituter-limits.ts'
import { runs } from '../support/runs.ts'
import { LeaseWorld, type MachinePlan, TICK_MS, type WorldPlan } from './lease-world.ts'

const UNITS = 40
const WHOLE_MS = UNITS * TICK_MS
const key = fc.uint8Array({ minLength: 32, maxLength: 32 })
const startMs = fc.oneof(fc.nat(50), fc.nat(20_000))
const kinds = (...some: MachinePlan['kind'][]) => fc.constantFrom(...some)

/** Below the time in which those who start together listen to each other. */
const delays = fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 50 })

function worldOf(machines: readonly MachinePlan[], delaysMs: readonly number[]): LeaseWorld {
  const plan: WorldPlan = { machines, units: UNITS, delayMs: (message) => delaysMs[message % delaysMs.length] ?? 1 }
  return new LeaseWorld(plan)
}

const honest = fc.record({ kind: kinds('honest'), key, startMs })
const atOnce = fc.record({ kind: kinds('honest'), key, startMs: fc.nat(50) })
const fleet = fc.uniqueArray(honest, { minLength: 2, maxLength: 8, selector: ({ key: bytes }) => String(bytes) })

describe('Leases', () => {
  // Goal: in a healthy fleet one machine pays, whoever comes when.
  test('let one machine bring it, and only one', () => {
    fc.assert(
      fc.property(fleet, delays, (machines, delaysMs) => {
        const world = worldOf(machines, delaysMs)
        expect(world.run(10 * WHOLE_MS)).toBeTrue()
        expect({ paid: world.paid, overlapMs: world.overlapMs }).toEqual({ paid: UNITS, overlapMs: 0 })
      }),
      { numRuns: runs(300) },
    )
  })

  // Goal: a death costs no more than the time in which a lease runs out, and what the dead one had not passed on.
  test('pass to another machine when their holder dies, noticed or not', () => {
    const dying = fc.record({
      kind: kinds('honest'),
      key,
      startMs: fc.nat(50),
      death: fc.record({
        atMs: fc.integer({ min: 0, max: WHOLE_MS }),
        noticeMs: fc.option(fc.nat(2_000), { nil: undefined }),
      }),
    })
    fc.assert(
      fc.property(
        fc.array(atOnce, { minLength: 1, maxLength: 6 }),
        fc.array(dying, { minLength: 1, maxLength: 3 }),
        delays,
        (survivors, dead, delaysMs) => {
          const world = worldOf([...survivors, ...dead], delaysMs)
          const lastStartMs = Math.max(...survivors.map((each) => each.startMs))
          const aDeathMs = LEASE_MS + LEASE_CLAIMS_MAX * LEASE_CLAIM_MS + 4 * TICK_MS
          const endMs = lastStartMs + LEASE_SETTLE_MS + WHOLE_MS + (dead.length + 1) * aDeathMs
          expect(world.run(endMs)).toBeTrue()
          // What the dead had a tick ago, others may not have yet.
          expect(world.paid).toBeLessThanOrEqual(UNITS + dead.length * 3)
        },
      ),
      { numRuns: runs(300) },
    )
  })

  // Goal: who says much and brings nothing costs a bounded time, however many of them there are.
  test('cost those who wait a bounded time where members lie', () => {
    const bad = fc.record({ kind: kinds('liar', 'wisher', 'flapper'), key, startMs: fc.nat(20_000) })
    fc.assert(
      fc.property(fleet, fc.array(bad, { minLength: 1, maxLength: 8 }), delays, (machines, liars, delaysMs) => {
        const world = worldOf([...machines, ...liars], delaysMs)
        const lastStartMs = Math.max(...machines.map((each) => each.startMs))
        const inVainMs = (LEASE_HOLDERS_IN_VAIN_MAX + 1) * (LEASE_PATIENCE_MS + LEASE_CLAIMS_MAX * LEASE_CLAIM_MS)
        expect(world.run(lastStartMs + inVainMs + 2 * WHOLE_MS)).toBeTrue()
      }),
      { numRuns: runs(300) },
    )
  })

  // Goal: one whose WAN stands still loses its turn, and two that pay then are one again soon.
  test('pass on where nothing comes to their holder, and one of two holders yields', () => {
    const still = fc.record({
      kind: kinds('honest'),
      key,
      startMs: fc.nat(50),
      standstill: fc
        .tuple(fc.nat(WHOLE_MS), fc.integer({ min: 500, max: 30_000 }))
        .map(([fromMs, ms]) => ({ fromMs, toMs: fromMs + ms })),
    })
    fc.assert(
      fc.property(fleet, fc.array(still, { minLength: 1, maxLength: 2 }), delays, (machines, slow, delaysMs) => {
        const world = worldOf([...machines, ...slow], delaysMs)
        const lastStartMs = Math.max(...machines.map((each) => each.startMs))
        expect(world.run(lastStartMs + 2 * WHOLE_MS + 40_000)).toBeTrue()
        expect(world.paid).toBeLessThanOrEqual(UNITS + 8)
      }),
      { numRuns: runs(300) },
    )
  })

  test('let commands wait for daemons, and never anybody for commands', () => {
    const command = fc.record({ kind: kinds('command'), key, startMs: fc.integer({ min: 100, max: 1_000 }) })
    fc.assert(
      fc.property(
        fc.array(command, { maxLength: 5 }),
        fc.array(atOnce, { maxLength: 3 }),
        delays,
        (some, others, delaysMs) => {
          const world = worldOf([...some, ...others], delaysMs)
          expect(world.run(10 * WHOLE_MS)).toBeTrue()
          expect(world.paid).toBe(others.length === 0 ? some.length * UNITS : UNITS)
        },
      ),
      { numRuns: runs(200) },
    )
  })
})
