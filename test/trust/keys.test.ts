import { expect, test } from 'bun:test'
import {
  decodeKeyPair,
  deriveSessionKey,
  encodeKeyPair,
  fingerprint,
  keyPairFrom,
  randomSecret,
  verifyDelegation,
} from '../../src/trust/keys.ts'
import {
  memberTag,
  type ProofFacts,
  proveMembership,
  verifyMembership,
  verifyMemberTag,
} from '../../src/trust/membership.ts'

const machine = keyPairFrom(Uint8Array.from({ length: 32 }, () => 7))
const stranger = keyPairFrom(Uint8Array.from({ length: 32 }, () => 8))
const secret = randomSecret()

test('decodeKeyPair() reads what encodeKeyPair() wrote, and nothing damaged', () => {
  const text = encodeKeyPair(machine)
  expect(decodeKeyPair(text)).toEqual(machine)
  expect(decodeKeyPair(text.trim())).toEqual(machine)
  expect(decodeKeyPair('')).toBeUndefined()
  expect(decodeKeyPair(text.replace(/.(?=\n)/, (digit) => (digit === '0' ? '1' : '0')))).toBeUndefined()
  expect(decodeKeyPair(text.replace(/:(.)/, (_, digit) => (digit === '0' ? ':1' : ':0')))).toBeUndefined()
})

test('verifyDelegation() accepts only the machine that signed, for the key that it signed', () => {
  const session = deriveSessionKey(machine, randomSecret())
  expect(verifyDelegation(session.delegation, session.keyPair.publicKey)).toBe(true)
  expect(verifyDelegation(session.delegation, stranger.publicKey)).toBe(false)
  const stolen = { ...session.delegation, machineKey: stranger.publicKey }
  expect(verifyDelegation(stolen, session.keyPair.publicKey)).toBe(false)
  const damaged = { ...session.delegation, signature: session.delegation.signature.subarray(1) }
  expect(verifyDelegation(damaged, session.keyPair.publicKey)).toBe(false)
})

test('fingerprint() is short, stable and of its key', () => {
  expect(fingerprint(machine.publicKey)).toMatch(/^[a-z0-9]{4}-[a-z0-9]{4}-[a-z0-9]{4}$/)
  expect(fingerprint(machine.publicKey)).toBe(fingerprint(Uint8Array.from(machine.publicKey)))
  expect(fingerprint(machine.publicKey)).not.toBe(fingerprint(stranger.publicKey))
})

// Goal: a proof holds for one secret, one connection, one key and one side.
test('verifyMembership() refuses a proof of any other connection, key, side or secret', () => {
  const facts: ProofFacts = { handshakeHash: randomSecret(64), publicKey: machine.publicKey, initiator: true }
  const proof = proveMembership(secret, facts)
  expect(verifyMembership(secret, proof, facts)).toBe(true)
  expect(verifyMembership(randomSecret(), proof, facts)).toBe(false)
  expect(verifyMembership(secret, proof, { ...facts, handshakeHash: randomSecret(64) })).toBe(false)
  expect(verifyMembership(secret, proof, { ...facts, publicKey: stranger.publicKey })).toBe(false)
  expect(verifyMembership(secret, proof, { ...facts, initiator: false })).toBe(false)
  expect(verifyMembership(secret, proof.subarray(1), facts)).toBe(false)
  expect(verifyMembership(secret, new Uint8Array(32), facts)).toBe(false)
})

test('verifyMemberTag() tells a member from a stranger after it has left', () => {
  const tag = memberTag(secret, machine.publicKey)
  expect(verifyMemberTag(secret, tag, machine.publicKey)).toBe(true)
  expect(verifyMemberTag(secret, tag, stranger.publicKey)).toBe(false)
  expect(verifyMemberTag(randomSecret(), tag, machine.publicKey)).toBe(false)
})
