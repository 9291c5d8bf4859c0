import { expect, test } from 'bun:test'
import { isKeyText, KeyRules } from '../../src/trust/key-rules.ts'
import { fingerprint, keyPairFrom, randomSecret } from '../../src/trust/keys.ts'

const [a, b] = [keyPairFrom(randomSecret()).publicKey, keyPairFrom(randomSecret()).publicKey]
const hex = (key: Uint8Array) => Buffer.from(key).toString('hex')

test('KeyRules lets everybody in where nobody is named', () => {
  expect(new KeyRules({ allow: [], ban: [] }).admits(a)).toBe(true)
})

test('KeyRules knows a machine by its key and by its fingerprint, and a ban outranks the allow-list', () => {
  for (const text of [hex(a), hex(a).toUpperCase(), fingerprint(a)]) {
    expect(isKeyText(text)).toBe(true)
    const banning = new KeyRules({ allow: [], ban: [text] })
    expect([banning.bans(a), banning.admits(a), banning.admits(b)]).toEqual([true, false, true])
    const allowing = new KeyRules({ allow: [text], ban: [] })
    expect([allowing.bans(b), allowing.admits(a), allowing.admits(b)]).toEqual([false, true, false])
    expect(new KeyRules({ allow: [text], ban: [hex(a)] }).admits(a)).toBe(false)
  }
})

test('isKeyText() refuses whatever is neither', () => {
  for (const text of ['', 'k5w3', 'k5w3-8xqh-9m2p-', `${hex(a)}0`, 'K5W3-8XQH-9M2P'])
    expect(isKeyText(text)).toBe(false)
})
