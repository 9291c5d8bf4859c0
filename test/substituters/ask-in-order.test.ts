import { describe, expect, test } from 'bun:test'
import { never } from '../../src/base/clock.ts'
import { HoloError } from '../../src/base/errors.ts'
import { askInOrder } from '../../src/substituters/ask-in-order.ts'
import { ManualClock } from '../support/manual-clock.ts'

const BUDGET_MS = 400

/** A source that answers after some time, misses, or fails. */
interface Scripted {
  readonly name: string
  readonly afterMs: number
  readonly says: 'yes' | 'no' | HoloError | Error
}

const failing = new HoloError('it fails', { code: 'source-status', blame: 'source' })

function ask(sources: readonly Scripted[], signal = never) {
  const clock = new ManualClock()
  const asked: string[] = []
  const aborted: string[] = []
  const done = askInOrder(
    sources,
    {
      ask: async ({ name, afterMs, says }, inner) => {
        asked.push(`${name}@${clock.nowMs()}`)
        try {
          await clock.sleep(afterMs, inner)
        } catch (error) {
          aborted.push(name)
          throw error
        }
        if (says instanceof Error) throw says
        return says === 'yes' ? name : undefined
      },
      silence: (_source, inner) => clock.sleep(BUDGET_MS, inner),
    },
    signal,
  )
  done.catch(() => {})
  return { clock, asked, aborted, done }
}

describe('askInOrder()', () => {
  test('asks the second only where the first misses, fails, or is silent', async () => {
    const quick = ask([
      { name: 'a', afterMs: 10, says: 'yes' },
      { name: 'b', afterMs: 0, says: 'yes' },
    ])
    await quick.clock.advance(1_000)
    expect((await quick.done).answer?.value).toBe('a')
    expect(quick.asked).toEqual(['a@0'])

    const missing = ask([
      { name: 'a', afterMs: 10, says: 'no' },
      { name: 'b', afterMs: 10, says: failing },
      { name: 'c', afterMs: 10, says: 'yes' },
    ])
    await missing.clock.advance(1_000)
    const outcome = await missing.done
    expect(outcome.answer?.value).toBe('c')
    expect(missing.asked).toEqual(['a@0', 'b@10', 'c@20'])
    expect(outcome.failures.map(({ source }) => source.name)).toEqual(['b'])
  })

  test('lets a dead source cost no more than its budget, and tells who was silent', async () => {
    const dead = ask([
      { name: 'dead', afterMs: 60_000, says: 'yes' },
      { name: 'b', afterMs: 50, says: 'yes' },
    ])
    await dead.clock.advance(BUDGET_MS + 50)
    const { answer, silent } = await dead.done
    expect(answer?.value).toBe('b')
    expect(silent.map(({ name }) => name)).toEqual(['dead'])
    expect(dead.aborted).toEqual(['dead'])
  })

  test('takes the answer of a slow source where nobody else has one', async () => {
    const slow = ask([
      { name: 'slow', afterMs: 5_000, says: 'yes' },
      { name: 'b', afterMs: 50, says: 'no' },
    ])
    await slow.clock.advance(5_000)
    const { answer, silent } = await slow.done
    expect(answer?.value).toBe('slow')
    expect(silent).toEqual([])
  })

  test('has no answer where all miss or fail, and none of nobody', async () => {
    const none = ask([
      { name: 'a', afterMs: 10, says: 'no' },
      { name: 'b', afterMs: 900, says: failing },
    ])
    await none.clock.advance(2_000)
    expect((await none.done).answer).toBeUndefined()
    expect((await ask([]).done).answer).toBeUndefined()
  })

  test('ends at once with what no other source can mend', async () => {
    const full = new HoloError('the disk is full', { code: 'disk-full', blame: 'host' })
    const broken = ask([
      { name: 'a', afterMs: 10, says: full },
      { name: 'b', afterMs: 10, says: 'yes' },
    ])
    await broken.clock.advance(100)
    expect(broken.done).rejects.toBe(full)
    expect(broken.asked).toEqual(['a@0'])
  })

  test('ends with the reason of its signal, and lets nobody go on', async () => {
    const stop = new AbortController()
    const stopped = ask([{ name: 'a', afterMs: 10_000, says: 'yes' }], stop.signal)
    await stopped.clock.advance(10)
    const reason = new Error('Ctrl-C')
    stop.abort(reason)
    expect(stopped.done).rejects.toBe(reason)
    await stopped.clock.advance(10)
    expect(stopped.aborted).toEqual(['a'])
  })
})
