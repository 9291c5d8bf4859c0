import { describe, expect, test } from 'bun:test'
import { TRUSTED_KEYS_MAX } from '../../src/base/limits.ts'
import { formatKey, keyHex, parseKey, requireKey } from '../../src/trust/key-text.ts'
import { fingerprint } from '../../src/trust/keys.ts'
import { type KeyLists, NO_KEYS, revocations, revokeKey, trustedAt, trustKey } from '../../src/trust/trusted-keys.ts'
import { codeOf } from '../support/failure-of.ts'
import { namedKey } from '../support/signatures.ts'

const [factory, release] = [namedKey('factory'), namedKey('release')]
const both = trustKey(trustKey(NO_KEYS, factory, undefined), release, 100)

describe('parseKey()', () => {
  test('reads what formatKey() writes, and nothing else', () => {
    expect(parseKey(formatKey(factory))).toEqual(factory)
    expect(requireKey(` ${formatKey(factory)}\n`)).toEqual(factory)
    const text = formatKey(factory)
    const wrong = ['', ':', 'factory', 'factory:', text.slice(0, -1), `${text}=`, text.replace(':', ' :'), `${text}\n`]
    // The last character of the base64 carries two bits that say nothing.
    for (const each of [...wrong, text.replace(/.=$/, '9='), `-${text}`, `${'x'.repeat(65)}${text.slice(7)}`]) {
      expect({ each, key: parseKey(each) }).toEqual({ each, key: undefined })
      if (each !== `${text}\n`) expect(codeOf(() => requireKey(each))).toBe('key-malformed')
    }
  })
})

describe('trustKey()', () => {
  test('trusts several at once, some for a time', () => {
    const names = (wallMs: number) => trustedAt(both, wallMs).map(({ name }) => name)
    expect([names(99), names(100)]).toEqual([['factory', 'release'], ['factory']])
    const again = trustKey(both, { ...release, name: 'renamed' }, undefined)
    expect(trustedAt(again, 1000).map(({ name }) => name)).toEqual(['factory', 'renamed'])
  })

  test('refuses a key that is revoked, and more than the bound', () => {
    const { lists } = revokeKey(both, 'factory', [], 7)
    expect(codeOf(() => trustKey(lists, factory, undefined))).toBe('key-revoked')
    const many = Array.from({ length: TRUSTED_KEYS_MAX }, (_, index) => ({
      name: 'x',
      publicKey: Uint8Array.from({ length: 32 }, (_byte, at) => (at < 2 ? index >> (8 * at) : 0)),
    }))
    expect(codeOf(() => trustKey({ trusted: many, revoked: [] }, factory, undefined))).toBe('keys-too-many')
  })
})

describe('revokeKey()', () => {
  test('takes a key by name, by itself, by its digits and by its fingerprint', () => {
    const texts = ['factory', formatKey(factory), keyHex(factory.publicKey), fingerprint(factory.publicKey)]
    for (const text of texts) {
      const { lists, meant } = revokeKey(both, text, [], 7)
      expect(meant).toEqual([{ key: keyHex(factory.publicKey), name: 'factory', sinceMs: 7 }])
      expect(lists.trusted.map(({ name }) => name)).toEqual(['release'])
      expect(revocations(lists.revoked).bans(factory.publicKey)).toBe(true)
      expect(revocations(lists.revoked).bans(release.publicKey)).toBe(false)
      expect(revokeKey(lists, formatKey(factory), [], 8).lists).toEqual(lists)
    }
  })

  test('takes what this machine has never seen, if it is written out', () => {
    const stranger = namedKey('stranger')
    for (const text of [formatKey(stranger), keyHex(stranger.publicKey), fingerprint(stranger.publicKey)]) {
      const { lists } = revokeKey(NO_KEYS, text, [], 7)
      expect(revocations(lists.revoked).bans(stranger.publicKey)).toBe(true)
    }
    expect(codeOf(() => revokeKey(both, 'stranger', [], 7))).toBe('key-unknown')
    expect(revokeKey(both, 'stranger', [stranger], 7).meant).toHaveLength(1)
  })

  test('does not guess which of two keys of one name is meant', () => {
    const second = { ...namedKey('factory-2'), name: 'factory' }
    const lists: KeyLists = trustKey(both, second, undefined)
    expect(codeOf(() => revokeKey(lists, 'factory', [], 7))).toBe('key-ambiguous')
    const { lists: left } = revokeKey(lists, formatKey(factory), [], 7)
    expect(left.trusted.map(({ publicKey }) => publicKey)).toEqual([release.publicKey, second.publicKey])
  })
})
