// Goal: packed catalogs save time and nothing else: with them, without them and with broken ones, the same happens.
import { expect } from 'bun:test'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { catalogPath, statePaths } from '../../src/catalog/layout.ts'
import { fileLan } from '../support/file-lan.ts'
import { FleetHost, hostObstacle, type Report } from '../support/fleet-hosts.ts'
import { rootsIn, smallCold } from '../support/golden.ts'
import { skipUnless } from '../support/skip.ts'

const obstacle = hostObstacle()
const hostTest = skipUnless(obstacle === undefined, obstacle ?? '')
const untouched = { filesPlaced: 0, linksMade: 0, directoriesMade: 0, removed: 0, metaWritten: false }
const lan = fileLan(obstacle === undefined)

const folderOf = (host: FleetHost) => statePaths(rootsIn(host.host.home)).packedCatalogs
const packedIn = (host: FleetHost) => (fs.existsSync(folderOf(host)) ? fs.readdirSync(folderOf(host)).sort() : [])
/** A report without what differs from run to run. */
const lasting = ({ ms: _ms, timeline: _timeline, restored, ...rest }: Report) => ({
  ...rest,
  restored: { ...restored, ms: undefined },
})

hostTest('a restore packs the catalog that it decoded, and the next ones end the same without it', async () => {
  const host = FleetHost.withSmallLibrary(lan())
  expect(await host.restoreSmall(1, '--dry-run')).toMatchObject({ exitCode: 0 })
  expect(packedIn(host)).toEqual([])
  const made = await host.restoreSmall(1, '--offline')
  expect(made).toMatchObject({ exitCode: 0, restored: { metaWritten: true } })
  const [packed = '', ...more] = packedIn(host)
  expect(more).toEqual([])

  const path = join(folderOf(host), packed)
  const whole = fs.readFileSync(path)
  const inode = fs.statSync(path).ino
  const again = await host.restoreSmall(1, '--offline')
  expect(again).toMatchObject({ exitCode: 0, restored: untouched })
  expect(fs.statSync(path).ino).toBe(inode)
  for (const bytes of [whole.subarray(0, 500), Buffer.alloc(whole.byteLength), undefined]) {
    if (bytes === undefined) fs.rmSync(folderOf(host), { recursive: true })
    else fs.writeFileSync(path, bytes)
    expect(lasting(await host.restoreSmall(1, '--offline'))).toEqual(lasting(again))
    expect(fs.readFileSync(path).equals(whole)).toBe(true)
  }
  expect(host.differencesFromSmall(1)).toEqual([])
})

hostTest('a catalog that was replaced in the library is decoded anew', async () => {
  const host = FleetHost.withSmallLibrary(lan())
  const roots = rootsIn(host.host.home)
  await host.restoreSmall(1, '--offline')
  const stored = (version: 1 | 2) => catalogPath(roots, smallCold('gzip', version).name)
  fs.copyFileSync(stored(2), stored(1))
  // It is another one than its name says, and as good as none.
  expect(await host.restoreSmall(1, '--offline')).toMatchObject({ exitCode: 3, error: { code: 'not-in-library' } })
})

hostTest('one space goes from version to version by its notes alone, once all are packed', async () => {
  const host = FleetHost.withSmallLibrary(lan())
  const robot = (version: 1 | 2 | 3) => host.restoreSmall(version, '--space', 'gold', '--offline')
  const first: Report[] = []
  for (const version of [1, 2, 3, 1] as const) first.push(await robot(version))
  expect(packedIn(host)).toHaveLength(3)
  const places = first.map(({ restored }) => restored.filesPlaced)
  for (const [index, version] of ([2, 3, 1] as const).entries()) {
    expect((await robot(version)).restored).toMatchObject({ filesPlaced: places[index + 1], metaWritten: true })
  }
  expect((await robot(1)).restored).toMatchObject(untouched)
  expect(packedIn(host)).toHaveLength(3)
})

hostTest('a catalog that cannot be read hinders nobody who leaves it for another', async () => {
  const host = FleetHost.withSmallLibrary(lan())
  const path = catalogPath(rootsIn(host.host.home), smallCold('gzip', 1).name)
  await host.restoreSmall(1, '--space', 'gold', '--offline')
  fs.rmSync(path)
  fs.mkdirSync(path)
  const left = await host.restoreSmall(2, '--space', 'gold', '--offline')
  expect(left).toMatchObject({ exitCode: 0, restored: { metaWritten: true } })
})

hostTest('what came from a peer is packed when it is put into the library', async () => {
  const [a, b] = [FleetHost.withSmallLibrary(lan()), FleetHost.on(lan())]
  await b.join(await a.lead())
  expect(await b.restoreSmall(2)).toMatchObject({ exitCode: 0, restored: { metaWritten: true } })
  expect(packedIn(b)).toHaveLength(1)
  expect(await b.restoreSmall(2, '--offline')).toMatchObject({ exitCode: 0, restored: untouched })
  expect(packedIn(b)).toHaveLength(1)
})
