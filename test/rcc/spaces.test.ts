// Goal: a space belongs to rcc and holo-peer alike: what one restored is as it should be for the other.
import { beforeAll, describe, expect, setDefaultTimeout } from 'bun:test'
import * as fs from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { fileLan } from '../support/file-lan.ts'
import { goldenEnvironment, smallRobot } from '../support/fleet-hosts.ts'
import {
  differences,
  environmentRoots,
  environmentVersion,
  goldenEnvironmentReason,
  hasGoldenEnvironment,
  smallCold,
  smallSwitched,
  smallVersions,
} from '../support/golden.ts'
import { hasRccHosts, RccHost, rccTest } from '../support/rcc-hosts.ts'
import { skipUnless } from '../support/skip.ts'

const golden = resolve(import.meta.dir, '../golden/small')
const untouched = { filesPlaced: 0, linksMade: 0, directoriesMade: 0, removed: 0, metaWritten: false }

setDefaultTimeout(120_000)

const lan = fileLan(hasRccHosts)

describe.each(['gzip', 'nocompress'] as const)('the small set %s', (kind) => {
  const robot = (version: number) => join(golden, kind, `robot${version}`, 'robot.yaml')
  let host: RccHost
  beforeAll(() => {
    if (hasRccHosts) host = RccHost.withSmallLibrary(lan(), kind)
  })

  for (const version of smallVersions)
    rccTest(`v${version} restored by holo-peer is pristine for rcc, and stays so for holo-peer`, async () => {
      const { listing } = smallCold(kind, version)
      const made = await host.holoRestore(robot(version), `cold${version}`)
      expect(made).toMatchObject({ ok: true, restored: { metaWritten: true } })
      const { path, directory } = made.space
      expect(differences(host.host.outside(path), listing, { directoryTimes: 'settled' })).toEqual([])
      const files = host.filesOf(path)
      const notes = host.notes(path)

      expect(await host.restore(robot(version), `cold${version}`)).toMatchObject({ exitCode: 0, dirtyness: 0 })

      expect(host.filesOf(path)).toEqual(files)
      expect(host.notes(path)).toEqual({ ...notes, uses: notes.uses + 1 })
      const spaces = JSON.parse((await host.rcc('holotree', 'list', '--json')).stdout)
      expect(spaces[directory]).toMatchObject({
        blueprint: made.blueprint,
        controller: 'rcc.user',
        space: `cold${version}`,
        path,
        'use-count': '2 times',
        'idle-days': 0,
      })
      expect((await host.holoRestore(robot(version), `cold${version}`)).restored).toMatchObject(untouched)
      expect(host.filesOf(path)).toEqual(files)
    })

  for (const version of smallVersions)
    rccTest(`v${version} restored by rcc is pristine for holo-peer`, async () => {
      const { listing } = smallCold(kind, version)
      expect(await host.restore(robot(version), `rcc${version}`)).toMatchObject({ exitCode: 0 })
      const dry = await host.fleet.report('restore', robot(version), '--space', `rcc${version}`, '--dry-run')
      expect(dry.plan).toMatchObject({
        filesToPlace: 0,
        filesUnchanged: listing.filter((e) => e.type === 'file').length,
      })
      const files = host.filesOf(dry.space.path)
      const notes = host.notes(dry.space.path)

      const report = await host.holoRestore(robot(version), `rcc${version}`)

      expect(report).toMatchObject({ ok: true, restored: untouched })
      expect(host.filesOf(dry.space.path)).toEqual(files)
      expect(host.notes(dry.space.path)).toEqual({ ...notes, uses: notes.uses + 1 })
    })

  for (const first of ['rcc', 'holo-peer'] as const)
    rccTest(`v1, v2, v3 by turns in one space, ${first} first, give rcc's trees`, async () => {
      const { spacePath } = smallSwitched(kind, 1)
      for (const version of smallVersions) {
        const byRcc = (version % 2 === 1) === (first === 'rcc')
        const done = byRcc ? await host.restore(robot(version), 'gold') : await host.holoRestore(robot(version), 'gold')
        expect(done).toMatchObject({ exitCode: 0 })
        const { listing } = smallSwitched(kind, version)
        expect(differences(host.host.outside(spacePath), listing, { directoryTimes: 'settled' })).toEqual([])
      }
      // Whoever did not come last finds nothing to do.
      if (first === 'rcc') expect((await host.holoRestore(robot(3), 'gold')).restored).toMatchObject(untouched)
      else expect(await host.restore(robot(3), 'gold')).toMatchObject({ exitCode: 0, dirtyness: 0 })
      fs.rmSync(host.host.outside(spacePath), { recursive: true })
      for (const suffix of ['.meta', '.meta.info']) fs.rmSync(host.host.outside(spacePath) + suffix)
    })

  rccTest('rcc lists, and a space that rcc deleted comes back', async () => {
    const made = await host.holoRestore(robot(1), 'doomed')
    const catalogs = JSON.parse((await host.rcc('holotree', 'catalogs', '--json')).stdout)
    const wanted = JSON.parse(fs.readFileSync(join(golden, kind, 'catalogs.json'), 'utf8'))
    for (const blueprint of Object.keys(wanted)) {
      const { bytes, directories, files, holotree, platform, relocations } = wanted[blueprint]
      const known = { blueprint, bytes, directories, files, holotree, platform, relocations }
      expect(catalogs[blueprint]).toMatchObject(known)
    }
    expect(catalogs[made.blueprint].days_since_last_use).toBe(0)

    expect(await host.rcc('holotree', 'delete', made.space.directory)).toMatchObject({ exitCode: 0 })
    expect(host.host.has(made.space.path)).toBe(false)
    const again = await host.holoRestore(robot(1), 'doomed')
    expect(again.restored).toMatchObject({ filesPlaced: made.restored.filesPlaced, metaWritten: true })
    expect(await host.restore(robot(1), 'doomed')).toMatchObject({ exitCode: 0, dirtyness: 0 })
  })

  rccTest('what a robot left in a space goes away with either', async () => {
    const { path } = (await host.holoRestore(robot(2), 'worn')).space
    const outside = host.host.outside(path)
    const tree = () => differences(outside, smallCold(kind, 2).listing, { directoryTimes: 'ignored' })
    // The listing is of another space, whose name stands in the relocated files.
    const named = tree()
    const wear = () => {
      fs.mkdirSync(join(outside, 'lib', '__pycache__'))
      fs.writeFileSync(join(outside, 'lib', '__pycache__', 'x.pyc'), 'x')
      fs.rmSync(join(outside, 'VERSION'))
      fs.chmodSync(join(outside, 'identity.yaml'), 0o600)
    }
    wear()
    const byRcc = await host.restore(robot(2), 'worn')
    expect(byRcc.exitCode).toBe(0)
    expect(byRcc.dirtyness).toBeGreaterThan(0)
    expect(tree()).toEqual(named)
    wear()
    expect((await host.holoRestore(robot(2), 'worn')).restored).toMatchObject({ filesPlaced: 2, removed: 1 })
    expect(tree()).toEqual(named)
    expect(await host.restore(robot(2), 'worn')).toMatchObject({ exitCode: 0, dirtyness: 0 })
  })
})

const environmentTest = hasRccHosts ? skipUnless(hasGoldenEnvironment, goldenEnvironmentReason) : rccTest

environmentTest(
  'a real environment: v1 by rcc, v2 by holo-peer, and rcc finds v2 pristine',
  async () => {
    const host = RccHost.on(lan())
    fs.cpSync(environmentRoots().hololib, join(host.host.home, 'hololib'), { recursive: true })
    const robot = (version: 1 | 2) => join(goldenEnvironment, `v${version}`, 'robot.yaml')
    const { listing, spacePath } = environmentVersion(2)
    expect(await host.restore(robot(1), 'cold-v2')).toMatchObject({ exitCode: 0 })
    const report = await host.holoRestore(robot(2), 'cold-v2')
    expect(report.space).toMatchObject({ path: spacePath, directory: basename(spacePath) })
    expect(report.restored.unchanged.files).toBeGreaterThan(3_000)
    expect(differences(host.host.outside(spacePath), listing, { directoryTimes: 'ignored' })).toEqual([])
    const files = host.filesOf(spacePath)
    expect(await host.restore(robot(2), 'cold-v2')).toMatchObject({ exitCode: 0, dirtyness: 0 })
    expect(host.filesOf(spacePath)).toEqual(files)
  },
  120_000,
)

rccTest("rcc's statistics and event listing count the restores of holo-peer", async () => {
  const counting = RccHost.withSmallLibrary(lan(), 'gzip')
  const samples = async () => {
    const { stderr } = await counting.rcc('holotree', 'statistics', '-w', '1')
    return Number(/statistics: (\d+) samples/.exec(stderr)?.[1])
  }
  expect(await samples()).toBe(0)
  for (const space of ['one', 'two'])
    expect(await counting.holoRestore(smallRobot(1), space)).toMatchObject({ ok: true })
  expect(await samples()).toBe(2)
  expect(await counting.restore(smallRobot(1), 'one')).toMatchObject({ exitCode: 0, dirtyness: 0 })
  expect(await samples()).toBe(3)
  const { stderr } = await counting.rcc('holotree', 'statistics', '-w', '1', '-v')
  expect(stderr).toContain('statistics: 3 samples')

  // Names and their order in both journals are those of rcc's own lines.
  const journals = join(counting.host.home, 'journals')
  for (const file of fs.readdirSync(journals)) {
    const lines = fs.readFileSync(join(journals, file), 'utf8').trimEnd().split('\n')
    const shapes = lines.map((line) =>
      Object.entries(JSON.parse(line)).map(([name, value]) => `${name} ${typeof value}`),
    )
    const used = file === 'event.log' ? shapes.filter((_shape, index) => lines[index]?.includes('space-used')) : shapes
    expect(new Set(used.map((shape) => shape.join()))).toHaveProperty('size', 1)
    expect(used).toHaveLength(3)
  }
})
