import { expect, test } from 'bun:test'
import { RESTING_PEERS_MAX } from '../../src/base/limits.ts'
import { seededRandom } from '../../src/base/random.ts'
import { RestingPeers } from '../../src/discovery/resting-peers.ts'

const key = (number: number) => Uint8Array.from([number & 0xff, number >> 8])

test('RestingPeers lets a peer rest ever longer, and forgets all that once it is connected', () => {
  const resting = new RestingPeers(seededRandom(3))
  const rests: number[] = []
  let nowMs = 0
  for (let failure = 0; failure < 12; failure++) {
    resting.failed(key(1), nowMs)
    const startedMs = nowMs
    while (resting.isResting(key(1), nowMs)) nowMs += 100
    rests.push(nowMs - startedMs)
  }
  expect(rests[0]).toBeLessThanOrEqual(2_600)
  expect(rests.every((rest, index) => index === 0 || index > 8 || rest > (rests[index - 1] ?? 0))).toBe(true)
  expect(rests.at(-1)).toBeLessThanOrEqual(750_100)
  resting.failed(key(1), nowMs)
  resting.succeeded(key(1))
  expect(resting.isResting(key(1), nowMs)).toBe(false)
  resting.failed(key(1), nowMs)
  expect(resting.isResting(key(1), nowMs + 2_600)).toBe(false)
})

test('RestingPeers remembers a bounded number, the latest', () => {
  const resting = new RestingPeers(seededRandom(4))
  for (let number = 0; number < RESTING_PEERS_MAX + 10; number++) resting.failed(key(number), 0)
  expect(resting.size).toBe(RESTING_PEERS_MAX)
  expect(resting.isResting(key(0), 1)).toBe(false)
  expect(resting.isResting(key(RESTING_PEERS_MAX + 9), 1)).toBe(true)
  resting.clear()
  expect(resting.size).toBe(0)
})
