import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { FLEETS_MAX } from '../../src/base/limits.ts'
import { decodeKnock, encodeKnock, type Knock } from '../../src/discovery/knock-codec.ts'
import { deriveSessionKey, keyPairFrom, randomSecret } from '../../src/trust/keys.ts'
import { openDelegation, openKnock, sealDelegation, sealKnock } from '../../src/trust/knock.ts'
import { runs } from '../support/runs.ts'

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const streamId = fc.integer({ min: 0, max: 2 ** 32 - 1 })
const knock: fc.Arbitrary<Knock> = fc.record(
  {
    type: fc.constant('knock'),
    nonce: bytes(16),
    streamId,
    entries: fc.array(bytes(40), { minLength: 1, maxLength: FLEETS_MAX }),
    vouched: bytes(96),
  },
  { requiredKeys: ['type', 'nonce', 'streamId', 'entries'] },
)

describe('decodeKnock()', () => {
  test('reads what encodeKnock() wrote', () => {
    const answer = fc.record({ type: fc.constant('answer' as const), nonce: bytes(16), streamId })
    fc.assert(
      fc.property(fc.oneof(knock, answer), (message) => {
        expect(decodeKnock(encodeKnock(message))).toEqual(message)
      }),
      { numRuns: runs(200) },
    )
  })

  test('takes nothing else: other bytes, cut ones, longer ones', () => {
    expect(decodeKnock(new Uint8Array(0))).toBeUndefined()
    fc.assert(
      fc.property(knock, fc.uint8Array({ maxLength: 1500 }), fc.nat(700), (message, rubbish, length) => {
        const whole = encodeKnock(message)
        const cut = decodeKnock(whole.subarray(0, Math.min(length, whole.byteLength - 1)))
        if (cut?.type === 'knock') expect(cut.entries.length).toBeLessThan(message.entries.length)
        const decoded = decodeKnock(rubbish)
        if (decoded?.type === 'knock') expect(decoded.entries.length).toBeLessThanOrEqual(FLEETS_MAX)
        expect(decodeKnock(Uint8Array.from([0xff, ...whole.subarray(1)]))).toBeUndefined()
      }),
      { numRuns: runs(300) },
    )
    const many = {
      type: 'knock',
      nonce: new Uint8Array(16),
      streamId: 1,
      entries: Array(FLEETS_MAX + 1).fill(new Uint8Array(40)),
    }
    expect(decodeKnock(encodeKnock(many as Knock))).toBeUndefined()
  })
})

describe('openKnock()', () => {
  const { publicKey } = keyPairFrom(randomSecret())
  const [ours, theirs, common] = [randomSecret(), randomSecret(), randomSecret()]
  const nonce = randomSecret(16)

  test('tells a member of a common fleet who calls, and a stranger nothing', () => {
    const entries = sealKnock([theirs, common], publicKey, nonce, 7)
    expect(openKnock([ours, common], entries, nonce, 7)).toEqual(publicKey)
    expect(openKnock([ours], entries, nonce, 7)).toBeUndefined()
    // The key does not stand there in clear.
    expect(Buffer.concat(entries).includes(Buffer.from(publicKey))).toBe(false)
  })

  test('refuses whatever was altered: nonce, stream id, any byte of the entry', () => {
    const [entry = new Uint8Array(40)] = sealKnock([common], publicKey, nonce, 7)
    expect(openKnock([common], [entry], randomSecret(16), 7)).toBeUndefined()
    expect(openKnock([common], [entry], nonce, 8)).toBeUndefined()
    for (let place = 0; place < entry.byteLength; place++) {
      const altered = Uint8Array.from(entry)
      altered[place] = (altered[place] ?? 0) ^ 1
      expect(openKnock([common], [altered], nonce, 7)).toBeUndefined()
    }
  })
})

test('openDelegation() gives members the word of the machine, and a bystander nothing', () => {
  const machine = keyPairFrom(randomSecret())
  const { keyPair, delegation } = deriveSessionKey(machine, randomSecret())
  const nonce = randomSecret(16)
  const sealed = sealDelegation(delegation, keyPair.publicKey, nonce)
  expect(openDelegation(sealed, keyPair.publicKey, nonce)).toEqual(delegation)
  expect(Buffer.from(sealed).includes(Buffer.from(machine.publicKey))).toBe(false)
  expect(openDelegation(sealed, machine.publicKey, nonce)).not.toEqual(delegation)
})
