/** `sign` on the small golden library. */
import { describe, expect, test } from 'bun:test'
import { rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { generateKey, ownKeys } from '../../src/app/keys.ts'
import { type Machine, machineWith } from '../../src/app/machine.ts'
import { type SignOptions, sign } from '../../src/app/sign.ts'
import { never } from '../../src/base/clock.ts'
import { blobPath } from '../../src/catalog/layout.ts'
import { SignatureFolder } from '../../src/config/signature-folder.ts'
import { joinFleet } from '../../src/config/state.ts'
import { Library } from '../../src/store/library.ts'
import { verifySignature } from '../../src/trust/catalog-signature.ts'
import { createFleet } from '../../src/trust/fleet.ts'
import { verifyMemberTag } from '../../src/trust/membership.ts'
import { failureOf } from '../support/failure-of.ts'
import { smallRobot } from '../support/fleet-hosts.ts'
import { rootsIn, smallCold, TemporaryDirectory, unpackSmall } from '../support/golden.ts'

const { name } = smallCold('gzip', 1)
const PLAIN: SignOptions = { catalogs: [], robotFile: undefined, keyName: undefined, role: 'builder' }
const signing = (machine: Machine, options: Partial<SignOptions>) =>
  sign({ ...PLAIN, ...options }, () => {}, never, machine)

function machineIn(home: TemporaryDirectory): Machine {
  return machineWith(unpackSmall('gzip', home.path))
}

describe('sign()', () => {
  test('signs by the machine’s key and by named ones, tagged for the fleet, each in a place of its own', async () => {
    using home = new TemporaryDirectory()
    const machine = machineIn(home)
    const secret = new Uint8Array(32).fill(9)
    await joinFleet(machine.state, createFleet('line-4', secret), undefined, 0)
    await generateKey(machine, 'factory', never)
    const [own, factory] = await ownKeys(machine)
    await signing(machine, { catalogs: [name], role: 'holder' })
    const [signed] = await signing(machine, { robotFile: smallRobot(1), keyName: 'factory' })
    expect(signed).toMatchObject({ catalog: name, signer: { name: 'factory', role: 'builder' } })

    const signatures = new SignatureFolder(machine.state).of(name)
    const names = signatures.map(({ key, statement }) => `${key.name} ${statement.role}`)
    expect(names.sort()).toEqual([`${own.name} holder`, `${factory?.name} builder`].sort())
    for (const signature of signatures) {
      expect(verifySignature(signature)).toBe(true)
      expect(signature.statement.base).toBe('/tmp/holo-golden/small-gzip/holotree')
      const [tag = new Uint8Array()] = signature.memberTags
      expect(verifyMemberTag(secret, tag, signature.key.publicKey)).toBe(true)
    }
    expect(new Set(signatures.map(({ statement }) => statement.pieceTable)).size).toBe(1)
  })

  test('signs again with a later serial', async () => {
    using home = new TemporaryDirectory()
    const machine = machineIn(home)
    const serials: (number | undefined)[] = []
    for (let round = 0; round < 3; round++) {
      const [signed] = await signing(machine, { catalogs: [name] })
      serials.push(signed?.signer?.serial)
    }
    expect(new Set(serials).size).toBe(3)
    expect(serials).toEqual([...serials].sort())
    expect(new SignatureFolder(machine.state).of(name).map(({ statement }) => statement.serial)).toEqual([
      serials[2] ?? 0,
    ])
  })

  test('refuses what is not here, not whole, not named or not known', async () => {
    using home = new TemporaryDirectory()
    const machine = machineIn(home)
    expect(await failureOf(signing(machine, {}))).toMatchObject({ code: 'catalog-unnamed', blame: 'input' })
    expect(await failureOf(signing(machine, { catalogs: ['x'] }))).toMatchObject({ code: 'catalog-name-invalid' })
    const other = await failureOf(signing(machine, { catalogs: ['0123456789abcdefv12.linux_amd64'] }))
    expect(other).toMatchObject({ code: 'not-in-library', blame: 'missing' })
    const keyless = await failureOf(signing(machine, { catalogs: [name], keyName: 'factory' }))
    expect(keyless).toMatchObject({ code: 'key-unknown', blame: 'input' })
    const [blob] = [...(new Library(machine.roots).catalog(name)?.catalog.tree.files.values() ?? [])]
    if (blob === undefined) throw new Error('the golden catalog has no file at its root')
    rmSync(dirname(blobPath(rootsIn(home.path), blob.digest)), { recursive: true })
    expect(await failureOf(signing(machine, { catalogs: [name] }))).toMatchObject({ code: 'catalog-incomplete' })
    expect(new SignatureFolder(machine.state).of(name)).toEqual([])
  })
})
