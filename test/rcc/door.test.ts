// Goal: an unmodified rcc is filled through the daemon's door, from the library behind it and from the fleet behind that,
// and what it gets is sound by its own check and restores to what rcc itself recorded.
import { expect, setDefaultTimeout } from 'bun:test'
import * as fs from 'node:fs'
import { join, resolve } from 'node:path'
import { catalogPath } from '../../src/catalog/layout.ts'
import { fileLan } from '../support/file-lan.ts'
import { differences, rootsIn, smallCold, smallVersions } from '../support/golden.ts'
import { hasRccHosts, RccHost, rccTest } from '../support/rcc-hosts.ts'

const robot = (version: number) => resolve(import.meta.dir, '../golden/small/gzip', `robot${version}`, 'robot.yaml')
const localDoor = { RCC_REMOTE_ORIGIN: 'http://localhost:4653' }
const token = 'a-token-of-enough-characters'

setDefaultTimeout(120_000)

const lan = fileLan(hasRccHosts)

/** Restore all versions through a door, compare them with what rcc recorded, and let rcc check its library. */
async function expectFilled(host: RccHost, env: Readonly<Record<string, string>>): Promise<void> {
  for (const version of smallVersions) {
    const { listing, spacePath } = smallCold('gzip', version)
    const restored = await host.restore(robot(version), `cold${version}`, env)
    expect(restored).toMatchObject({ exitCode: 0 })
    expect(differences(host.host.outside(spacePath), listing, { directoryTimes: 'settled' })).toEqual([])
  }
  expect(await host.rcc('holotree', 'check', '--retries', '0')).toMatchObject({ exitCode: 0 })
}

rccTest('rcc gets from the daemon of its own library what the fleet has', async () => {
  const seed = RccHost.withSmallLibrary(lan(), 'gzip')
  const host = RccHost.on(lan())
  await host.fleet.join(await seed.fleet.lead())
  await host.fleet.startDaemon()
  await expectFilled(host, localDoor)
  // What it restored, holo-peer takes for its own.
  expect(await host.holoRestore(robot(1), 'cold1')).toMatchObject({
    ok: true,
    restored: { unchanged: { files: 404 } },
  })
})

rccTest('rcc on a machine without holo-peer gets gzip and raw blobs over the LAN, with the token', async () => {
  const seed = RccHost.withSmallLibrary(lan(), 'gzip')
  const tokenFile = join(seed.host.folder, 'door.token')
  fs.writeFileSync(tokenFile, `${token}\n`, { mode: 0o600 })
  seed.fleet.settings({ door: { address: '0.0.0.0', 'token-file': tokenFile } })
  await seed.fleet.lead()
  const origin = { RCC_REMOTE_ORIGIN: `http://${seed.host.address}:4653` }
  const stranger = RccHost.on(lan())
  for (const env of [origin, { ...origin, RCC_REMOTE_AUTHORIZATION: 'Bearer another-token-of-that-length' }]) {
    const refused = await stranger.restore(robot(1), 'cold1', env).catch((error: Error) => error.message)
    // rcc says so and goes on to build, which --no-build forbids here.
    expect(JSON.stringify(refused)).toMatch(/status=401|noted no restore|no such file/)
    expect(fs.existsSync(catalogPath(rootsIn(stranger.host.home), smallCold('gzip', 1).name))).toBe(false)
  }
  await expectFilled(RccHost.on(lan()), { ...origin, RCC_REMOTE_AUTHORIZATION: `Bearer ${token}` })
  expect(await seed.fleet.report('optimize')).toMatchObject({ ok: true })
  await expectFilled(RccHost.on(lan()), { ...origin, RCC_REMOTE_AUTHORIZATION: token })
})

rccTest('rcc goes on where nobody has the environment, and imports what a want list brings', async () => {
  const seed = RccHost.withSmallLibrary(lan(), 'gzip')
  await seed.fleet.lead()
  const robotFile = join(seed.host.folder, 'conda.yaml')
  fs.writeFileSync(robotFile, 'channels: [conda-forge]\ndependencies: [python=3.10.1]\n')
  const nowhere = await seed.rccIn(localDoor, 'holotree', 'variables', robotFile, '--no-build')
  expect(nowhere.exitCode).not.toBe(0)
  expect(nowhere.stderr).toContain('status=404')
  expect(nowhere.stderr).toContain('Building new holotree environment is blocked by settings')

  const zip = join(seed.host.folder, 'wanted.zip')
  const { name } = smallCold('gzip', 2)
  const want = `printf 'environment ${name}\\n' | curl -sSf --data-binary @- http://localhost:4653/want -o ${zip}`
  expect(await seed.host.run(['sh', '-c', want])).toMatchObject({ exitCode: 0 })
  const other = RccHost.on(lan())
  expect(await other.rcc('holotree', 'import', '--strict', zip)).toMatchObject({ exitCode: 0 })
  const restored = await other.restore(robot(2), 'cold2')
  expect(restored).toMatchObject({ exitCode: 0 })
  expect(await other.rcc('holotree', 'check', '--retries', '0')).toMatchObject({ exitCode: 0 })
})
