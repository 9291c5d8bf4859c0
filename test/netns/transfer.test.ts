/** Transfers between hosts, the compiled binary at every end: into the library only, in a crowd, limited, cut off. */
import { describe, expect } from 'bun:test'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { never } from '../../src/base/clock.ts'
import { blobPath } from '../../src/catalog/layout.ts'
import { distinctBlobs } from '../../src/catalog/walk.ts'
import { Library } from '../../src/store/library.ts'
import { FleetHost, fleetObstacle, goldenEnvironment, hostObstacle, smallRobot } from '../support/fleet-hosts.ts'
import { environmentVersion, rootsIn, smallCold } from '../support/golden.ts'
import { Lan } from '../support/lan.ts'
import { skipUnless } from '../support/skip.ts'

const obstacle = hostObstacle()
const lanTest = skipUnless(obstacle === undefined, obstacle ?? '')
const noGolden = fleetObstacle()
const goldenTest = skipUnless(noGolden === undefined, noGolden ?? '')

const v1 = join(goldenEnvironment, 'v1', 'robot.yaml')

function libraryOf({ host }: FleetHost): Library {
  return new Library(rootsIn(host.home))
}

/** The small environment: 402 blobs. */
const SMALL = smallCold('gzip', 1).name

/** Blobs of a catalog that the library of `host` lacks; -1 where it lacks the catalog. */
async function lacking(host: FleetHost, name = SMALL): Promise<number> {
  const library = libraryOf(host)
  const catalog = library.catalog(name)
  return catalog === undefined ? -1 : (await library.missing(catalog.catalog, never)).length
}

/** Resolve once the daemon of `host` has given its word for the small environment, which it does in the background. */
async function untilSigned(host: FleetHost): Promise<void> {
  for (;;) {
    const { daemon } = await host.report('status')
    const held: { catalog: string; signers: string[] }[] = daemon.published
    if (held.some(({ catalog, signers }) => catalog === SMALL && signers.length > 0)) return
    await Bun.sleep(50)
  }
}

describe('fetch', () => {
  lanTest(
    'brings an environment into the library only, and the next time says that there is nothing to do',
    async () => {
      await using lan = new Lan()
      const [a, b] = [FleetHost.withSmallLibrary(lan), FleetHost.on(lan)]
      await b.join(await a.lead())
      const first = await b.report('fetch', smallRobot(1))
      expect(first).toMatchObject({
        ok: true,
        exitCode: 0,
        blobs: 402,
        missing: { blobs: 402 },
        fetched: { blobs: 402 },
      })
      expect(Object.keys(first.fetched.bySource)).toEqual([first.source])
      expect(fs.readdirSync(b.host.golden)).toEqual([])
      const second = await b.report('fetch', smallRobot(1))
      expect(second).toMatchObject({ ok: true, source: 'library', missing: { blobs: 0 }, fetched: { blobs: 0 } })
      expect(await b.restoreSmall(1, '--offline')).toMatchObject({ ok: true })
      expect(b.differencesFromSmall(1)).toEqual([])
      expect((await b.run('fetch', smallRobot(1))).stdout).toContain('nothing: every blob was in the library')
    },
  )

  lanTest("through the machine's daemon tells the same, and goes on where that is killed", async () => {
    await using lan = new Lan()
    const [a, b] = [FleetHost.withSmallLibrary(lan), FleetHost.on(lan)]
    a.settings({ limits: { upload: '2 MB/s' } })
    await b.join(await a.lead())
    await b.startDaemon()
    await b.connectedWith(a.host.address)
    await untilSigned(a)
    const report = await b.report('fetch', smallRobot(1))
    const all = { ok: true, exitCode: 0, blobs: 402, missing: { blobs: 402 } }
    const published = { grounds: 'member', signer: { role: 'holder' } }
    expect(report).toMatchObject({ ...all, fetched: { blobs: 402 }, published })
    expect(report.source).toContain(a.host.address)
    expect(Object.keys(report.fetched.bySource)).toEqual([report.source])
    expect(report.firstByteMs).toBeLessThan(report.ms.total)
    expect(await lacking(b)).toBe(0)
    const again = await b.report('fetch', smallRobot(1))
    expect(again).toMatchObject({ ok: true, source: 'library', missing: { blobs: 0 }, fetched: { blobs: 0 } })

    fs.rmSync(join(b.host.home, 'hololib'), { recursive: true })
    const fetching = b.report('fetch', smallRobot(1))
    const hololib = join(b.host.home, 'hololib', 'library')
    while (!fs.existsSync(hololib) || fs.readdirSync(hololib).length < 20) await Bun.sleep(5)
    await b.killDaemon()
    expect(await fetching).toMatchObject({ ...all, blobs: 402 })
    expect(await lacking(b)).toBe(0)
  })

  lanTest('of two commands at once fetches each blob once', async () => {
    await using lan = new Lan()
    const [a, b] = [FleetHost.withSmallLibrary(lan), FleetHost.on(lan)]
    await b.join(await a.lead())
    const reports = await Promise.all([1, 2, 3].map(() => b.report('fetch', smallRobot(1))))
    expect(reports.map(({ exitCode }) => exitCode)).toEqual([0, 0, 0])
    expect(reports.reduce((sum, { fetched }) => sum + fetched.blobs, 0)).toBe(402)
  })

  lanTest('takes from a machine that has another version what both share', async () => {
    await using lan = new Lan()
    const [a, b] = [FleetHost.withSmallLibrary(lan), FleetHost.on(lan)]
    await b.join(await a.lead())
    await b.report('fetch', smallRobot(1))
    const second = await b.report('fetch', smallRobot(2))
    expect(second.fetched.blobs).toBe(second.missing.blobs)
    expect(second.missing.blobs).toBeLessThan(second.blobs)
  })

  goldenTest('in a crowd passes on what came a moment ago, and every library is right', async () => {
    await using lan = new Lan()
    const seed = FleetHost.withLibrary(lan)
    const fleet = await seed.lead()
    const crowd = [1, 2, 3].map(() => FleetHost.on(lan))
    for (const each of crowd) {
      await each.join(fleet)
      await each.startDaemon()
    }
    const all = [seed, ...crowd].map(({ host }) => host.address)
    for (const each of crowd) await each.connectedWith(...all.filter((address) => address !== each.host.address))
    const reports = await Promise.all(crowd.map((each) => each.report('fetch', v1)))
    const done = { ok: true, exitCode: 0, fetched: { blobs: reports[0]?.blobs, dropped: [] } }
    expect(reports).toMatchObject([done, done, done])
    for (const each of crowd) expect(await lacking(each, environmentVersion(1).name)).toBe(0)
    // Somebody had something from somebody who was fetching himself.
    expect(Math.max(...reports.map(({ fetched }) => Object.keys(fetched.bySource).length))).toBeGreaterThan(1)
    // A command that went round its busy daemon, as it may, is a fourth peer until its connection has ended.
    await seed.connectedWith(...crowd.map(({ host }) => host.address))
    for (const each of [seed, ...crowd]) {
      const { daemon } = await each.report('status')
      expect(daemon).toMatchObject({ fetching: [], banned: [] })
    }
    const { daemon } = await seed.report('status')
    expect(daemon.sentBytes).toBeGreaterThan(0)
  })

  lanTest('that was killed is continued by the next one', async () => {
    await using lan = new Lan()
    const [seed, b] = [FleetHost.withSmallLibrary(lan), FleetHost.on(lan)]
    seed.settings({ limits: { upload: '800 kB/s' } })
    await b.join(await seed.lead())
    const first = b.host.spawn([b.binary, 'fetch', smallRobot(1)])
    const hololib = join(b.host.home, 'hololib', 'library')
    while (!fs.existsSync(hololib) || fs.readdirSync(hololib).length < 20) await Bun.sleep(20)
    first.kill('SIGKILL')
    await first.exited
    const second = await b.report('fetch', smallRobot(1))
    expect(second.exitCode).toBe(0)
    expect(second.missing.blobs).toBeLessThan(second.blobs)
    expect(second.fetched.blobs).toBe(second.missing.blobs)
    expect(await lacking(b)).toBe(0)
    const left = fs.readdirSync(hololib).filter((name) => name.startsWith('.'))
    expect(left).toEqual([])
  })

  lanTest('heeds the upload limit of the other side and its own download limit', async () => {
    await using lan = new Lan()
    const [seed, b] = [FleetHost.withSmallLibrary(lan), FleetHost.on(lan)]
    seed.settings({ limits: { upload: '16 Mbit/s' } })
    const fleet = await seed.lead()
    await b.join(fleet)
    const limited = await b.report('fetch', smallRobot(1))
    const seconds = (report: { fetched: { wireBytes: number } }, rate: number) => report.fetched.wireBytes / rate
    // Less what a pause lets go at once.
    expect(limited.ms.fetch / 1000).toBeGreaterThan(seconds(limited, 2e6) * 0.9)
    const c = FleetHost.on(lan)
    await c.join(fleet)
    c.settings({ limits: { download: '1 MB/s' } })
    const own = await c.report('fetch', smallRobot(1))
    expect(own.ms.fetch / 1000).toBeGreaterThan(seconds(own, 1e6) * 0.8)
  })

  lanTest('from a liar and an honest machine ends right, and names and bans the liar', async () => {
    await using lan = new Lan()
    const [liar, honest, b] = [FleetHost.withSmallLibrary(lan), FleetHost.withSmallLibrary(lan), FleetHost.on(lan)]
    const roots = rootsIn(liar.host.home)
    const catalog = libraryOf(liar).catalog(SMALL)
    if (catalog === undefined) throw new Error('no small one')
    const fleet = await liar.lead()
    await honest.join(fleet)
    await honest.startDaemon()
    await b.join(fleet)
    await b.startDaemon()
    await b.connectedWith(liar.host.address, honest.host.address)
    // Altered after they were announced, well-formed: the size is right, and no gzip is broken.
    for (const [index, { digest, sizeBytes }] of distinctBlobs(catalog.catalog).entries()) {
      if (index % 20 !== 10 || sizeBytes === 0) continue
      const path = blobPath(roots, digest)
      fs.writeFileSync(`${path}.new`, Bun.gzipSync(new Uint8Array(sizeBytes).fill(index)))
      fs.renameSync(`${path}.new`, path)
    }
    const report = await b.report('fetch', smallRobot(1))
    expect(report.exitCode).toBe(0)
    expect(await lacking(b)).toBe(0)
    const library = libraryOf(b)
    for (const ref of distinctBlobs(catalog.catalog)) {
      const content = library.find(ref.digest)?.whole(ref.sizeBytes)
      expect(new Bun.CryptoHasher('sha256').update(content ?? '').digest('hex')).toBe(String(ref.digest))
    }
    for (const { source, code } of report.fetched.dropped) {
      expect(source).toContain(liar.host.address)
      expect(code).toBe('blob-corrupt')
    }
    const { banned } = await b.report('peers')
    expect(banned).toHaveLength(report.fetched.dropped.length)
  })
})
