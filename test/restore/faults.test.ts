import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { HoloError } from '../../src/base/errors.ts'
import { BLOB_WHOLE_BYTES_MAX } from '../../src/base/limits.ts'
import { seededRandom } from '../../src/base/random.ts'
import { sha256Of } from '../../src/blob/digest.ts'
import { blobPath } from '../../src/catalog/layout.ts'
import type { Catalog } from '../../src/catalog/tree.ts'
import { BlobsUnusableError } from '../../src/restore/apply.ts'
import { Library } from '../../src/store/library.ts'
import { failureOf } from '../support/failure-of.ts'
import {
  differences,
  listTree,
  rebased,
  type SmallVersion,
  smallSwitched,
  TemporaryDirectory,
  unpackSmall,
} from '../support/golden.ts'
import { type MadeTree, MemoryBlobs, madeCatalog, madeListing } from '../support/made-catalog.ts'
import { skipUnless } from '../support/skip.ts'
import { restoreIn } from './restore-in.ts'

const SPACE = 'dc4d952_5a1fac3_5f364f47'

let shared: TemporaryDirectory
let library: Library
beforeAll(() => {
  shared = new TemporaryDirectory()
  library = new Library(unpackSmall('gzip', shared.path))
})
afterAll(() => shared[Symbol.dispose]())

function small(version: SmallVersion, base: string): Catalog {
  const found = library.catalog(smallSwitched('gzip', version).name)
  if (found === undefined) throw new Error(`v${version} is not there`)
  return rebased(found.catalog, base)
}

/** Names that our temporaries bear, anywhere below. */
function leftovers(directory: string): string[] {
  return listTree(directory)
    .map(({ path }) => path)
    .filter((path) => path.includes('.holo-peer-'))
}

describe('a bad blob of the local library', () => {
  const content = Buffer.from('print("whole")\n'.repeat(30))
  const large = Buffer.alloc(BLOB_WHOLE_BYTES_MAX + 10, 'large ')
  const flipped = (bytes: Buffer) => Buffer.from(bytes.map((byte, at) => (at === 25 ? byte ^ 1 : byte)))
  const damages: [what: string, damage: (whole: Buffer) => Buffer | undefined][] = [
    ['truncated', (whole) => gzipSync(whole).subarray(0, -12)],
    ['empty', () => Buffer.alloc(0)],
    ['swapped with another', () => gzipSync('other')],
    ['altered in its gzip form', (whole) => flipped(gzipSync(whole))],
    ['altered in its raw form', (whole) => flipped(whole)],
    ['longer than it should be', (whole) => Buffer.concat([whole, Buffer.from('x')])],
    ['missing', () => undefined],
  ]
  // Goal: the others are placed, nothing wrong is visible, the note stays away, and a repaired library completes it.
  test.each(damages)('%s is told, and costs only its own files', async (what, damage) => {
    for (const bad of [content, large]) {
      using home = new TemporaryDirectory()
      const own = new Library({ ...library.roots, hololib: join(home.path, 'hololib') })
      const put = (bytes: Buffer, at: Buffer | undefined) => {
        const path = blobPath(own.roots, sha256Of(bytes))
        fs.mkdirSync(join(path, '..'), { recursive: true })
        if (at === undefined) fs.rmSync(path, { force: true })
        else fs.writeFileSync(path, at)
      }
      const tree: MadeTree = {
        bin: { kind: 'directory', entries: { bad: { kind: 'file', text: bad.toString(), mode: 0o755 } } },
        good: { kind: 'file', text: 'good', mode: 0o644 },
        same: { kind: 'file', text: bad.toString(), mode: 0o644 },
      }
      const catalog = madeCatalog(tree, join(home.path, 'base'), new MemoryBlobs())
      const space = join(home.path, 'base', SPACE)
      put(Buffer.from('good'), Buffer.from('good'))
      put(bad, damage(bad))

      const error = await failureOf(restoreIn(catalog, SPACE, own))

      expect(error).toBeInstanceOf(BlobsUnusableError)
      if (!(error instanceof BlobsUnusableError)) return
      const ref = { digest: sha256Of(bad), sizeBytes: bad.byteLength }
      expect(error.corrupt).toEqual(what === 'missing' ? [] : [ref])
      expect(error.absent).toEqual(what === 'missing' ? [ref] : [])
      expect(fs.readdirSync(space).sort()).toEqual(['bin', 'good'])
      expect(fs.readdirSync(join(space, 'bin'))).toEqual([])
      expect(fs.existsSync(`${space}.meta`)).toBe(false)

      put(bad, bad)
      const { report } = await restoreIn(catalog, SPACE, own)
      expect(report.filesPlaced).toBe(2)
      expect(report.unchanged.files).toBe(1)
      expect(differences(space, madeListing(tree, SPACE), { directoryTimes: 'ignored' })).toEqual([])
    }
  })

  test('keeps the .meta of what stood there before', async () => {
    using home = new TemporaryDirectory()
    const blobs = new MemoryBlobs()
    const base = join(home.path, 'base')
    await restoreIn(madeCatalog({ a: { kind: 'file', text: 'one', mode: 0o644 } }, base, blobs), SPACE, blobs)
    const before = gunzipSync(fs.readFileSync(join(base, `${SPACE}.meta`)))
    const next = madeCatalog({ a: { kind: 'file', text: 'two', mode: 0o644 } }, base, blobs)
    blobs.stored.set(sha256Of(Buffer.from('two')), gzipSync('bad'))

    expect(await failureOf(restoreIn(next, SPACE, blobs))).toBeInstanceOf(BlobsUnusableError)

    expect(gunzipSync(fs.readFileSync(join(base, `${SPACE}.meta`))).equals(before)).toBe(true)
    expect(fs.readFileSync(join(base, SPACE, 'a'), 'utf8')).toBe('one')
  })
})

describe('a restore that was cut off', () => {
  // Goal: SIGKILL at any instant; whichever version comes next, the space becomes that version.
  // Method: a child restores v2 over v1 and is killed after a random time; then v1 or v2 or v3 is restored here.
  test('by SIGKILL is repaired by the next one', async () => {
    using home = new TemporaryDirectory()
    const base = join(home.path, 'base')
    const random = seededRandom(Number(process.env.FUZZ_SEED ?? 7))
    const script = join(import.meta.dir, 'killed-child.ts')
    let interrupted = 0
    for (let round = 0; round < 10 * Number(process.env.FUZZ_RUNS ?? 1); round++) {
      if (round % 2 === 0) fs.rmSync(base, { recursive: true, force: true })
      else await restoreIn(small(1, base), SPACE, library)
      const { name } = smallSwitched('gzip', 2)
      const child = Bun.spawn([process.execPath, script, shared.path, base, name, SPACE], { stdout: 'pipe' })
      await child.stdout.getReader().read()
      await Bun.sleep(random.next() * 60)
      child.kill('SIGKILL')
      await child.exited
      if (fs.existsSync(join(base, `${SPACE}.restoring`))) interrupted++

      const version = ([1, 2, 3] as const)[round % 3] ?? 1
      const { spacePath } = await restoreIn(small(version, base), SPACE, library)

      const { listing } = smallSwitched('gzip', version)
      expect(differences(spacePath, listing, { directoryTimes: 'ignored' })).toEqual([])
      expect(leftovers(spacePath)).toEqual([])
    }
    expect(interrupted).toBeGreaterThan(0)
  })

  test('by its signal ends with the reason and is repaired by the next one', async () => {
    using home = new TemporaryDirectory()
    const base = join(home.path, 'base')
    await restoreIn(small(1, base), SPACE, library)
    const controller = new AbortController()
    const reason = new Error('called off')
    let asked = 0
    const blobs = {
      find: (digest: Parameters<Library['find']>[0]) => {
        if (++asked === 20) controller.abort(reason)
        return library.find(digest)
      },
    }
    expect(await failureOf(restoreIn(small(3, base), SPACE, blobs, controller.signal))).toBe(reason)
    expect(asked).toBe(20)
    expect(leftovers(base)).toEqual([])

    // The old note is still there and would vouch for files of v3 that have the size of those of v1.
    const { spacePath } = await restoreIn(small(1, base), SPACE, library)
    const { listing } = smallSwitched('gzip', 1)
    expect(differences(spacePath, listing, { directoryTimes: 'ignored' })).toEqual([])
  })
})

describe('a space that leads elsewhere', () => {
  test('has its links replaced, and nothing is written through them', async () => {
    using home = new TemporaryDirectory()
    const base = join(home.path, 'base')
    const outside = join(home.path, 'outside')
    fs.mkdirSync(join(outside, 'lib'), { recursive: true })
    fs.writeFileSync(join(outside, 'precious'), 'precious')
    for (const where of ['', 'lib', 'bin/python3', 'VERSION']) {
      const { spacePath } = await restoreIn(small(1, base), SPACE, library)
      const path = join(spacePath, where)
      fs.rmSync(path, { recursive: true })
      fs.symlinkSync(where.includes('python') || where === 'VERSION' ? join(outside, 'precious') : outside, path)
      await restoreIn(small(1, base), SPACE, library)
      const { listing } = smallSwitched('gzip', 1)
      expect(differences(spacePath, listing, { directoryTimes: 'ignored' })).toEqual([])
    }
    expect(fs.readdirSync(outside).sort()).toEqual(['lib', 'precious'])
    expect(fs.readdirSync(join(outside, 'lib'))).toEqual([])
    expect(fs.readFileSync(join(outside, 'precious'), 'utf8')).toBe('precious')
  })

  test('is not written through a link that appears during the restore', async () => {
    using home = new TemporaryDirectory()
    const base = join(home.path, 'base')
    const outside = join(home.path, 'outside')
    fs.mkdirSync(outside)
    const blobs = new MemoryBlobs()
    const file = { kind: 'file', text: 'one', mode: 0o644 } as const
    const tree: MadeTree = {
      a: file,
      lib: { kind: 'directory', entries: { deep: { kind: 'directory', entries: { b: file } } } },
    }
    const swapping = {
      find: (digest: Parameters<MemoryBlobs['find']>[0]) => {
        fs.rmSync(join(base, SPACE, 'lib'), { recursive: true, force: true })
        fs.mkdirSync(join(outside, 'deep'), { recursive: true })
        fs.symlinkSync(outside, join(base, SPACE, 'lib'))
        return blobs.find(digest)
      },
    }
    const error = await failureOf(restoreIn(madeCatalog(tree, base, blobs), SPACE, swapping))
    expect(error).toMatchObject({ blame: 'host', code: 'space-changed' })
    expect(fs.readdirSync(join(outside, 'deep'))).toEqual([])
  })
})

const isRoot = process.getuid?.() === 0
const mounts = skipUnless(isRoot && process.platform === 'linux', 'only root on Linux can mount a small tmpfs')

// Goal: a full disk is told as such, leaves no half file, and the same restore goes on once there is room.
mounts('applyPlan() on a full disk keeps what is whole and goes on later', async () => {
  using home = new TemporaryDirectory()
  const base = join(home.path, 'base')
  fs.mkdirSync(base)
  const mount = (...options: string[]) => Bun.spawnSync(['mount', '-t', 'tmpfs', ...options, 'tmpfs', base])
  expect(mount('-o', 'size=900k').exitCode).toBe(0)
  try {
    const error = await failureOf(restoreIn(small(1, base), SPACE, library))
    expect(error).toBeInstanceOf(HoloError)
    expect(error).toMatchObject({ blame: 'host', code: 'disk-full' })
    expect(leftovers(base)).toEqual([])
    expect(fs.existsSync(join(base, `${SPACE}.meta`))).toBe(false)
    const wanted = new Map(smallSwitched('gzip', 1).listing.map((entry) => [entry.path, entry]))
    const placed = differences(join(base, SPACE), [...wanted.values()], { directoryTimes: 'ignored' })
    expect(placed.every((line) => line.endsWith('actual absent'))).toBe(true)

    expect(mount('-o', 'remount,size=20m').exitCode).toBe(0)
    const { spacePath, report } = await restoreIn(small(1, base), SPACE, library)
    expect(report.unchanged.files).toBeGreaterThan(0)
    const { listing } = smallSwitched('gzip', 1)
    expect(differences(spacePath, listing, { directoryTimes: 'ignored' })).toEqual([])
  } finally {
    Bun.spawnSync(['umount', base])
  }
})

mounts('put() on a full disk leaves no half blob', async () => {
  using home = new TemporaryDirectory()
  Bun.spawnSync(['mount', '-t', 'tmpfs', '-o', 'size=200k', 'tmpfs', home.path])
  try {
    const full = new Library({ ...library.roots, hololib: join(home.path, 'hololib') })
    for (const sizeBytes of [900_000, BLOB_WHOLE_BYTES_MAX + 1]) {
      const bytes = crypto.getRandomValues(new Uint8Array(65_536))
      const content = Buffer.alloc(sizeBytes, bytes)
      async function* once(): AsyncGenerator<Uint8Array> {
        yield content
      }
      const ref = { digest: sha256Of(content), sizeBytes }
      const stream = { source: 'the test', encoding: 'identity', bytes: once() } as const
      const error = await failureOf(full.put(ref, stream, new AbortController().signal))
      expect(error).toMatchObject({ blame: 'host', code: 'disk-full' })
      expect(await full.has(ref.digest)).toBe(false)
    }
    expect(leftovers(home.path)).toEqual([])
  } finally {
    Bun.spawnSync(['umount', home.path])
  }
})
