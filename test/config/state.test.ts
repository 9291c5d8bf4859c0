import { afterEach, beforeEach, expect, test } from 'bun:test'
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { joinFleet, loadFleets, loadMachineKey, type StateFiles } from '../../src/config/state.ts'
import { createFleet } from '../../src/trust/fleet.ts'
import { randomSecret } from '../../src/trust/keys.ts'

let home: string
let files: StateFiles

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'holo-state-'))
  files = { machineKey: join(home, 'holo-peer', 'machine.key'), fleets: join(home, 'holo-peer', 'fleets.json') }
})
afterEach(() => rmSync(home, { recursive: true, force: true }))

const modeOf = (path: string) => statSync(path).mode & 0o777

test('loadMachineKey() makes the key once, for its owner only', async () => {
  const first = await loadMachineKey(files)
  expect(await loadMachineKey(files)).toEqual(first)
  expect(modeOf(files.machineKey)).toBe(0o600)
  expect(modeOf(join(home, 'holo-peer'))).toBe(0o700)
})

test('loadMachineKey() gives all who race for the first key the same one', async () => {
  const keys = await Promise.all(Array.from({ length: 20 }, () => loadMachineKey(files)))
  expect(new Set(keys.map(({ publicKey }) => Buffer.from(publicKey).toString('hex'))).size).toBe(1)
  expect(await readdir(join(home, 'holo-peer'))).toEqual(['machine.key'])
})

test('loadMachineKey() refuses a key that others can read, and a damaged one', async () => {
  await loadMachineKey(files)
  chmodSync(files.machineKey, 0o640)
  await expect(loadMachineKey(files)).rejects.toMatchObject({ code: 'secret-exposed', blame: 'host' })
  chmodSync(files.machineKey, 0o600)
  writeFileSync(files.machineKey, 'rubbish')
  await expect(loadMachineKey(files)).rejects.toMatchObject({ code: 'machine-key-damaged' })
})

test('joinFleet() twice merges the bootstraps of one fleet', async () => {
  expect(await loadFleets(files)).toEqual([])
  const fleet = createFleet('line-4', randomSecret(), ['a:1'])
  await joinFleet(files, fleet, undefined, 0)
  await joinFleet(files, createFleet('other', randomSecret()), undefined, 0)
  const joined = await joinFleet(files, { ...fleet, name: 'renamed', bootstraps: ['b:2', 'a:1'] }, undefined, 0)
  await expect(joined).toEqual({ ...fleet, bootstraps: ['a:1', 'b:2'] })
  expect((await loadFleets(files)).map(({ name }) => name)).toEqual(['line-4', 'other'])
  expect((await loadFleets(files))[0]).toEqual(joined)
  expect(modeOf(files.fleets)).toBe(0o600)
})

test('joinFleet() refuses another fleet of the same name', async () => {
  await joinFleet(files, createFleet('line-4', randomSecret()), undefined, 0)
  await expect(joinFleet(files, createFleet('line-4', randomSecret()), undefined, 0)).rejects.toMatchObject({
    code: 'fleet-name-taken',
  })
})

test('loadFleets() refuses a file that is damaged, and names it', async () => {
  await joinFleet(files, createFleet('line-4', randomSecret()), undefined, 0)
  for (const text of ['', '[]', '{"version":1,"fleets":[{"name":"x","secret":"00","bootstraps":[]}]}']) {
    writeFileSync(files.fleets, text)
    await expect(loadFleets(files)).rejects.toMatchObject({ code: 'fleets-damaged', blame: 'host' })
  }
})
