import { expect, test } from 'bun:test'
import { FloodWatch } from '../../src/discovery/flood-watch.ts'

/** `perSecond` datagrams a second for `seconds`. @returns what was told */
function flood(watch: FloodWatch, fromMs: number, seconds: number, perSecond: number, host: (index: number) => string) {
  const told = []
  for (let index = 0; index < seconds * perSecond; index++) {
    const flood = watch.note(host(index), fromMs + (index * 1000) / perSecond)
    if (flood !== undefined) told.push(flood)
  }
  return told
}

test('FloodWatch says nothing of what a fleet sends', () => {
  expect(flood(new FloodWatch(), 0, 100, 500, (index) => `10.0.${index % 200}.1`)).toEqual([])
})

test('FloodWatch tells of a flood once a minute, and who sends most of it', () => {
  const told = flood(new FloodWatch(), 0, 125, 10_000, (index) =>
    index % 3 === 0 ? '10.0.0.7' : `10.1.${index % 199}.1`,
  )
  expect(told.map(({ host }) => host)).toEqual(['10.0.0.7', '10.0.0.7', '10.0.0.7'])
  expect(told.every(({ perSecond }) => perSecond > 9_000 && perSecond < 11_000)).toBe(true)
})
