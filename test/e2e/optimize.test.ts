/** `holo-peer optimize` as a user runs it: the compiled binary, beside a daemon, killed, and in a hostile directory. */
import { describe, expect } from 'bun:test'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { nextTurn } from '../../src/base/clock.ts'
import { seededRandom } from '../../src/base/random.ts'
import { sha256Of } from '../../src/blob/digest.ts'
import { isGzip } from '../../src/blob/gzip.ts'
import { blobPath, catalogDirectory, libraryDirectory } from '../../src/catalog/layout.ts'
import { blobNames } from '../../src/store/blob-names.ts'
import { fileLan } from '../support/file-lan.ts'
import { FleetHost, hostObstacle } from '../support/fleet-hosts.ts'
import { rootsIn, unpackSmall } from '../support/golden.ts'
import { skipUnless } from '../support/skip.ts'

const obstacle = hostObstacle()
const hostTest = skipUnless(obstacle === undefined, obstacle ?? '')
const lan = fileLan(obstacle === undefined)

/** Blobs by form; `wrong` are those whose file does not hold their content. */
function library(host: FleetHost) {
  const roots = rootsIn(host.host.home)
  const found = { gzip: 0, raw: 0, wrong: [] as string[] }
  for (const digest of blobNames(roots)) {
    const stored = fs.readFileSync(blobPath(roots, digest))
    const gzip = isGzip(stored)
    found[gzip ? 'gzip' : 'raw']++
    if (sha256Of(gzip ? gunzipSync(stored) : stored) !== digest) found.wrong.push(digest)
  }
  return found
}

function temporaries(host: FleetHost): string[] {
  return fs.readdirSync(libraryDirectory(rootsIn(host.host.home))).filter((name) => name.startsWith('.'))
}

/** Resolves when the first temporary appears. */
function firstChange(host: FleetHost): Promise<void> {
  return new Promise((resolve) => {
    const watcher = fs.watch(libraryDirectory(rootsIn(host.host.home)), () => {
      watcher.close()
      resolve()
    })
  })
}

describe('optimize', () => {
  hostTest('tells exactly what it would do, does it, and has nothing to do then', async () => {
    const host = FleetHost.withSmallLibrary(lan())
    const before = library(host)
    const dry = await host.report('optimize', '--dry-run')
    expect(dry).toMatchObject({ ok: true, exitCode: 0, dryRun: true, to: 'raw', totals: { converted: before.gzip } })
    expect(library(host)).toEqual(before)

    const done = await host.report('optimize')

    expect(done.totals).toEqual(dry.totals)
    expect(library(host)).toEqual({ gzip: 0, raw: before.gzip, wrong: [] })
    expect(await host.report('optimize')).toMatchObject({ totals: { converted: 0, already: before.gzip } })
    const back = await host.run('optimize', '--compress', '--quiet')
    expect(back).toMatchObject({ exitCode: 0, stderr: '' })
    expect(back.stdout).toContain(`converted  ${before.gzip} blobs to gzip`)
    for (const line of back.stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(80)
    expect(library(host)).toEqual(before)
    expect((await host.restoreSmall(1)).ok).toBe(true)
    expect(host.differencesFromSmall(1)).toEqual([])
  })

  hostTest('ends with status 5 where a blob is corrupt, and has done the rest', async () => {
    const host = FleetHost.withSmallLibrary(lan())
    const [bad] = blobNames(rootsIn(host.host.home))
    if (bad === undefined) throw new Error('the small library is empty')
    fs.truncateSync(blobPath(rootsIn(host.host.home), bad), 15)
    const looked = await host.report('optimize', '--dry-run')
    expect(looked).toMatchObject({ ok: false, exitCode: 5, error: { code: 'library-blobs-corrupt', blame: 'source' } })

    const { exitCode, stdout, stderr } = await host.run('optimize')

    expect(exitCode).toBe(5)
    expect(stdout).toContain(`corrupt    ${bad}`)
    expect(stdout).toContain(`moved to   ${host.host.home}/holo-peer/quarantine\n`)
    expect(fs.readdirSync(join(host.host.home, 'holo-peer/quarantine'))).toEqual([expect.stringContaining(bad)])
    expect(stderr).toContain('error: 1 blob of ')
    expect(stderr).toContain('to mend it: ')
    expect(library(host)).toMatchObject({ gzip: 0, wrong: [] })
    expect(await host.report('optimize')).toMatchObject({ ok: true, totals: { converted: 0, corrupt: [] } })
  })

  hostTest('has nothing to do in a compress.no library, nor in one that is not there', async () => {
    const host = FleetHost.on(lan())
    expect((await host.run('optimize')).stdout).toContain('nothing to do: it holds no blobs')
    unpackSmall('nocompress', host.host.home)
    const blobs = blobNames(rootsIn(host.host.home)).length
    expect(fs.existsSync(join(catalogDirectory(rootsIn(host.host.home)), 'compress.no'))).toBe(true)
    for (const args of [[], ['--compress'], ['--dry-run']])
      expect(await host.report('optimize', ...args)).toMatchObject({ ok: true, compressNo: true })
    expect((await host.run('optimize')).stdout).toContain('nothing to do: it has compress.no')
    expect(blobNames(rootsIn(host.host.home))).toHaveLength(blobs)
  })

  // Goal: whoever can write into the directory where a command is run gets no code into it. Method: files at every
  // place where a careless look-up of the Worker would end, relative to that directory and to the place of the build.
  hostTest('runs no Worker that lies in the working directory', async () => {
    const host = FleetHost.withSmallLibrary(lan())
    const folder = join(host.host.folder, 'planted')
    const trap = join(host.host.folder, 'sprung')
    for (const below of ['', 'store', 'src/store', '$bunfs/root/store', 'root/store'])
      for (const extension of ['ts', 'js']) {
        fs.mkdirSync(join(folder, below), { recursive: true })
        const file = join(folder, below, `recode-worker.${extension}`)
        fs.writeFileSync(file, `require('node:fs').writeFileSync(${JSON.stringify(trap)}, process.cwd())`)
      }
    for (const cwd of [folder, join(folder, 'src'), join(folder, 'src/store')]) {
      const { exitCode, stdout } = await host.host.run([host.binary, 'optimize', '--json'], { cwd })
      expect({ exitCode, ok: JSON.parse(stdout).ok }).toEqual({ exitCode: 0, ok: true })
    }
    expect(library(host).gzip).toBe(0)
    expect(fs.existsSync(trap)).toBe(false)
  })

  // Goal: a kill at any moment leaves whole blobs and temporaries that the next run sweeps.
  hostTest('killed at any moment, it leaves a sound library, and the next run goes on', async () => {
    const host = FleetHost.withSmallLibrary(lan())
    const all = library(host).gzip
    const random = seededRandom(4)
    const rounds = 8 * Number(process.env.CRASH_ROUNDS ?? 1)
    let torn = 0
    for (let round = 0; round < rounds; round++) {
      const to = round % 2 === 0 ? [] : ['--compress']
      const before = library(host)
      const changed = firstChange(host)
      const child = host.host.spawn([host.binary, 'optimize', ...to])
      // From the first change on, a while that differs from round to round.
      await changed
      for (let turns = random.next() * 60; turns > 0; turns--) await nextTurn()
      child.kill('SIGKILL')
      await child.exited
      const left = library(host)
      expect(left.wrong).toEqual([])
      expect(left.gzip + left.raw).toBe(all)
      if (left.gzip !== before.gzip && left.gzip > 0 && left.raw > 0) torn++
      expect(await host.report('optimize', ...to)).toMatchObject({ ok: true, exitCode: 0 })
      expect(temporaries(host)).toEqual([])
      expect(library(host)).toMatchObject(to.length === 0 ? { gzip: 0, raw: all } : { gzip: all, raw: 0 })
    }
    expect(torn).toBeGreaterThan(0)
  })

  hostTest('beside a daemon, peers get every blob whatever form it has at that moment', async () => {
    const seed = FleetHost.withSmallLibrary(lan())
    const fleet = await seed.lead()
    const peers = [FleetHost.on(lan()), FleetHost.on(lan())]
    for (const peer of peers) await peer.join(fleet)
    let fetching = true
    let turns = 0
    const turning = (async () => {
      while (fetching) {
        const report = await seed.report('optimize', ...(turns++ % 2 === 0 ? [] : ['--compress']))
        expect(report).toMatchObject({ ok: true })
      }
    })()
    for (const version of [1, 2, 3] as const)
      for (const peer of peers) {
        const report = await peer.restoreSmall(version)
        expect(report).toMatchObject({ ok: true, fetched: { dropped: [] } })
        expect(peer.differencesFromSmall(version)).toEqual([])
      }
    fetching = false
    await turning
    expect(turns).toBeGreaterThan(1)
    expect(library(seed).wrong).toEqual([])
    // The seed's own restore reads the library too, in whatever form it is now.
    expect((await seed.restoreSmall(1)).ok).toBe(true)
    expect(seed.differencesFromSmall(1)).toEqual([])
  })

  hostTest('is stopped by Ctrl-C with status 130 and leaves no temporary', async () => {
    const host = FleetHost.withSmallLibrary(lan())
    const changed = firstChange(host)
    const child = host.host.spawn([host.binary, 'optimize'])
    await changed
    child.kill('SIGINT')
    // It may have been through by then.
    expect([0, 130]).toContain(await child.exited)
    expect(temporaries(host)).toEqual([])
    expect(library(host).wrong).toEqual([])
    expect(await host.report('optimize')).toMatchObject({ ok: true })
  })
})
