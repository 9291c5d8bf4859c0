import { expect, test } from 'bun:test'
import { BusyRate, MovingAverage, RecentPercentile } from '../../src/peer/rates.ts'

test('BusyRate.perSecond() is bytes over busy time, pauses left out', () => {
  const rate = new BusyRate(1000)
  expect(rate.perSecond(0)).toBeUndefined()
  rate.begin(0)
  for (let nowMs = 100; nowMs <= 1000; nowMs += 100) rate.add(50_000, nowMs)
  rate.end(1000)
  expect(rate.perSecond(60_000)).toBeCloseTo(500_000, -4)
  rate.begin(60_000)
  rate.add(50_000, 60_100)
  expect(rate.perSecond(60_100)).toBeCloseTo(500_000, -4)
})

test('BusyRate.perSecond() falls while somebody is silent, and forgets by half-lives of busy time', () => {
  const rate = new BusyRate(1000)
  rate.begin(0)
  for (let nowMs = 100; nowMs <= 10_000; nowMs += 100) rate.add(100_000, nowMs)
  const fastRate = rate.perSecond(10_000) ?? 0
  expect(rate.perSecond(13_000)).toBeLessThan(fastRate / 2)
  for (let nowMs = 10_100; nowMs <= 11_000; nowMs += 100) rate.add(1_000, nowMs)
  // One half-life later old and new weigh about the same.
  expect((rate.perSecond(11_000) ?? 0) / fastRate).toBeWithin(0.45, 0.56)
})

test('MovingAverage.value is the mean, weighed by half-lives', () => {
  const average = new MovingAverage(1)
  expect(average.value).toBeUndefined()
  average.add(8)
  expect(average.value).toBe(8)
  average.add(2)
  expect(average.value).toBeCloseTo(4)
})

test('RecentPercentile.value says nothing before a quarter of its window, then where the slow end begins', () => {
  const percentile = new RecentPercentile(0.9, 20)
  for (let value = 1; value <= 4; value++) percentile.add(value)
  expect(percentile.value).toBeUndefined()
  for (let value = 5; value <= 20; value++) percentile.add(value)
  expect(percentile.value).toBe(19)
  for (let round = 0; round < 20; round++) percentile.add(1)
  expect(percentile.value).toBe(1)
})
