/**
 * The spine: hosts on a LAN, one binary, a real environment made by rcc (84 MB; 5,089 and 7,501 entries).
 *
 * Hosts are network namespaces with a mount namespace each, so that each has its own /tmp/holo-golden. The binary is
 * the compiled one, alone in an empty directory.
 */
import { afterAll, beforeAll, describe, expect } from 'bun:test'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { never } from '../../src/base/clock.ts'
import type { BlobRef } from '../../src/blob/source.ts'
import { blobPath } from '../../src/catalog/layout.ts'
import { distinctBlobs } from '../../src/catalog/walk.ts'
import { Library } from '../../src/store/library.ts'
import { fileLan } from '../support/file-lan.ts'
import { FleetHost, fleetObstacle, goldenEnvironment, type Version } from '../support/fleet-hosts.ts'
import { forgeNotes } from '../support/forge-notes.ts'
import { differences, environmentRoots, environmentVersion, listTree, rootsIn } from '../support/golden.ts'
import { Lan } from '../support/lan.ts'
import { skipUnless } from '../support/skip.ts'

const obstacle = fleetObstacle()
const lanTest = skipUnless(obstacle === undefined, obstacle ?? '')

/** Distinct blobs of one version of the golden environment. */
function blobsOf(version: Version): readonly BlobRef[] {
  const { name } = environmentVersion(version === 'v1' ? 1 : 2)
  const found = new Library(environmentRoots()).catalog(name)
  return found === undefined ? [] : distinctBlobs(found.catalog)
}

function expectTree(host: FleetHost, version: Version, path: string): void {
  const { listing } = environmentVersion(version === 'v1' ? 1 : 2)
  expect(differences(host.host.outside(path), listing, { directoryTimes: 'ignored' })).toEqual([])
}

/** Every entry with the times that any write would change. */
function timesOf(path: string): string[] {
  return listTree(path).map((entry) => {
    const { mtimeMs, ctimeMs, ino } = fs.lstatSync(join(path, entry.path))
    return `${entry.path} ${ino} ${mtimeMs} ${ctimeMs}`
  })
}

describe('two hosts', () => {
  let lan: Lan
  let a: FleetHost
  let b: FleetHost
  beforeAll(async () => {
    if (obstacle !== undefined) return
    lan = new Lan()
    a = FleetHost.withLibrary(lan)
    b = FleetHost.on(lan)
    const fleet = await a.lead()
    expect(await b.join(fleet)).toMatchObject({ exitCode: 0, fleet: 'factory', bootstraps: [fleet.address] })
  })
  afterAll(async () => {
    await lan?.[Symbol.asyncDispose]()
  })

  lanTest('restore ends with the tree that rcc makes, and its Python runs', async () => {
    const report = await b.restore('v1')
    expect(report).toMatchObject({ ok: true, exitCode: 0 })
    expect(report.fetched.blobs).toBe(blobsOf('v1').length)
    expect(Object.keys(report.fetched.bySource)).toHaveLength(1)
    console.log(
      `v1: ${report.fetched.blobs} blobs, ${report.fetched.wireBytes} bytes on the wire, ${Math.round(report.ms.total)} ms`,
    )
    expectTree(b, 'v1', report.space.path)
    // As rcc runs it: bytecode written beside the modules would make the space dirty.
    const task = [`${report.space.path}/bin/python`, join(goldenEnvironment, 'v1', 'task.py')]
    const python = await b.host.run(task, { env: { PYTHONDONTWRITEBYTECODE: 'x' } })
    expect(python).toMatchObject({ exitCode: 0, stdout: 'numpy 2.4.6 requests 2.34.2\n' })
  })

  lanTest('a second restore moves no blob and touches no file', async () => {
    const { space } = await b.restore('v1', '--dry-run')
    const before = timesOf(b.host.outside(space.path))
    const report = await b.restore('v1')
    expect(report.fetched.blobs).toBe(0)
    expect(report.restored).toMatchObject({
      filesPlaced: 0,
      linksMade: 0,
      directoriesMade: 0,
      removed: 0,
      metaWritten: false,
    })
    expect(timesOf(b.host.outside(space.path))).toEqual(before)
  })

  lanTest('the next version moves only the blobs that the first one lacked', async () => {
    const had = new Set(blobsOf('v1').map(({ digest }) => digest))
    const lacked = blobsOf('v2').filter(({ digest }) => !had.has(digest))
    const report = await b.restore('v2')
    console.log(
      `v2: ${report.fetched.blobs} blobs fetched, ${lacked.length} lacked by v1, ${blobsOf('v2').length} in all`,
    )
    expect(report.fetched.blobs).toBe(lacked.length)
    expectTree(b, 'v2', report.space.path)
    // The same space through both versions and back: no blob moves any more.
    const robot = join(goldenEnvironment, 'v1', 'robot.yaml')
    const switched = await b.report('restore', robot, '--space', 'cold-v2')
    expect(switched.fetched.blobs).toBe(0)
    expect((await b.restore('v2')).fetched.blobs).toBe(0)
    expectTree(b, 'v2', report.space.path)
  })

  lanTest('what B has fetched is complete for rcc and served to others', async () => {
    const library = new Library(rootsIn(b.host.home))
    for (const version of [1, 2] as const) {
      const { name } = environmentVersion(version)
      expect((await library.complete(name, never))?.name).toBe(name)
    }
  })

  lanTest('a host with another secret finds nobody', async () => {
    const stranger = FleetHost.on(lan)
    const { fleets } = await b.report('fleet', 'show')
    await stranger.report('fleet', 'create', 'factory', '--bootstrap', fleets[0].bootstraps[0])
    const report = await stranger.restore('v1')
    expect(report).toMatchObject({ ok: false, exitCode: 3, error: { blame: 'missing' } })
    expect(fs.existsSync(join(stranger.host.home, 'hololib', 'library'))).toBe(false)
  })
})

describe('a peer that dies', () => {
  // Goal: the loss of the only peer in the middle is told soon, and costs nothing that was fetched. Method: SIGKILL for
  // A's daemon when some hundred blobs have arrived; then A comes back.
  lanTest('is told within seconds, and the next restore goes on where this one ended', async () => {
    await using lan = new Lan()
    const [a, b] = [FleetHost.withLibrary(lan), FleetHost.on(lan)]
    const fleet = await a.lead()
    await b.join(fleet)
    const restoring = b.restore('v1')
    const library = new Library(rootsIn(b.host.home))
    const refs = blobsOf('v1')
    while ((await library.missingOf(refs, never)).length > refs.length - 500) await Bun.sleep(5)
    fleet.process.kill('SIGKILL')
    const killedMs = performance.now()
    const broken = await restoring
    console.log(`told ${Math.round(performance.now() - killedMs)} ms after the kill: ${broken.error?.message}`)
    expect(broken).toMatchObject({ ok: false, exitCode: 5, error: { blame: 'source' } })
    expect(broken.error.message).toContain('are kept')
    const kept = refs.length - (await library.missingOf(refs, never)).length
    expect(kept).toBeGreaterThanOrEqual(500)
    await a.startDaemon()
    const report = await b.restore('v1')
    expect(report).toMatchObject({ ok: true, fetched: { blobs: refs.length - kept } })
    expectTree(b, 'v1', report.space.path)
  })
})

describe('a peer with altered bytes', () => {
  const lan = fileLan(obstacle === undefined)

  /**
   * A host that serves the environment, some of its larger blobs altered on its disk. One that denies it has them
   * everywhere, so that whatever is asked of it is wrong.
   */
  async function startLiar(
    alteredBlobs: number,
    { denies = false } = {},
  ): Promise<{ liar: FleetHost; invite: string; address: string; altered: BlobRef[] }> {
    const liar = FleetHost.withLibrary(lan())
    const larger = blobsOf('v1').filter(({ sizeBytes }) => sizeBytes > 1000)
    const step = denies ? Math.floor(larger.length / alteredBlobs) : 1
    const altered = larger.filter((_ref, index) => index % step === 0).slice(0, alteredBlobs)
    for (const { digest, sizeBytes } of altered)
      fs.writeFileSync(blobPath(rootsIn(liar.host.home), digest), Bun.gzipSync(Buffer.alloc(sizeBytes, 'x')))
    if (denies)
      forgeNotes(
        liar.host.home,
        altered.map(({ digest }) => digest),
      )
    return { liar, altered, ...(await liar.lead()) }
  }

  lanTest('is named with the blob, and leaves no bad byte in library or space', async () => {
    const { liar, altered, ...fleet } = await startLiar(1)
    const digest = altered[0]?.digest ?? ''
    const b = FleetHost.on(lan())
    await b.join(fleet)
    const report = await b.restore('v1')
    expect(report).toMatchObject({ ok: false, exitCode: 5, error: { code: 'blob-corrupt', blame: 'source' } })
    expect(report.error.message).toContain(digest)
    expect(report.error.message).toContain(liar.host.address)
    const library = new Library(rootsIn(b.host.home))
    for (const ref of blobsOf('v1')) expect(await library.verify(ref, never)).toBeUndefined()
    expect((await library.missingOf(blobsOf('v1'), never)).map((ref) => ref.digest)).toContain(digest as never)
    const files = listTree(b.host.golden).filter(({ type }) => type === 'file')
    expect(files.map(({ path }) => path)).toEqual([expect.stringMatching(/^holotree\/[^/]*\.lck$/)])
  })

  lanTest('is dropped and named where another host holds the blobs rightly', async () => {
    const { liar, altered, ...fleet } = await startLiar(500, { denies: true })
    const [b, honest] = [FleetHost.on(lan()), FleetHost.withLibrary(lan())]
    await b.join(fleet)
    await honest.join(fleet)
    await honest.startDaemon()
    const report = await b.restore('v1')
    expect(report).toMatchObject({ ok: true, exitCode: 0 })
    expectTree(b, 'v1', report.space.path)
    expect(report.fetched.dropped).toHaveLength(1)
    expect(report.fetched.dropped[0].source).toContain(liar.host.address)
    expect(altered.some(({ digest }) => report.fetched.dropped[0].message.includes(digest))).toBe(true)
  })

  lanTest('sends nothing that it finds rotten, and another host makes up for it', async () => {
    const { liar, altered, ...fleet } = await startLiar(500)
    const [b, honest] = [FleetHost.on(lan()), FleetHost.withLibrary(lan())]
    await b.join(fleet)
    await honest.join(fleet)
    await honest.startDaemon()
    const report = await b.restore('v1')
    expect(report).toMatchObject({ ok: true, exitCode: 0, fetched: { dropped: [] } })
    expectTree(b, 'v1', report.space.path)
    expect([altered.length, Object.keys(report.fetched.bySource).length]).toEqual([500, 2])
    expect(Object.keys(report.fetched.bySource).some((source) => source.includes(liar.host.address))).toBe(true)
  })
})
