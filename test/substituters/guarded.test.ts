import { describe, expect, test } from 'bun:test'
import { never } from '../../src/base/clock.ts'
import { BREAKER_REST_MS, NEGATIVE_MS, SOURCE_BUDGET_MS } from '../../src/base/substituter-limits.ts'
import { Guarded } from '../../src/substituters/guarded.ts'
import { SourceFailedError } from '../../src/substituters/source-failed-error.ts'
import type { Delivery, Substituter } from '../../src/substituters/substituter.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { environment, failure } from './conformance.ts'

/** A source that answers as `answer` says at the time. */
function guard(answer: () => Uint8Array | undefined, deliveries?: () => AsyncGenerator<Delivery>) {
  const clock = new ManualClock()
  let asked = 0
  const source: Substituter = {
    name: 'a mirror',
    find: async () => {
      asked++
      const stored = answer()
      return stored === undefined ? undefined : { stored, signatures: undefined }
    },
    has: async () => new Set(),
    get: async () => undefined,
    deliver: async () => deliveries?.(),
    [Symbol.asyncDispose]: async () => {},
  }
  return { clock, guarded: new Guarded(source, clock, { next: () => 1 }), asked: () => asked }
}

describe('Guarded', () => {
  test('remembers a miss for a while, or until it is refreshed', async () => {
    const { clock, guarded, asked } = guard(() => undefined)
    await guarded.find(environment.name, never)
    await guarded.find(environment.name, never)
    expect(asked()).toBe(1)
    guarded.refresh()
    await guarded.find(environment.name, never)
    expect(asked()).toBe(2)
    await clock.advance(NEGATIVE_MS)
    await guarded.find(environment.name, never)
    expect(asked()).toBe(3)
  })

  test('lets a source that failed rest, says so, and asks again after', async () => {
    let well = false
    const { clock, guarded, asked } = guard(() => {
      if (well) return environment.stored
      throw new SourceFailedError('a mirror answered with status 500', { code: 'source-status' })
    })
    expect((await failure(guarded.find(environment.name, never))).code).toBe('source-status')
    const resting = await failure(guarded.find(environment.name, never))
    expect([resting.code, resting.blame, asked()]).toEqual(['source-resting', 'source', 1])
    expect(resting.message).toContain('status 500')
    expect(guarded.condition()).toMatchObject({ state: 'resting', failures: 1, restsForMs: BREAKER_REST_MS })
    well = true
    await clock.advance(BREAKER_REST_MS)
    expect(await guarded.find(environment.name, never)).toBeDefined()
    expect(guarded.condition()).toMatchObject({ state: 'well', failures: 0 })
  })

  test('has its turn alone, unless it was too slow a moment ago', async () => {
    const { clock, guarded } = guard(() => undefined)
    expect(guarded.budgetMs()).toBe(SOURCE_BUDGET_MS)
    guarded.wasSlow()
    expect(guarded.budgetMs()).toBe(0)
    await clock.advance(NEGATIVE_MS)
    expect(guarded.budgetMs()).toBe(SOURCE_BUDGET_MS)
  })

  test('goes on with a source that breaks off or changes in the middle, and lets one rest that brings nothing', async () => {
    const broken = new SourceFailedError('a mirror broke off', { code: 'source-broke-off' })
    const changed = new SourceFailedError('a pack was replaced', { code: 'source-changed' })
    for (const [items, error, state] of [
      [1, broken, 'well'],
      [0, broken, 'resting'],
      [0, changed, 'well'],
    ] as const) {
      const { guarded } = guard(
        () => undefined,
        async function* () {
          yield { kind: 'table', table: Buffer.of() }
          for (let item = 0; item < items; item++) {
            yield { kind: 'piece', piece: item, wire: { encoding: 'identity', bytes: Buffer.of() } }
          }
          throw error
        },
      )
      const deliveries = await guarded.deliver(environment.verified, { blobs: [], isHere: () => false }, never)
      const reading = (async () => {
        for await (const _delivery of deliveries ?? []);
      })()
      expect(await failure(reading)).toBe(error)
      expect(guarded.condition().state).toBe(state)
    }
  })
})
