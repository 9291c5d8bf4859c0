// Goal: whoever sets an alarm is woken once, at the time that was set last, with no timer for each time.
import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { Alarm } from '../../src/base/alarm.ts'
import { ManualClock } from '../support/manual-clock.ts'

/** An alarm on a manual clock that notes when it rang, and how many sleeps were begun. */
function given() {
  const clock = new ManualClock()
  const rang: number[] = []
  let sleeps = 0
  const counting = {
    nowMs: () => clock.nowMs(),
    wallMs: () => clock.wallMs(),
    sleep: (ms: number, signal: AbortSignal) => {
      sleeps++
      return clock.sleep(ms, signal)
    },
  }
  const alarm = new Alarm(counting, () => rang.push(clock.nowMs()))
  return { clock, alarm, rang, sleeps: () => sleeps }
}

test('rings at the time that was set last, be it earlier or later than the one before', async () => {
  const { clock, alarm, rang } = given()
  alarm.set(100)
  alarm.set(40)
  await clock.advance(50)
  expect(rang).toEqual([40])
  alarm.set(60)
  alarm.set(90)
  await clock.advance(100)
  expect(rang).toEqual([40, 90])
})

test('sleeps once, however often the time is put off', async () => {
  const { clock, alarm, rang, sleeps } = given()
  for (let due = 10; due <= 1_000; due++) alarm.set(due)
  expect(sleeps()).toBe(1)
  await clock.advance(2_000)
  expect(rang).toEqual([1_000])
  expect(sleeps()).toBe(2)
})

test('rings soon for a time that is past, also where it is set again and again', async () => {
  const { clock, alarm, rang } = given()
  await clock.advance(50)
  for (let ms = 0; ms < 3; ms++) {
    alarm.set(clock.nowMs())
    await clock.advance(0.5)
  }
  expect(rang).toEqual([51])
})

test('does not ring once it was stopped, or set to never', async () => {
  const { clock, alarm, rang } = given()
  alarm.set(10)
  alarm.stop()
  await clock.advance(20)
  alarm.set(30)
  alarm.set(Number.POSITIVE_INFINITY)
  await clock.advance(20)
  expect(rang).toEqual([])
  alarm.set(50)
  await clock.advance(20)
  expect(rang).toEqual([50])
})

// Method: times are set at any moments; what rings is compared with a list of what was due by then.
test('never rings before its time, and never misses one', async () => {
  const steps = fc.array(fc.record({ after: fc.nat({ max: 30 }), due: fc.option(fc.nat({ max: 60 })) }), {
    maxLength: 30,
  })
  await fc.assert(
    fc.asyncProperty(steps, async (sets) => {
      const { clock, alarm, rang } = given()
      const expected: number[] = []
      let dueMs = Number.POSITIVE_INFINITY
      const advance = async (ms: number) => {
        const endMs = clock.nowMs() + ms
        if (dueMs <= endMs) {
          expected.push(dueMs)
          dueMs = Number.POSITIVE_INFINITY
        }
        await clock.advance(ms)
      }
      for (const { after, due } of sets) {
        await advance(after)
        // At least a millisecond ahead, which is as soon as it can ring.
        dueMs = due === null ? Number.POSITIVE_INFINITY : clock.nowMs() + 1 + due
        alarm.set(dueMs)
      }
      await advance(100)
      expect(rang).toEqual(expected)
    }),
  )
})
