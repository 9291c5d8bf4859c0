// Goal: a library that holo-peer optimizes is the same library to rcc, before, after, and while it happens.
import { expect, setDefaultTimeout } from 'bun:test'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { isGzip } from '../../src/blob/gzip.ts'
import { blobPath, catalogDirectory } from '../../src/catalog/layout.ts'
import { blobNames } from '../../src/store/blob-names.ts'
import { fileLan } from '../support/file-lan.ts'
import { smallRobot } from '../support/fleet-hosts.ts'
import { differences, rootsIn, smallCold, smallVersions } from '../support/golden.ts'
import { hasRccHosts, RccHost, rccTest } from '../support/rcc-hosts.ts'

setDefaultTimeout(120_000)

const lan = fileLan(hasRccHosts)

async function expectSound(host: RccHost): Promise<void> {
  const names = (path: string) => fs.readdirSync(path).sort()
  const catalogs = names(catalogDirectory(rootsIn(host.host.home)))
  const blobs = host.blobs()
  const check = await host.rcc('holotree', 'check', '--retries', '0')
  expect(check).toMatchObject({ exitCode: 0, stdout: '' })
  expect(host.blobs()).toEqual(blobs)
  expect(names(catalogDirectory(rootsIn(host.host.home)))).toEqual(catalogs)
}

rccTest("rcc's check and its cold restores find nothing amiss in either form", async () => {
  const host = RccHost.withSmallLibrary(lan(), 'gzip')
  const all = blobNames(rootsIn(host.host.home)).length
  for (const to of [[], ['--compress']]) {
    expect(await host.fleet.report('optimize', ...to)).toMatchObject({ ok: true, totals: { converted: all } })
    await expectSound(host)
    for (const version of smallVersions) {
      const { listing, spacePath } = smallCold('gzip', version)
      fs.rmSync(host.host.outside(spacePath), { recursive: true, force: true })
      fs.rmSync(`${host.host.outside(spacePath)}.meta`, { force: true })
      expect(await host.restore(smallRobot(version), `cold${version}`)).toMatchObject({ exitCode: 0 })
      expect(differences(host.host.outside(spacePath), listing, { directoryTimes: 'settled' })).toEqual([])
    }
  }
  // As rcc itself writes them.
  for (const digest of blobNames(rootsIn(host.host.home))) {
    const head = fs.readFileSync(blobPath(rootsIn(host.host.home), digest)).subarray(0, 10)
    expect(head.toString('hex')).toBe('1f8b08000000000004ff')
  }
})

rccTest('rcc restores and checks while the library changes its form again and again', async () => {
  const host = RccHost.withSmallLibrary(lan(), 'gzip')
  let restoring = true
  let turns = 0
  const turning = (async () => {
    while (restoring) {
      const report = await host.fleet.report('optimize', ...(turns++ % 2 === 0 ? [] : ['--compress']))
      expect(report).toMatchObject({ ok: true, totals: { corrupt: [], absent: 0 } })
    }
  })()
  for (let round = 0; round < 3; round++)
    for (const version of smallVersions) {
      expect(await host.restore(smallRobot(version), `cold${version}`)).toMatchObject({ exitCode: 0 })
      const { listing, spacePath } = smallCold('gzip', version)
      expect(differences(host.host.outside(spacePath), listing, { directoryTimes: 'ignored' })).toEqual([])
      fs.rmSync(host.host.outside(spacePath), { recursive: true })
    }
  restoring = false
  await turning
  expect(turns).toBeGreaterThan(1)
  await expectSound(host)
  const forms = blobNames(rootsIn(host.host.home)).map((digest) =>
    isGzip(fs.readFileSync(blobPath(rootsIn(host.host.home), digest))),
  )
  expect(new Set(forms).size).toBe(1)
  expect(fs.existsSync(join(host.host.home, 'holo-peer', 'quarantine'))).toBe(false)
})
