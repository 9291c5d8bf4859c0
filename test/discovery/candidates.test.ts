import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { HEARD_ADDRESSES_MAX } from '../../src/base/limits.ts'
import { seededRandom } from '../../src/base/random.ts'
import { Candidates } from '../../src/discovery/candidates.ts'
import { runs } from '../support/runs.ts'

const at = (host: string) => ({ host, port: 49737 })
const hosts = (addresses: readonly { host: string }[]) => addresses.map(({ host }) => host)

test('Candidates ranks who answered over who was heard over who is configured, the fastest first', () => {
  const known = new Candidates(seededRandom(1))
  for (const host of ['configured', 'slow', 'fast', 'dead']) known.add(at(host), 'configured', 0)
  known.add(at('heard'), 'heard', 0)
  known.due(0)
  for (const host of ['configured', 'heard']) known.succeeded(at(host), 0, 50)
  known.succeeded(at('slow'), 0, 9)
  known.succeeded(at('fast'), 0, 1)
  known.failed(at('dead'), 0)
  known.add(at('new'), 'configured', 1)
  known.add(at('fresh'), 'heard', 1)
  known.restart(2)
  expect(hosts(known.due(2)).slice(0, 2)).toEqual(['fast', 'slow'])
  known.restart(3)
  expect(hosts(known.due(3))).toEqual([])
  const other = new Candidates(seededRandom(1))
  other.add(at('configured'), 'configured', 0)
  other.add(at('heard'), 'heard', 0)
  expect(hosts(other.due(0))).toEqual(['heard', 'configured'])
})

test('Candidates asks one that is silent ever less often, and never forgets a configured one', () => {
  const known = new Candidates(seededRandom(1))
  known.add(at('dead'), 'configured', 0)
  let nowMs = 0
  const gaps: number[] = []
  for (let asked = 0; asked < 12; asked++) {
    expect(hosts(known.due(nowMs))).toEqual(['dead'])
    known.failed(at('dead'), nowMs)
    const dueMs = known.nextDueMs ?? Number.NaN
    gaps.push(dueMs - nowMs)
    nowMs = dueMs
  }
  expect(gaps[0]).toBeGreaterThanOrEqual(750)
  expect(gaps[0]).toBeLessThanOrEqual(1_250)
  expect(gaps.at(-1)).toBeGreaterThanOrEqual(225_000)
  expect(gaps.at(-1)).toBeLessThanOrEqual(375_000)
})

test('Candidates forgets a heard one that fails again and again, until it is heard anew', () => {
  const known = new Candidates(seededRandom(1))
  known.add(at('gone'), 'heard', 0)
  let nowMs = 0
  let asked = 0
  for (let due = known.nextDueMs; due !== undefined; due = known.nextDueMs) {
    nowMs = due
    known.due(nowMs)
    known.failed(at('gone'), nowMs)
    asked++
  }
  expect(asked).toBe(5)
  expect(nowMs).toBeLessThan(30_000)
  expect(known.add(at('gone'), 'heard', nowMs)).toBe(true)
})

// Goal: no order of events makes it grow, ask too many at once, or ask one twice at once.
test('Candidates stays within its bounds whatever happens', () => {
  const event = fc.record({
    what: fc.constantFrom('hear', 'configure', 'due', 'succeed', 'fail', 'restart'),
    host: fc.nat(400),
    pauseMs: fc.nat(5_000),
  })
  fc.assert(
    fc.property(fc.array(event, { maxLength: 400 }), (events) => {
      const known = new Candidates(seededRandom(7))
      const asking = new Set<string>()
      let nowMs = 0
      for (const { what, host, pauseMs } of events) {
        nowMs += pauseMs
        const address = at(String(host))
        if (what === 'hear') known.add(address, 'heard', nowMs)
        else if (what === 'configure') known.add(at(`c${host % 8}`), 'configured', nowMs)
        else if (what === 'restart') known.restart(nowMs)
        else if (what === 'due')
          for (const due of known.due(nowMs)) {
            expect(asking.has(due.host) && due.host.startsWith('c')).toBe(false)
            asking.add(due.host)
          }
        else
          for (const first of [...asking].slice(0, 1)) {
            asking.delete(first)
            if (what === 'succeed') known.succeeded(at(first), nowMs, 1)
            else known.failed(at(first), nowMs)
          }
        expect(known.size).toBeLessThanOrEqual(HEARD_ADDRESSES_MAX + 8)
      }
    }),
    { numRuns: runs(100) },
  )
})
