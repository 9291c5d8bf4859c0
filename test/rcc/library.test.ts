// Goal: a library that holo-peer filled (raw blobs, catalogs, their .info) is a sound library for rcc: it passes rcc's
// check untouched, is exported and imported, and rcc restores from it what it restores from its own.
import { beforeAll, describe, expect, setDefaultTimeout } from 'bun:test'
import * as fs from 'node:fs'
import { join, resolve } from 'node:path'
import { catalogDirectory } from '../../src/catalog/layout.ts'
import { fileLan } from '../support/file-lan.ts'
import { differences, rootsIn, smallCold, smallVersions, TemporaryDirectory } from '../support/golden.ts'
import { hasRccHosts, RccHost, rccTest } from '../support/rcc-hosts.ts'

const golden = resolve(import.meta.dir, '../golden/small/gzip')
const robot = (version: number) => join(golden, `robot${version}`, 'robot.yaml')
const names = smallVersions.map((version) => smallCold('gzip', version).name).sort()

setDefaultTimeout(120_000)

const lan = fileLan(hasRccHosts)

/** A host whose library came from a peer with a library made by rcc. */
async function filledByPeer(): Promise<RccHost> {
  const seed = RccHost.withSmallLibrary(lan(), 'gzip')
  const host = RccHost.on(lan())
  await host.fleet.join(await seed.fleet.lead())
  for (const version of smallVersions)
    expect(await host.fleet.report('restore', robot(version), '--space', 'filling')).toMatchObject({ ok: true })
  // rcc writes the same .info beside its catalogs.
  for (const name of names) {
    const [local, remote] = [host, seed].map(({ host: { home } }) => join(catalogDirectory(rootsIn(home)), name))
    expect(fs.readFileSync(`${local}.info`, 'utf8')).toBe(fs.readFileSync(`${remote}.info`, 'utf8'))
    expect(Bun.gunzipSync(fs.readFileSync(local ?? ''))).toEqual(Bun.gunzipSync(fs.readFileSync(remote ?? '')))
  }
  return host
}

/** A host whose library came from rcc's exports beside the robots. */
async function filledByZip(): Promise<RccHost> {
  const host = RccHost.on(lan())
  for (const version of smallVersions) {
    using folder = new TemporaryDirectory()
    fs.cpSync(join(golden, `robot${version}`), folder.path, { recursive: true })
    fs.copyFileSync(join(golden, `v${version}-hololib.zip`), join(folder.path, 'hololib.zip'))
    const report = await host.holoRestore(join(folder.path, 'robot.yaml'), 'filling')
    expect(report).toMatchObject({ ok: true, source: join(folder.path, 'hololib.zip') })
    // With the zip beside the robot rcc restores from the zip itself.
    const own = await host.restore(join(folder.path, 'robot.yaml'), 'filling')
    expect(own).toMatchObject({ exitCode: 0, dirtyness: 0 })
  }
  return host
}

async function expectRestores(host: RccHost): Promise<void> {
  for (const version of smallVersions) {
    const { listing, spacePath } = smallCold('gzip', version)
    const restored = await host.restore(robot(version), `cold${version}`)
    expect(restored).toMatchObject({ exitCode: 0 })
    expect(restored.dirtyness).toBeGreaterThan(90)
    expect(differences(host.host.outside(spacePath), listing, { directoryTimes: 'settled' })).toEqual([])
  }
}

describe.each([
  ['a peer', filledByPeer],
  ['hololib.zip', filledByZip],
] as const)('a library filled from %s', (_source, fill) => {
  let host: RccHost
  beforeAll(async () => {
    if (hasRccHosts) host = await fill()
  })

  rccTest('holds its blobs raw, and nothing but blobs', () => {
    const blobs = host.blobs().map((line) => line.split(' ')[0] ?? '')
    expect(blobs.length).toBeGreaterThan(400)
    for (const path of blobs) {
      const [first, second, third, digest = ''] = path.split('/')
      expect(digest).toBe(`${first}${second}${third}${digest.slice(6)}`)
      const content = fs.readFileSync(join(host.host.home, 'hololib', 'library', path))
      expect(new Bun.CryptoHasher('sha256').update(content).digest('hex')).toBe(digest)
    }
  })

  rccTest("passes rcc's check, which removes nothing", async () => {
    const blobs = host.blobs()
    const catalogs = fs.readdirSync(catalogDirectory(rootsIn(host.host.home)))
    const check = await host.rcc('holotree', 'check', '--retries', '0')
    expect(check).toMatchObject({ exitCode: 0, stdout: '' })
    expect(host.blobs()).toEqual(blobs)
    expect(fs.readdirSync(catalogDirectory(rootsIn(host.host.home)))).toEqual(catalogs)
  })

  rccTest('serves rcc for cold restores', () => expectRestores(host))

  rccTest('is exported by rcc, and imported elsewhere, under its strict rules', async () => {
    const zip = join(host.host.folder, 'export.zip')
    const listed = await host.rcc('holotree', 'export', '--json')
    expect(JSON.parse(listed.stdout)).toEqual(names)
    const exported = await host.rcc('holotree', 'export', ...names, '--zipfile', zip)
    expect(exported).toMatchObject({ exitCode: 0 })
    const other = RccHost.on(lan())
    expect(await other.rcc('holotree', 'import', '--strict', zip)).toMatchObject({ exitCode: 0 })
    expect(await other.rcc('holotree', 'check', '--retries', '0')).toMatchObject({ exitCode: 0 })
    expect(other.blobs()).toHaveLength(host.blobs().length)
    await expectRestores(other)
  })

  rccTest('feeds holo-peer again through the zip that rcc exported of it', async () => {
    using folder = new TemporaryDirectory()
    fs.cpSync(join(golden, 'robot2'), folder.path, { recursive: true })
    const zip = join(folder.path, 'hololib.zip')
    const exported = await host.rcc('holotree', 'export', '--robot', robot(2), '--zipfile', zip)
    expect(exported).toMatchObject({ exitCode: 0 })
    const other = RccHost.on(lan())
    const report = await other.holoRestore(join(folder.path, 'robot.yaml'), 'cold2')
    expect(report).toMatchObject({ ok: true, source: zip })
    const { listing, spacePath } = smallCold('gzip', 2)
    expect(differences(other.host.outside(spacePath), listing, { directoryTimes: 'settled' })).toEqual([])
  })
})
