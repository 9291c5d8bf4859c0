import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { createFleet, fleetTopic, mergeBootstraps } from '../../src/trust/fleet.ts'
import { decodeInvite, encodeInvite, fleetFromEnvironment } from '../../src/trust/invite.ts'
import { codeOf } from '../support/failure-of.ts'
import { runs } from '../support/runs.ts'

const secret = Uint8Array.from({ length: 32 }, (_, index) => index)
const other = Uint8Array.from({ length: 32 }, (_, index) => index + 1)

const anyFleet = fc
  .record({
    name: fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/),
    secret: fc.uint8Array({ minLength: 32, maxLength: 32 }),
    bootstraps: fc.uniqueArray(
      fc.tuple(fc.ipV4(), fc.integer({ min: 1, max: 65535 })).map(([host, port]) => `${host}:${port}`),
      { maxLength: 10 },
    ),
  })
  .map(({ name, secret, bootstraps }) => createFleet(name, secret, bootstraps))

test('decodeInvite() gives back every fleet that encodeInvite() wrote', () => {
  fc.assert(
    fc.property(anyFleet, (fleet) => {
      expect(decodeInvite(encodeInvite(fleet))).toEqual({
        fleet: { ...fleet, secret: Uint8Array.from(fleet.secret) },
        succession: undefined,
      })
    }),
    { numRuns: runs(100) },
  )
})

// Goal: a person who loses or changes a character gets an error, never another fleet.
test('decodeInvite() refuses every invite that is cut off or has one other character', () => {
  const invite = encodeInvite(createFleet('line-4', secret, ['10.0.0.7:49737']))
  for (let length = 0; length < invite.length; length++)
    expect(codeOf(() => decodeInvite(invite.slice(0, length)))).toBe('invite-malformed')
  fc.assert(
    fc.property(fc.nat(invite.length - 1), fc.constantFrom(...'abcXYZ019-_:.!'), (at, letter) => {
      fc.pre(invite[at] !== letter)
      expect(codeOf(() => decodeInvite(invite.slice(0, at) + letter + invite.slice(at + 1)))).toBe('invite-malformed')
    }),
    { numRuns: runs(300) },
  )
})

test('decodeInvite() forgives blanks and line breaks of a mail program', () => {
  const invite = encodeInvite(createFleet('line-4', secret))
  expect(decodeInvite(` ${invite.slice(0, 40)}\r\n  ${invite.slice(40)}\n`).fleet.name).toBe('line-4')
})

test('decodeInvite() throws only HoloErrors for any text', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      expect(codeOf(() => decodeInvite(text))).toBe('invite-malformed')
      expect(codeOf(() => decodeInvite(`holo-fleet1:${text}`))).toBe('invite-malformed')
    }),
    { numRuns: runs(300) },
  )
})

test('fleetFromEnvironment() takes an invite or a bare secret, and never repeats a wrong one', () => {
  expect(fleetFromEnvironment(Buffer.from(secret).toString('hex')).secret).toEqual(Buffer.from(secret))
  expect(fleetFromEnvironment(encodeInvite(createFleet('line-4', secret))).name).toBe('line-4')
  try {
    fleetFromEnvironment('hunter2')
    expect.unreachable()
  } catch (error) {
    expect(String(error)).not.toContain('hunter2')
  }
})

test('createFleet() bounds names and bootstraps', () => {
  expect(codeOf(() => createFleet('', secret))).toBe('fleet-name-invalid')
  expect(codeOf(() => createFleet('a'.repeat(65), secret))).toBe('fleet-name-invalid')
  expect(codeOf(() => createFleet('a b', secret))).toBe('fleet-name-invalid')
  expect(codeOf(() => createFleet('a', secret, ['10.0.0.7']))).toBe('bootstrap-malformed')
  const many = Array.from({ length: 65 }, (_, index) => `10.0.0.7:${index + 1}`)
  expect(codeOf(() => createFleet('a', secret, many))).toBe('bootstraps-too-many')
})

test('mergeBootstraps() keeps the known order and adds what is new', () => {
  expect(mergeBootstraps(['a:1', 'b:2'], ['b:2', 'c:3', 'a:1'])).toEqual(['a:1', 'b:2', 'c:3'])
})

test('fleetTopic() differs by secret and by platform', () => {
  const topics = [
    fleetTopic(secret, 'linux_amd64'),
    fleetTopic(secret, 'linux_arm64'),
    fleetTopic(other, 'linux_amd64'),
  ].map((topic) => Buffer.from(topic).toString('hex'))
  expect(new Set(topics).size).toBe(3)
  expect(fleetTopic(secret, 'linux_amd64')).toEqual(fleetTopic(secret, 'linux_amd64'))
  expect(topics.every((topic) => topic.length === 64)).toBe(true)
})
