/** `holo-peer restore` as a user runs it: the compiled binary, two hosts, the small golden library. */
import { afterAll, beforeAll, describe, expect } from 'bun:test'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { seededRandom } from '../../src/base/random.ts'
import { isGzip } from '../../src/blob/gzip.ts'
import type { BlobRef } from '../../src/blob/source.ts'
import { blobPath, catalogPath } from '../../src/catalog/layout.ts'
import { blobNames } from '../../src/store/blob-names.ts'
import { Library } from '../../src/store/library.ts'
import { FleetHost, hostObstacle, smallRobot } from '../support/fleet-hosts.ts'
import { rootsIn, smallCold, smallVersions } from '../support/golden.ts'
import { Lan } from '../support/lan.ts'
import { restoreBlobs } from '../support/restore-blobs.ts'
import { skipUnless } from '../support/skip.ts'

const obstacle = hostObstacle()
const hostTest = skipUnless(obstacle === undefined, obstacle ?? '')
let lan: Lan
let a: FleetHost
let fleet: { invite: string; address: string }
beforeAll(async () => {
  if (obstacle !== undefined) return
  lan = new Lan()
  a = FleetHost.withSmallLibrary(lan)
  fleet = await a.lead()
})
afterAll(async () => {
  await lan?.[Symbol.asyncDispose]()
})

async function member(): Promise<FleetHost> {
  const host = FleetHost.on(lan)
  await host.join(fleet)
  return host
}

/** A blob that version 1 restores, of more than 100 bytes. */
function firstLargeBlob(host: FleetHost): BlobRef {
  const catalog = new Library(rootsIn(host.host.home)).catalog(smallCold('gzip', 1).name)?.catalog
  const blob = catalog === undefined ? undefined : restoreBlobs(catalog).find(({ sizeBytes }) => sizeBytes > 100)
  if (blob === undefined) throw new Error('the small environment has no such blob')
  return blob
}

describe('restore', () => {
  hostTest('fetches each version from a peer, only what is new, and equals the listing of rcc', async () => {
    const b = await member()
    const fetched: number[] = []
    for (const version of smallVersions) {
      const report = await b.restoreSmall(version)
      expect(report).toMatchObject({ ok: true, exitCode: 0 })
      expect(b.differencesFromSmall(version)).toEqual([])
      fetched.push(report.fetched.blobs)
    }
    expect(fetched).toEqual([402, 38, 42])
  })

  hostTest('--dry-run says what would be done and writes nothing', async () => {
    const b = await member()
    const report = await b.restoreSmall(1, '--dry-run')
    expect(report).toMatchObject({ ok: true, dryRun: true, plan: { filesToPlace: 404 } })
    expect(report.missing.blobs).toBeGreaterThan(390)
    expect(fs.readdirSync(b.host.golden)).toEqual([])
    expect(fs.existsSync(join(b.host.home, 'hololib', 'library'))).toBe(false)
  })

  // Slow links, so that nobody is through with its share before the other one has begun: it would rightly take that over.
  hostTest('fetches from all peers that have the environment', async () => {
    const [b, first, second] = [FleetHost.on(lan), FleetHost.withSmallLibrary(lan), FleetHost.withSmallLibrary(lan)]
    for (const holder of [first, second]) holder.settings({ limits: { upload: '1 MB/s' } })
    const own = await first.lead()
    for (const other of [second, b]) {
      await other.join(own)
      // A command of its own might have all of it from the first one that it meets.
      await other.startDaemon()
    }
    // Connected is not enough: a peer tells what it holds once its daemon has looked.
    const holders = async () => {
      const { peers } = await b.report('peers')
      return peers.filter(({ catalogs }: { catalogs: number }) => catalogs > 0).length
    }
    while ((await holders()) < 2) await Bun.sleep(50)
    const report = await b.restoreSmall(1)
    expect(Object.values(report.fetched.bySource as Record<string, number>).reduce((sum, blobs) => sum + blobs)).toBe(
      402,
    )
    expect(Object.keys(report.fetched.bySource)).toHaveLength(2)
    for (const each of [b, first, second]) await each.stopDaemon()
  })

  hostTest('takes the environment from a hololib.zip beside robot.yaml, without any peer', async () => {
    const alone = FleetHost.on(lan)
    const robot = join(alone.host.folder, 'robot')
    fs.cpSync(join(smallRobot(2), '..'), robot, { recursive: true })
    fs.copyFileSync(join(smallRobot(2), '../../v2-hololib.zip'), join(robot, 'hololib.zip'))
    // Left by a killed fetch: no process has this number.
    const left = join(alone.host.home, 'hololib/library/.holo-peer-2147483647-3')
    fs.mkdirSync(join(left, '..'), { recursive: true })
    fs.writeFileSync(left, 'half')
    const report = await alone.report('restore', join(robot, 'robot.yaml'), '--space', 'cold2', '--offline')
    expect(fs.existsSync(left)).toBe(false)
    expect(report).toMatchObject({ ok: true, exitCode: 0 })
    expect(Object.keys(report.fetched.bySource)).toEqual([join(robot, 'hololib.zip')])
    expect(alone.differencesFromSmall(2)).toEqual([])
  })
})

describe('a catalog of the local library', () => {
  /** The same tree under another SHA-256: what another machine gets that builds the same blueprint. */
  function otherBuild(stored: Uint8Array, lost = ''): Uint8Array {
    const text = new TextDecoder().decode(Bun.gunzipSync(stored as Uint8Array<ArrayBuffer>))
    const renamed = text.replace(/"rcc": "[^"]*"/, '"rcc": "v18.0.0"')
    return Bun.gzipSync(lost === '' ? renamed : renamed.replaceAll(lost, 'f'.repeat(64)))
  }

  hostTest('without blobs, left by a recording that was cut off, gives way to what a peer has', async () => {
    const b = await member()
    const { name } = smallCold('gzip', 1)
    const place = catalogPath(rootsIn(b.host.home), name)
    fs.mkdirSync(join(place, '..'), { recursive: true })
    const whole = fs.readFileSync(catalogPath(rootsIn(a.host.home), name))
    // It names a blob that nobody has, as a build of its own may.
    fs.writeFileSync(place, otherBuild(whole, firstLargeBlob(a).digest))
    expect(await b.restoreSmall(1)).toMatchObject({ ok: true, fetched: { blobs: 402 } })
    expect(fs.readFileSync(place)).toEqual(whole)
    expect(b.differencesFromSmall(1)).toEqual([])
  })

  hostTest(
    'stays where it is whole, and a lost blob of it comes from a peer that built the same blueprint',
    async () => {
      const b = await member()
      await b.restoreSmall(1)
      const { name, spacePath } = smallCold('gzip', 1)
      const place = catalogPath(rootsIn(b.host.home), name)
      const own = otherBuild(fs.readFileSync(place))
      fs.writeFileSync(place, own)
      const { digest } = firstLargeBlob(b)
      fs.rmSync(blobPath(rootsIn(b.host.home), digest))
      fs.rmSync(b.host.outside(spacePath), { recursive: true })
      expect(await b.restoreSmall(1)).toMatchObject({ ok: true })
      expect(b.differencesFromSmall(1)).toEqual([])
    },
  )
})

describe('a corrupt blob of the local library', () => {
  /** A host that has version 1, whose library has lost a bit, and whose space is gone. */
  async function rotten(): Promise<{ b: FleetHost; digest: string }> {
    const b = await member()
    await b.restoreSmall(1)
    const roots = rootsIn(b.host.home)
    const { spacePath } = smallCold('gzip', 1)
    const blob = firstLargeBlob(b)
    const path = blobPath(roots, blob.digest)
    const bytes = fs.readFileSync(path)
    bytes[50] = (bytes[50] ?? 0) ^ 1
    fs.writeFileSync(path, bytes)
    fs.rmSync(b.host.outside(spacePath), { recursive: true })
    return { b, digest: blob.digest }
  }

  hostTest('is quarantined and fetched again', async () => {
    const { b, digest } = await rotten()
    const report = await b.restoreSmall(1)
    expect(report).toMatchObject({ ok: true, exitCode: 0, fetched: { blobs: 1 } })
    expect(report.quarantined).toEqual([expect.stringContaining(digest)])
    expect(fs.existsSync(report.quarantined[0])).toBe(true)
    expect(b.differencesFromSmall(1)).toEqual([])
  })

  hostTest('is named where nobody can be asked', async () => {
    const { b, digest } = await rotten()
    const report = await b.restoreSmall(1, '--offline')
    expect(report).toMatchObject({ ok: false, exitCode: 3, error: { code: 'local-blob-corrupt' } })
    expect(report.error.message).toContain(digest)
  })
})

describe('a full disk', () => {
  // Goal: a clear error, nothing half-written, and the next run goes on. Method: B's library on a small tmpfs.
  hostTest('ends with status 6 and is continued once there is room', async () => {
    const b = await member()
    const library = join(b.host.home, 'hololib')
    fs.mkdirSync(library)
    const restore = `"${b.binary}" restore ${smallRobot(1)} --space cold1 --json`
    const script = `mount -t tmpfs -o size=1200k tmpfs ${library}; ${restore} > first.json; echo $? > first.status
      find ${library} -name '.*' -type f > left.txt; mount -o remount,size=64m ${library}; ${restore} > second.json`
    await b.host.run(['sh', '-c', script])
    const read = (name: string) => fs.readFileSync(join(b.host.folder, name), 'utf8')
    const first = JSON.parse(read('first.json'))
    expect(read('first.status').trim()).toBe('6')
    expect(first.error).toMatchObject({ code: 'disk-full', blame: 'host' })
    expect(first.error.hint).toContain('free some space')
    expect(read('left.txt')).toBe('')
    const second = JSON.parse(read('second.json'))
    expect(second.ok).toBe(true)
    expect(second.fetched.blobs).toBeGreaterThan(0)
    expect(second.fetched.blobs).toBeLessThan(402)
    expect(b.differencesFromSmall(1)).toEqual([])
  })
})

describe('a killed process', () => {
  // Goal: SIGKILL at any instant leaves a state that the next run repairs. Method: the compiled binary, killed after a
  // random part of the time that a whole run takes, again and again on the same host, which now and then loses its
  // library; then one run to the end.
  hostTest('leaves what the next run repairs', async () => {
    const [b, other] = [await member(), await member()]
    const startedMs = performance.now()
    await other.restoreSmall(1)
    const wholeMs = performance.now() - startedMs
    const seed = Number(process.env.SEED ?? Date.now() % 100_000)
    const random = seededRandom(seed)
    const rounds = 12 * Number(process.env.CRASH_ROUNDS ?? 1)
    let killed = 0
    for (let round = 0; round < rounds; round++) {
      const version = ([1, 2, 3] as const)[round % 3] ?? 1
      if (random.next() < 0.3) fs.rmSync(join(b.host.home, 'hololib'), { recursive: true, force: true })
      const child = b.host.spawn([b.binary, 'restore', smallRobot(version), '--space', 'cold1'])
      await Bun.sleep(random.next() * wholeMs)
      child.kill('SIGKILL')
      await child.exited
      if (child.signalCode === 'SIGKILL') killed++
    }
    console.log(`killed ${killed} of ${rounds} runs (SEED=${seed})`)
    const report = await b.restoreSmall(1)
    expect(report).toMatchObject({ ok: true, exitCode: 0 })
    expect(b.differencesFromSmall(1)).toEqual([])
    const library = new Library(rootsIn(b.host.home))
    for (const name of library.catalogs()) {
      const found = await library.complete(name, new AbortController().signal)
      expect(found?.name).toBe(name)
    }
    const holotree = join(b.host.golden, 'small-gzip', 'holotree')
    expect(fs.readdirSync(holotree).filter((name) => name.startsWith('.'))).toEqual([])
  })
})

describe('holotree.compression', () => {
  hostTest('decides how a restore, and a daemon that fetches for it, leave blobs in the library', async () => {
    for (const withDaemon of [false, true])
      for (const compression of ['raw', 'gzip']) {
        const host = await member()
        fs.writeFileSync(join(host.host.home, 'settings.yaml'), `holotree:\n  compression: ${compression}\n`)
        if (withDaemon) await host.startDaemon()
        expect(await host.restoreSmall(1)).toMatchObject({ ok: true, fetched: { blobs: 402 } })
        const roots = rootsIn(host.host.home)
        const forms = blobNames(roots).map((digest) => isGzip(fs.readFileSync(blobPath(roots, digest))))
        expect([...new Set(forms)]).toEqual([compression === 'gzip'])
        expect(host.differencesFromSmall(1)).toEqual([])
      }
  })
})

describe('what a restore notes', () => {
  const run = (host: FleetHost, env: Readonly<Record<string, string>>) =>
    host.host.run([host.binary, 'restore', smallRobot(1), '--space', 'cold1', '--offline'], { env })
  const journals = (host: FleetHost) => join(host.host.home, 'journals')
  const files = (directory: string) => (fs.existsSync(directory) ? fs.readdirSync(directory).sort() : [])

  hostTest("goes into rcc's journal, statistics and stamps; in lite mode only what its clean-up needs", async () => {
    const host = FleetHost.withSmallLibrary(lan)
    const { spacePath, name } = smallCold('gzip', 1)
    const use = host.host.outside(`${spacePath}.use`)
    const stamp = join(host.host.home, 'hololib/used', `${name.slice(0, 16)}.dc4d952`)
    expect(await run(host, { RCC_LITE_MODE: 'true' })).toMatchObject({ exitCode: 0 })
    expect(files(journals(host))).toEqual([])
    expect(fs.statSync(use).size).toBe(1)
    const firstMs = fs.statSync(stamp).mtimeMs
    expect(firstMs).toBeGreaterThan(Date.now() - 600_000)
    expect(await run(host, { RCC_LITE_MODE: 'true' })).toMatchObject({ exitCode: 0 })
    expect(fs.statSync(use).size).toBe(1)
    expect(fs.statSync(stamp).mtimeMs).toBe(firstMs)

    expect(await run(host, { RCC_LITE_MODE: 'no' })).toMatchObject({ exitCode: 0 })

    expect(fs.statSync(use).size).toBe(2)
    expect(fs.statSync(stamp).mtimeMs).toBeGreaterThan(firstMs)
    const [events = '', statistics = ''] = files(journals(host))
    const lineOf = (file: string) => JSON.parse(fs.readFileSync(join(journals(host), file), 'utf8'))
    expect(lineOf(events)).toMatchObject({ event: 'space-used', controller: 'rcc.user', detail: `${spacePath}.meta` })
    expect(lineOf(statistics)).toMatchObject({
      what: 'variables',
      space: 'cold1',
      dirtyness: 0,
      blueprint: name.slice(0, 16),
    })
  })

  hostTest('never fails it: the journals may be unwritable', async () => {
    const host = FleetHost.withSmallLibrary(lan)
    fs.writeFileSync(journals(host), '')
    expect(await run(host, {})).toMatchObject({ exitCode: 0 })
    expect(host.differencesFromSmall(1)).toEqual([])
  })

  hostTest('a switch of the environment that is neither on nor off is refused by name', async () => {
    const host = FleetHost.withSmallLibrary(lan)
    const { exitCode, stderr } = await run(host, { RCC_LITE_MODE: 'perhaps' })
    expect(exitCode).toBe(2)
    expect(stderr).toContain('RCC_LITE_MODE is "perhaps"')
  })
})
