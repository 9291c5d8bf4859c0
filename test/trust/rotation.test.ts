import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { PREVIOUS_SECRETS_MAX } from '../../src/base/limits.ts'
import { createFleet } from '../../src/trust/fleet.ts'
import { decodeInvite, encodeInvite } from '../../src/trust/invite.ts'
import { randomSecret } from '../../src/trust/keys.ts'
import { nextExpiryMs, rotateFleet, secretsOf, succeed, successionOf } from '../../src/trust/rotation.ts'

const [first, second, third] = [randomSecret(), randomSecret(), randomSecret()]
const fleet = createFleet('line-4', first, ['a:1'])

test('rotateFleet() lets the old secret count until its time is over', () => {
  const rotated = rotateFleet(fleet, second, 1_000, 0)
  expect(secretsOf(rotated, 999)).toEqual([second, first])
  expect(secretsOf(rotated, 1_000)).toEqual([second])
  const again = rotateFleet(rotated, third, 5_000, 500)
  expect(secretsOf(again, 600)).toEqual([third, second, first])
  expect(secretsOf(again, 1_000)).toEqual([third, second])
  expect(secretsOf(rotateFleet(fleet, second, 0, 0), 0)).toEqual([second])
})

test('rotateFleet() bounds the secrets that count, and forgets those that do no more', () => {
  let rotated = fleet
  for (let round = 0; round < PREVIOUS_SECRETS_MAX; round++) rotated = rotateFleet(rotated, randomSecret(), 1_000, 0)
  expect(() => rotateFleet(rotated, third, 1_000, 0)).toThrow('still count')
  expect(secretsOf(rotateFleet(rotated, third, 2_000, 1_000), 1_000)).toHaveLength(2)
})

test('nextExpiryMs() tells the first end that lies ahead', () => {
  const fleets = [rotateFleet(rotateFleet(fleet, second, 1_000, 0), third, 5_000, 0), fleet]
  expect(nextExpiryMs(fleets, 0)).toBe(1_000)
  expect(nextExpiryMs(fleets, 1_000)).toBe(5_000)
  expect(nextExpiryMs(fleets, 5_000)).toBeUndefined()
})

test('succeed() changes the secret of the fleet that the invite is of, whatever it is called here', () => {
  const rotated = rotateFleet(fleet, second, 1_000, 0)
  const invite = decodeInvite(encodeInvite(rotated, successionOf(rotated, 0)))
  const mine = createFleet('my-name', first, ['b:2'])
  const other = createFleet('line-4', third)
  if (invite.succession === undefined) throw new Error('the invite says nothing of the old secret')
  const { old, next } = succeed([other, mine], invite.fleet, invite.succession, 0) ?? {}
  expect(old).toBe(mine)
  expect(next).toEqual({
    name: 'my-name',
    secret: second,
    bootstraps: ['b:2', 'a:1'],
    previous: [{ secret: first, untilMs: 1_000 }],
  })
  expect(succeed([other], invite.fleet, invite.succession, 0)).toBeUndefined()
  // Joined only after the grace: the old secret is gone at once.
  expect(secretsOf(succeed([mine], invite.fleet, invite.succession, 2_000)?.next ?? mine, 2_000)).toEqual([second])
})

// Goal: nobody without the old secret can make a machine give it up. Method: any change to what the proof is over.
test('succeed() refuses a succession with any other secret, time or proof', () => {
  const rotated = rotateFleet(fleet, second, 1_000, 0)
  const succession = successionOf(rotated, 0)
  if (succession === undefined) throw new Error('none')
  const { proof, untilMs } = succession
  fc.assert(
    fc.property(fc.nat(31), fc.integer({ min: 1, max: 255 }), (place, change) => {
      const forged = Uint8Array.from(proof)
      forged[place] = (forged[place] ?? 0) ^ change
      expect(succeed([fleet], rotated, { untilMs, proof: forged }, 0)).toBeUndefined()
      expect(succeed([fleet], rotated, { untilMs: untilMs + change, proof }, 0)).toBeUndefined()
      expect(succeed([fleet], { ...rotated, secret: third }, succession, 0)).toBeUndefined()
    }),
    { numRuns: 50 },
  )
})
