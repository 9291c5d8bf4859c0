import { expect, test } from 'bun:test'
import { type HolderFacts, holderDuty } from '../../src/trust/holder-duty.ts'
import { keyHex } from '../../src/trust/key-text.ts'
import { pairOf, signedBy } from '../support/signatures.ts'

const [first, second] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)]
const FACTS: HolderFacts = {
  ownKey: pairOf('self').publicKey,
  secrets: [first, second],
  isRevoked: (key) => keyHex(key) === keyHex(pairOf('revoked').publicKey),
}
const self = (...secrets: Uint8Array[]) => signedBy('self', { role: 'holder' }, secrets)

test.each([
  ['nobody has signed it', [], 'sign'],
  ['a member of both fleets has', [signedBy('a', {}, [first, second])], 'nothing'],
  ['a member of each has', [signedBy('a', {}, [first]), signedBy('b', {}, [second])], 'nothing'],
  ['a member of one fleet has', [signedBy('a', {}, [first])], 'sign'],
  ['a stranger has', [signedBy('a')], 'sign'],
  ['a signature is wrong', [{ ...signedBy('a', {}, [first, second]), signature: new Uint8Array(64) }], 'sign'],
  ['this machine has', [self(first, second)], 'nothing'],
  ['this machine has, before it joined a fleet', [self(first)], 'tag'],
  ['a revoked key has', [signedBy('revoked')], 'disowned'],
  ['a revoked key has, and a member', [signedBy('revoked'), signedBy('a', {}, [first, second])], 'disowned'],
] as const)('holderDuty() where %s', (_what, signatures, duty) => {
  expect(holderDuty(signatures, FACTS)).toBe(duty)
})

test('holderDuty() of a machine without a fleet, and of one whose key is revoked', () => {
  expect(holderDuty([], { ...FACTS, secrets: [] })).toBe('sign')
  expect(holderDuty([self()], { ...FACTS, secrets: [] })).toBe('nothing')
  expect(holderDuty([], { ...FACTS, isRevoked: () => true })).toBe('disowned')
})
