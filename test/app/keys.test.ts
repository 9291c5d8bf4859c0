/** `keys` on a state folder of its own. */
import { describe, expect, test } from 'bun:test'
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  exportKey,
  generateKey,
  listKeys,
  ownKeys,
  revokeKeyHere,
  rotateKey,
  signingKey,
  trustKeyHere,
} from '../../src/app/keys.ts'
import { machineWith } from '../../src/app/machine.ts'
import { never } from '../../src/base/clock.ts'
import { formatKey } from '../../src/trust/key-text.ts'
import { failureOf } from '../support/failure-of.ts'
import { rootsIn, TemporaryDirectory } from '../support/golden.ts'
import { namedKey } from '../support/signatures.ts'

function machineIn(home: TemporaryDirectory) {
  return machineWith(rootsIn(home.path))
}
const modeOf = (path: string) => statSync(path).mode & 0o777

describe('keys', () => {
  test('generateKey() keeps a secret that is its owner’s alone, and one of a name only', async () => {
    using home = new TemporaryDirectory()
    const machine = machineIn(home)
    const made = await generateKey(machine, 'factory', never)
    const { signingKeys } = machine.state
    expect([modeOf(signingKeys), modeOf(join(signingKeys, 'factory.key'))]).toEqual([0o700, 0o600])
    expect((await exportKey(machine, 'factory')).key).toBe(made.key)
    expect((await signingKey(machine, 'factory')).keyPair.publicKey).toHaveLength(32)
    expect(await failureOf(generateKey(machine, 'factory', never))).toMatchObject({ code: 'key-name-taken' })
    expect(await failureOf(generateKey(machine, '../factory', never))).toMatchObject({ code: 'key-name-invalid' })
    expect(await failureOf(exportKey(machine, 'other'))).toMatchObject({ code: 'key-unknown', blame: 'input' })
    chmodSync(join(signingKeys, 'factory.key'), 0o640)
    expect(await failureOf(signingKey(machine, 'factory'))).toMatchObject({ code: 'secret-exposed', blame: 'host' })
    chmodSync(join(signingKeys, 'factory.key'), 0o600)
    writeFileSync(join(signingKeys, 'factory.key'), 'rubbish')
    expect(await failureOf(signingKey(machine, 'factory'))).toMatchObject({ code: 'signing-key-damaged' })
  })

  test('trustKeyHere() and revokeKeyHere() are seen by listKeys(), beside what settings.yaml says', async () => {
    using home = new TemporaryDirectory()
    const machine = machineIn(home)
    const [factory, release, lost] = [namedKey('factory'), namedKey('release'), namedKey('lost')]
    await trustKeyHere(machine, formatKey(factory), undefined, never)
    await trustKeyHere(machine, formatKey(release), 3_600_000, never)
    await revokeKeyHere(machine, 'factory', never)
    writeFileSync(
      machine.settingsFile,
      JSON.stringify({
        'holo-peer': { trust: 'keys', 'trusted-keys': [formatKey(lost)], 'revoked-keys': [formatKey(lost)] },
      }),
    )
    const view = await listKeys(machine)
    expect(view.rule).toBe('keys')
    expect(view.trusted).toMatchObject([
      { name: 'release', from: 'file', until: expect.any(String), revoked: false },
      { name: 'lost', from: 'settings', until: null, revoked: true },
    ])
    expect(view.revoked.map(({ name, from }) => [name, from])).toEqual([
      ['factory', 'file'],
      [null, 'settings'],
    ])
    expect(modeOf(machine.state.trustedKeys)).toBe(0o600)
    expect(await failureOf(trustKeyHere(machine, formatKey(factory), undefined, never))).toMatchObject({
      code: 'key-revoked',
    })
  })

  test('two changes at once are both kept', async () => {
    using home = new TemporaryDirectory()
    const machine = machineIn(home)
    const names = Array.from({ length: 8 }, (_, index) => `key-${index}`)
    await Promise.all(names.map((name) => trustKeyHere(machine, formatKey(namedKey(name)), undefined, never)))
    expect((await listKeys(machine)).trusted.map(({ name }) => name).sort()).toEqual(names)
  })

  test('rotateKey() makes a new secret, and trusts the old key for a time', async () => {
    using home = new TemporaryDirectory()
    const machine = machineIn(home)
    const before = await generateKey(machine, 'factory', never)
    const rotated = await rotateKey(machine, 'factory', 86_400_000, never)
    expect(rotated.old).toBe(before.key)
    expect(rotated.key).not.toBe(before.key)
    const { signing, trusted } = await listKeys(machine)
    expect(signing.map(({ key }) => key)).toEqual([rotated.key])
    expect(trusted).toMatchObject([{ key: before.key, until: rotated.oldUntil }])
    expect(readdirSync(machine.state.signingKeys)).toEqual(['factory.key'])
    expect(await failureOf(rotateKey(machine, 'none', 0, never))).toMatchObject({ code: 'key-unknown' })
    const [own] = await ownKeys(machine)
    expect(await failureOf(rotateKey(machine, own.name, 0, never))).toMatchObject({ code: 'machine-key-stays' })
    expect(await failureOf(rotateKey(machine, 'factory', 91 * 86_400_000, never))).toMatchObject({
      code: 'grace-too-long',
    })
  })

  test('a damaged list is refused, not taken for empty', async () => {
    using home = new TemporaryDirectory()
    const machine = machineIn(home)
    await revokeKeyHere(machine, formatKey(namedKey('lost')), never)
    const text = readFileSync(machine.state.trustedKeys, 'utf8')
    const damaged = ['', '[]', text.replace('"version": 1', '"version": 2'), text.replace('"since"', '"when"')]
    for (const each of damaged) {
      writeFileSync(machine.state.trustedKeys, each)
      expect(await failureOf(listKeys(machine))).toMatchObject({ code: 'trusted-keys-damaged', blame: 'host' })
    }
  })
})
