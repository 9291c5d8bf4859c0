// Goal: a whole library changes its form and nothing else, whatever happens on the way.
import { describe, expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { basename, join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { never } from '../../src/base/clock.ts'
import { RECODE_BATCH_BLOBS } from '../../src/base/limits.ts'
import { parseSha256, sha256Of } from '../../src/blob/digest.ts'
import { isGzip } from '../../src/blob/gzip.ts'
import {
  blobPath,
  catalogDirectory,
  globalLockPath,
  libraryDirectory,
  pidsDirectory,
  type Roots,
} from '../../src/catalog/layout.ts'
import { blobNames } from '../../src/store/blob-names.ts'
import { Library } from '../../src/store/library.ts'
import { noTotals, type OptimizeTask, optimizeLibrary } from '../../src/store/optimize-library.ts'
import { failureOf } from '../support/failure-of.ts'
import { TemporaryDirectory, unpackSmall } from '../support/golden.ts'
import { skipUnless } from '../support/skip.ts'

const onLinux = skipUnless(process.platform === 'linux', 'flock(1) is there on Linux only')

/** A test's own library: `optimize` runs on it, `contents` decodes all of it. */
function given(home: TemporaryDirectory) {
  const roots = unpackSmall('gzip', home.path)
  const note = { directory: pidsDirectory(roots), controller: 'user', space: 'optimize', username: 'robot' }
  const quiet = { note, onLockWait: () => {}, onProgress: () => {} }
  const optimize = async (task: Partial<OptimizeTask> = {}, signal = never) => {
    const totals = noTotals()
    await optimizeLibrary(new Library(roots), { to: 'raw', write: true, ...quiet, ...task }, totals, signal)
    return totals
  }
  return { roots, optimize }
}

function formsOf(roots: Roots): { gzip: number; raw: number } {
  const forms = { gzip: 0, raw: 0 }
  for (const digest of blobNames(roots)) forms[isGzip(fs.readFileSync(blobPath(roots, digest))) ? 'gzip' : 'raw']++
  return forms
}

/** Digests whose file does not hold their content. */
function wrongIn(roots: Roots): string[] {
  return blobNames(roots).filter((digest) => {
    const stored = fs.readFileSync(blobPath(roots, digest))
    return sha256Of(isGzip(stored) ? gunzipSync(stored) : stored) !== digest
  })
}

function temporariesIn(roots: Roots): string[] {
  return fs.readdirSync(libraryDirectory(roots)).filter((name) => name.startsWith('.'))
}

describe('optimizeLibrary()', () => {
  test('turns a library of rcc raw and back, blobs in no catalog too', async () => {
    using home = new TemporaryDirectory()
    const { roots, optimize } = given(home)
    fs.rmSync(catalogDirectory(roots), { recursive: true })
    const all = blobNames(roots).length
    const before = blobNames(roots).reduce((sum, digest) => sum + fs.statSync(blobPath(roots, digest)).size, 0)
    expect(all).toBeGreaterThan(400)
    const looked = await optimize({ write: false })
    expect(formsOf(roots)).toEqual({ gzip: all, raw: 0 })
    expect(fs.existsSync(globalLockPath(roots))).toBe(false)

    const progress: number[] = []
    const raw = await optimize({ onProgress: (_totals, done) => progress.push(done) })

    expect(raw).toEqual(looked)
    expect(raw).toMatchObject({ converted: all - raw.kept, already: 0, corrupt: [], bytesBefore: before })
    expect(formsOf(roots)).toEqual({ gzip: raw.kept, raw: all - raw.kept })
    expect(wrongIn(roots)).toEqual([])
    expect(progress).toHaveLength(Math.ceil(all / RECODE_BATCH_BLOBS))
    expect(progress.at(-1)).toBe(all)
    expect(await optimize()).toMatchObject({ converted: 0, already: raw.converted, kept: raw.kept })

    const back = await optimize({ to: 'gzip' })
    expect(back).toMatchObject({ converted: raw.converted, already: raw.kept, bytesBefore: raw.bytesAfter })
    expect(formsOf(roots)).toEqual({ gzip: all, raw: 0 })
    expect(wrongIn(roots)).toEqual([])
    expect(temporariesIn(roots)).toEqual([])
  })

  test('moves corrupt blobs to quarantine, lists them, and goes on', async () => {
    using home = new TemporaryDirectory()
    const { roots, optimize } = given(home)
    const [first, second, ...rest] = blobNames(roots)
    if (first === undefined || second === undefined) throw new Error('the small library is empty')
    fs.writeFileSync(blobPath(roots, first), gzipSync(Buffer.from('other')))
    fs.truncateSync(blobPath(roots, second), 12)

    const looked = await optimize({ write: false })
    expect(looked.corrupt.map(({ digest, quarantined }) => [digest, quarantined])).toEqual([
      [first, undefined],
      [second, undefined],
    ])
    const { corrupt, converted, kept } = await optimize()

    expect(corrupt.map(({ digest }) => digest).sort()).toEqual([first, second])
    for (const { digest, fault, quarantined = '' } of corrupt) {
      expect(fault.length).toBeGreaterThan(5)
      expect(basename(quarantined)).toStartWith(digest)
      expect(fs.existsSync(quarantined)).toBe(true)
    }
    expect(converted + kept).toBe(rest.length)
    expect(blobNames(roots)).toEqual(rest)
  })

  test('passes over strays, links, and blobs of the other kind', async () => {
    using home = new TemporaryDirectory()
    const { roots, optimize } = given(home)
    const all = blobNames(roots).length
    const library = libraryDirectory(roots)
    const sip = '0123456789abcdef'.repeat(2)
    const elsewhere = `ffff00${'0'.repeat(58)}`
    for (const folder of ['01/23/45', 'ff/ff/00', '00/00/00']) fs.mkdirSync(join(library, folder), { recursive: true })
    const strays = [`01/23/45/${sip}`, 'ff/ff/00/stray', `00/00/00/${elsewhere}`, 'note.txt']
    for (const stray of strays) fs.writeFileSync(join(library, stray), gz)
    fs.symlinkSync('stray', join(library, 'ff/ff/00', elsewhere))

    expect(await optimize()).toMatchObject({ foreign: 1, converted: all, corrupt: [] })

    for (const stray of strays) expect(fs.readFileSync(join(library, stray)).equals(gz)).toBe(true)
    expect(fs.lstatSync(join(library, 'ff/ff/00', elsewhere)).isSymbolicLink()).toBe(true)
    expect(parseSha256(elsewhere)).toBeDefined()
  })

  test('ends with the reason of its signal, leaves no temporary, and goes on later', async () => {
    using home = new TemporaryDirectory()
    const { roots, optimize } = given(home)
    const all = blobNames(roots).length
    const stop = new AbortController()
    const reason = new Error('called off')
    expect(await failureOf(optimize({ onProgress: () => stop.abort(reason) }, stop.signal))).toBe(reason)
    expect(temporariesIn(roots)).toEqual([])
    const { raw, gzip } = formsOf(roots)
    expect(raw).toBeGreaterThan(0)
    expect(gzip).toBeGreaterThan(0)
    expect(await optimize()).toMatchObject({ already: raw, converted: gzip })
    expect(formsOf(roots)).toEqual({ gzip: 0, raw: all })
    expect(wrongIn(roots)).toEqual([])
  })

  // Method: flock(1) holds rcc's lock until the call has said that it waits.
  test("waits for rcc's global lock and changes nothing meanwhile", async () => {
    using home = new TemporaryDirectory()
    const { roots, optimize } = given(home)
    fs.mkdirSync(roots.holotree, { recursive: true })
    const hold = ['flock', '--no-fork', globalLockPath(roots), 'sh', '-c', 'echo held; exec sleep 600']
    const holder = Bun.spawn(hold, { stdout: 'pipe' })
    for await (const _held of holder.stdout) break
    let whileHeld: unknown
    const onLockWait = () => {
      whileHeld = formsOf(roots)
      holder.kill('SIGKILL')
    }
    const { converted } = await optimize({ onLockWait })
    expect(whileHeld).toEqual({ gzip: converted, raw: 0 })
    await holder.exited
  })

  // Method: a flock(1) that starts to wait while the lock is held gets it before the library is through.
  onLinux('lets those who wait for the lock have it between its turns', async () => {
    using home = new TemporaryDirectory()
    const { roots, optimize } = given(home)
    const lock = globalLockPath(roots)
    let waiter: Bun.Subprocess | undefined
    let doneThen: number | undefined
    let all = 0
    await optimize({
      turnMs: 0,
      onProgress: (_totals, done, total) => {
        all = total
        if (waiter === undefined) {
          waiter = Bun.spawn(['flock', lock, 'true'])
          const inode = `:${fs.statSync(lock).ino} `
          while (!fs.readFileSync('/proc/locks', 'utf8').match(new RegExp(`-> FLOCK .*${inode}`))) Bun.sleepSync(1)
        } else if (doneThen === undefined && waiter.exitCode !== null) doneThen = done
      },
    })
    expect(await waiter?.exited).toBe(0)
    expect(doneThen).toBeLessThan(all)
  })

  const mounts = skipUnless(
    process.getuid?.() === 0 && process.platform === 'linux',
    'only root on Linux can mount a small tmpfs',
  )
  mounts('says that the disk is full, removes what is half, and goes on when there is room', async () => {
    using home = new TemporaryDirectory()
    const mount = (...options: string[]) => Bun.spawnSync(['mount', '-t', 'tmpfs', ...options, 'tmpfs', home.path])
    expect(mount('-o', 'size=20m').exitCode).toBe(0)
    try {
      const { roots, optimize } = given(home)
      const all = blobNames(roots).length
      const usedKib = Number(Bun.spawnSync(['du', '-sk', home.path]).stdout.toString().split('\t')[0])
      expect(mount('-o', `remount,size=${usedKib + 300}k`).exitCode).toBe(0)
      expect(await failureOf(optimize())).toMatchObject({ blame: 'host', code: 'disk-full' })
      expect(temporariesIn(roots)).toEqual([])
      expect(wrongIn(roots)).toEqual([])
      expect(mount('-o', 'remount,size=40m').exitCode).toBe(0)
      const { already } = await optimize()
      expect(already).toBeGreaterThan(0)
      expect(formsOf(roots)).toEqual({ gzip: 0, raw: all })
    } finally {
      Bun.spawnSync(['umount', home.path])
    }
  })
})

const gz = gzipSync(Buffer.from('import this\n'))
