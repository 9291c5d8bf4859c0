/** The settings that say whose word counts. */
import { expect, test } from 'bun:test'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadSettings } from '../../src/config/settings.ts'
import { formatKey, keyHex } from '../../src/trust/key-text.ts'
import { fingerprint } from '../../src/trust/keys.ts'
import { failureOf } from '../support/failure-of.ts'
import { TemporaryDirectory } from '../support/golden.ts'
import { namedKey } from '../support/signatures.ts'

const key = namedKey('factory')
const [text, digits, print] = [formatKey(key), keyHex(key.publicKey), fingerprint(key.publicKey)]

function load(home: TemporaryDirectory, section: object, environment: Record<string, string> = {}) {
  const file = join(home.path, 'settings.yaml')
  writeFileSync(file, JSON.stringify({ 'holo-peer': section }))
  return loadSettings(file, { environment })
}

test('loadSettings() reads rule and keys, revoked ones in every form that names them', async () => {
  using home = new TemporaryDirectory()
  const section = { trust: 'keys', 'trusted-keys': [text], 'revoked-keys': [text, digits, print] }
  const trust = { rule: 'keys', trustedKeys: [text], revokedKeys: [digits, digits, print] }
  expect((await load(home, section)).trust).toEqual(trust as never)
  expect((await load(home, section, { HOLO_PEER_TRUST: 'fleet' })).trust.rule).toBe('fleet')
})

test('loadSettings() names the entry that is wrong', async () => {
  using home = new TemporaryDirectory()
  const wrong: [object, RegExp][] = [
    [{ trust: 'key' }, /holo-peer\.trust in .* is "key", which is not one of fleet, keys/],
    [{ 'trusted-keys': [digits] }, /holo-peer\.trusted-keys\.0 in .* is wrong: must be a key as/],
    [{ 'revoked-keys': [text, 'factory'] }, /holo-peer\.revoked-keys\.1 in .* is wrong: must be a key/],
    [{ 'trusted-key': [text] }, /holo-peer\.trusted-key in .* is not a setting/],
  ]
  for (const [section, message] of wrong) {
    expect(await failureOf(load(home, section))).toMatchObject({
      code: 'settings-invalid',
      message: expect.stringMatching(message),
    })
  }
  expect(await failureOf(load(home, {}, { HOLO_PEER_TRUST: 'all' }))).toMatchObject({
    message: expect.stringMatching(/^The environment variable HOLO_PEER_TRUST is "all"/),
  })
})
