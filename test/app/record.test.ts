import { describe, expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { basename, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { machineWith } from '../../src/app/machine.ts'
import { record } from '../../src/app/record.ts'
import { never, nextTurn } from '../../src/base/clock.ts'
import { BLOB_WHOLE_BYTES_MAX, CATALOG_DEPTH_MAX } from '../../src/base/limits.ts'
import { sha256Of } from '../../src/blob/digest.ts'
import { blobPath, globalLockPath, noCompressMarker, type Roots } from '../../src/catalog/layout.ts'
import { isSkippedName } from '../../src/catalog/skipped-name.ts'
import type { Catalog } from '../../src/catalog/tree.ts'
import { Library } from '../../src/store/library.ts'
import { acquireLock } from '../../src/store/lock.ts'
import { storeContents } from '../../src/store/stage-contents.ts'
import { walkStage } from '../../src/store/stage-walk.ts'
import { restoreIn } from '../restore/restore-in.ts'
import { failureOf } from '../support/failure-of.ts'
import { differences, listTree, TemporaryDirectory } from '../support/golden.ts'
import { type MadeEntry, type MadeTree, madeListing, STAGE } from '../support/made-catalog.ts'
import { runs } from '../support/runs.ts'
import { skipUnless } from '../support/skip.ts'
import { emptyStage, putTree } from '../support/stage.ts'

const SPACE = 'dc4d952_5a1fac3_5f364f47'
const unheard = { onLockWait: () => {}, onWarning: () => {} }

type Stage = ReturnType<typeof emptyStage>

function recordIn({ roots, stage, robotFile }: Stage, directory = stage, signal = never, events = unheard) {
  return record({ directory, robotFile }, events, signal, machineWith(roots))
}

function recordedIn(roots: Roots): Catalog {
  const library = new Library(roots)
  const [name] = library.catalogs()
  const found = name === undefined ? undefined : library.catalog(name)
  if (found === undefined) throw new Error('nothing was recorded')
  return found.catalog
}

/** Our temporaries, anywhere in the library. */
function leftovers({ hololib }: Roots): string[] {
  if (!fs.existsSync(hololib)) return []
  return listTree(hololib)
    .map(({ path }) => path)
    .filter((path) => path.includes('.holo-peer-'))
}

function expectNothingRecorded(roots: Roots): void {
  expect(new Library(roots).catalogs()).toEqual([])
  expect(leftovers(roots)).toEqual([])
}

describe('record() refuses', () => {
  const isRoot = process.getuid?.() === 0
  const makeDeep = (stage: string) => {
    fs.mkdirSync(join(stage, ...new Array(CATALOG_DEPTH_MAX + 1).fill('d')), { recursive: true })
  }
  const cases: [what: string, code: string, culprit: string, make: (stage: string) => void, can?: boolean][] = [
    ['a link that leads nowhere', 'link-broken', 'lib/gone', (s) => fs.symlinkSync('nowhere', join(s, 'lib/gone'))],
    ['a link below a file', 'link-broken', 'lib/odd', (s) => fs.symlinkSync('file/x', join(s, 'lib/odd'))],
    ['a link to itself', 'link-circular', 'lib/me', (s) => fs.symlinkSync('me', join(s, 'lib/me'))],
    ['a link to a directory above it', 'link-circular', 'lib/up', (s) => fs.symlinkSync('..', join(s, 'lib/up'))],
    [
      'two directories that lead to each other',
      'link-circular',
      'there/back',
      (s) => {
        fs.mkdirSync(join(s, 'lib/one'))
        fs.mkdirSync(join(s, 'lib/two'))
        fs.symlinkSync('../two', join(s, 'lib/one/there'))
        fs.symlinkSync('../one', join(s, 'lib/two/back'))
      },
    ],
    ['a named pipe', 'entry-special', 'lib/pipe', (s) => void Bun.spawnSync(['mkfifo', join(s, 'lib/pipe')])],
    [
      'a link to a device',
      'entry-special',
      'lib/null',
      (s) => fs.symlinkSync('/dev/null', join(s, 'lib/null')),
      fs.existsSync('/dev/null'),
    ],
    [
      'a device',
      'entry-special',
      'lib/zero',
      (s) => void Bun.spawnSync(['mknod', join(s, 'lib/zero'), 'c', '1', '5']),
      isRoot && process.platform === 'linux',
    ],
    [
      'a name that is not UTF-8',
      'name-undecodable',
      'lib',
      (s) => fs.writeFileSync(Buffer.concat([Buffer.from(`${s}/lib/a`), Buffer.from([0xe4])]), ''),
      process.platform === 'linux',
    ],
    [
      'a link text that is not UTF-8',
      'name-undecodable',
      'lib/l',
      (s) => fs.symlinkSync(Buffer.from([0xe4]), join(s, 'lib/l')),
      process.platform === 'linux',
    ],
    [
      'a directory where identity.yaml belongs',
      'entry-special',
      'identity.yaml',
      (s) => fs.mkdirSync(join(s, 'identity.yaml')),
    ],
    ['directories nested too deeply', 'stage-too-large', 'd/d/d', makeDeep],
  ]
  for (const [what, code, culprit, make, can = true] of cases)
    skipUnless(can, 'this system or user cannot make it')(`${what}, and names it`, async () => {
      using home = new TemporaryDirectory()
      const place = emptyStage(home.path)
      putTree(place.stage, { lib: { kind: 'directory', entries: { file: { kind: 'file', text: 'x', mode: 0o644 } } } })
      make(place.stage)
      const error = await failureOf(recordIn(place))
      expect(error).toMatchObject({ code, blame: 'input' })
      expect(String(error)).toContain(culprit)
      expectNothingRecorded(place.roots)
    })

  test('a socket, and names it', async () => {
    using home = new TemporaryDirectory()
    const place = emptyStage(home.path)
    const path = join(place.stage, 's')
    const server = Bun.listen({ unix: path, socket: { data() {} } })
    try {
      expect(await failureOf(recordIn(place))).toMatchObject({ code: 'entry-special', blame: 'input' })
    } finally {
      server.stop(true)
    }
  })

  test('every place but the stage, and tells how to get there', async () => {
    using home = new TemporaryDirectory()
    const place = emptyStage(home.path)
    fs.mkdirSync(join(home.path, 'other'))
    fs.mkdirSync(join(home.path, basename(place.stage)))
    for (const name of ['other', basename(place.stage), 'nowhere', join('holotree', 'x')]) {
      const error = await failureOf(recordIn(place, join(home.path, name)))
      expect(error).toMatchObject({ code: 'stage-elsewhere', blame: 'input' })
      expect(error).toHaveProperty('hint', expect.stringContaining(`cp -a ${join(home.path, name)} ${place.stage}`))
    }
    expect(fs.existsSync(globalLockPath(place.roots))).toBe(false)
  })

  test.each([
    ['nothing', 'stage-missing', (_stage: string) => {}],
    ['a file', 'stage-no-directory', (stage: string) => fs.writeFileSync(stage, '')],
    ['a link', 'stage-no-directory', (stage: string) => fs.symlinkSync('.', stage)],
  ])('%s at the place of the stage', async (_what, code, make) => {
    using home = new TemporaryDirectory()
    const place = emptyStage(home.path)
    fs.rmdirSync(place.stage)
    make(place.stage)
    expect(await failureOf(recordIn(place))).toMatchObject({ code, blame: 'input' })
    expectNothingRecorded(place.roots)
  })
})

describe('record()', () => {
  test('takes the stage by another way to write its path, and records the one that rcc uses', async () => {
    using home = new TemporaryDirectory()
    const place = emptyStage(home.path)
    fs.symlinkSync(home.path, join(home.path, 'way'))
    const { path } = await recordIn(place, join(home.path, 'way', 'holotree', basename(place.stage)))
    expect(path).toBe(place.stage)
    expect(recordedIn(place.roots)).toMatchObject({ path, identity: STAGE, rcc: expect.stringMatching(/^holo-peer /) })
  })

  // Goal: whatever stands in a stage comes out of the library again. Links lead out of the stage, where rcc would leave
  // a catalog without their blobs.
  test('makes any tree restorable, and the library whole', async () => {
    const names = fc.constantFrom('a', 'b', 'lib', '__pycache__', 'ünï', 'x.py', 'm.pyc', '<&>', '\u{1f40d}')
    const texts = fc.constantFrom('', 'one', `#!/x/${STAGE}/bin`, STAGE, `${STAGE}${STAGE}`, `t${STAGE}`)
    const trees = fc.letrec<{ tree: MadeTree; entry: MadeEntry }>((tie) => ({
      tree: fc.dictionary(names, tie('entry'), { maxKeys: 5 }),
      entry: fc.oneof(
        { maxDepth: 3 },
        fc.record({ kind: fc.constant('file' as const), text: texts, mode: fc.constantFrom(0o644, 0o755, 0o400) }),
        fc.record({ kind: fc.constant('link' as const), target: fc.constantFrom('OUT/file', 'OUT/directory') }),
        fc.record({ kind: fc.constant('directory' as const), entries: tie('tree') }),
      ),
    })).tree
    const property = fc.asyncProperty(trees, fc.boolean(), async (drawn, raw) => {
      using home = new TemporaryDirectory()
      const place = emptyStage(home.path)
      const outside = join(home.path, 'outside')
      putOutside(outside)
      if (raw) putMarker(place.roots)
      const tree = { ...aimed(drawn, outside), 'identity.yaml': await identityOf(place) }
      fs.rmSync(join(place.stage, 'identity.yaml'), { force: true })
      putTree(place.stage, tree)

      await recordIn(place)

      const library = new Library(place.roots)
      const catalog = recordedIn(place.roots)
      expect(await library.missing(catalog, never)).toEqual([])
      const { spacePath } = await restoreIn(catalog, SPACE, library)
      const wanted = madeListing(withoutSkipped(tree), SPACE)
      expect(differences(spacePath, wanted, { directoryTimes: 'ignored' })).toEqual([])
    })
    await fc.assert(property, { numRuns: runs(25) })
  })

  test.each([false, true])(
    'stores content that looks like gzip so that it comes out as it is (raw: %p)',
    async (raw) => {
      using home = new TemporaryDirectory()
      const place = emptyStage(home.path)
      if (raw) putMarker(place.roots)
      const small = gzipSync('content')
      const large = Buffer.concat([small, Buffer.alloc(BLOB_WHOLE_BYTES_MAX, 'x')])
      fs.writeFileSync(join(place.stage, 'small.gz'), small)
      fs.writeFileSync(join(place.stage, 'large.gz'), large)
      const { blobs } = await recordIn(place)
      expect(blobs).toMatchObject({ added: 3, present: 0 })
      const { spacePath } = await restoreIn(recordedIn(place.roots), SPACE, new Library(place.roots))
      expect(fs.readFileSync(join(spacePath, 'small.gz')).equals(small)).toBe(true)
      expect(fs.readFileSync(join(spacePath, 'large.gz')).equals(large)).toBe(true)
    },
  )

  test('leaves blobs that are there as they are, and counts them', async () => {
    using home = new TemporaryDirectory()
    const place = emptyStage(home.path)
    putTree(place.stage, {
      a: { kind: 'file', text: 'one', mode: 0o644 },
      b: { kind: 'file', text: 'one', mode: 0o600 },
    })
    const first = await recordIn(place)
    expect(first.blobs).toMatchObject({ added: 2, present: 0 })
    const path = blobPath(place.roots, sha256Of(Buffer.from('one')))
    const before = fs.statSync(path)
    putTree(place.stage, { c: { kind: 'file', text: 'two', mode: 0o644 } })
    const second = await recordIn(place)
    expect(second.blobs).toEqual({ added: 1, addedBytes: 3, present: 2 })
    expect(second.recorded).toMatchObject({ files: 4, directories: 1, links: 0, relocatedFiles: 0 })
    expect(fs.statSync(path)).toMatchObject({ ino: before.ino, ctimeMs: before.ctimeMs })
  })

  test('writes identity.yaml through no link, and keeps its mode', async () => {
    using home = new TemporaryDirectory()
    const place = emptyStage(home.path)
    const precious = join(home.path, 'precious')
    const identity = join(place.stage, 'identity.yaml')
    fs.writeFileSync(precious, 'precious')
    for (const make of [fs.symlinkSync, fs.linkSync]) {
      make(precious, identity)
      await recordIn(place)
      expect(fs.readFileSync(precious, 'utf8')).toBe('precious')
      expect(fs.lstatSync(identity).isFile()).toBe(true)
      expect(fs.readFileSync(identity, 'utf8')).toStartWith('channels: []\n')
      fs.unlinkSync(identity)
    }
    fs.writeFileSync(identity, 'old', { mode: 0o600 })
    await recordIn(place)
    expect(recordedIn(place.roots).tree.files.get('identity.yaml')?.goMode).toBe(0o600)
  })

  test("waits while rcc's lock is held, and looks again at what rcc left", async () => {
    using home = new TemporaryDirectory()
    const place = emptyStage(home.path)
    const path = globalLockPath(place.roots)
    const held = await acquireLock(path, { waitMs: 0, shared: false }, never)
    const waits = Promise.withResolvers<string>()
    const work = failureOf(recordIn(place, place.stage, never, { ...unheard, onLockWait: waits.resolve }))
    expect(await waits.promise).toBe(path)
    // As rcc does at the end of its run.
    fs.rmdirSync(place.stage)
    await held[Symbol.asyncDispose]()
    expect(await work).toMatchObject({ code: 'stage-missing' })
  })

  test('holds the lock until its catalog is there, and gives up waiting when its signal aborts', async () => {
    using home = new TemporaryDirectory()
    const place = emptyStage(home.path)
    const held = await acquireLock(globalLockPath(place.roots), { waitMs: 0, shared: false }, never)
    const controller = new AbortController()
    const reason = new Error('called off')
    const events = { ...unheard, onLockWait: () => controller.abort(reason) }
    expect(await failureOf(recordIn(place, place.stage, controller.signal, events))).toBe(reason)
    await held[Symbol.asyncDispose]()
    await recordIn(place)
    await using _free = await acquireLock(globalLockPath(place.roots), { waitMs: 0, shared: false }, never)
  })
})

describe('a recording that is disturbed', () => {
  const MIB = 1024 * 1024
  const disturbances: [what: string, disturb: (path: string) => void][] = [
    ['grows', (path) => fs.appendFileSync(path, 'x')],
    ['shrinks', (path) => fs.truncateSync(path, 5 * MIB)],
    ['is written in place', (path) => write(path, 19 * MIB, 'x')],
    ['is touched', (path) => fs.utimesSync(path, 1, 1)],
  ]
  // Method: a file of 20 MiB takes several turns of the event loop; the test acts in the first of them.
  test.each(disturbances)('by a file that %s fails, and stores nothing of it', async (_how, disturb) => {
    using home = new TemporaryDirectory()
    const { roots, stage } = emptyStage(home.path)
    const path = join(stage, 'large')
    fs.writeFileSync(path, Buffer.alloc(20 * MIB, 'large '))
    const work = failureOf(storeContents(await walkStage(stage, 'linux', never), new Library(roots), STAGE, never))
    await nextTurn()
    disturb(path)
    expect(await work).toMatchObject({ code: 'stage-changed', blame: 'host' })
    expect(String(await work)).toContain(path)
    expect(fs.existsSync(roots.hololib) ? listTree(roots.hololib).filter(({ type }) => type === 'file') : []).toEqual(
      [],
    )
  })

  test.each([false, true])('by a file that changes between hashing and storing fails (raw: %p)', async (raw) => {
    using home = new TemporaryDirectory()
    const { roots, stage } = emptyStage(home.path)
    if (raw) putMarker(roots)
    const path = join(stage, 'large')
    fs.writeFileSync(path, Buffer.alloc(2 * MIB, 'large '))
    class Meddled extends Library {
      override record(...of: Parameters<Library['record']>): ReturnType<Library['record']> {
        write(path, MIB, 'x')
        return super.record(...of)
      }
    }
    const work = storeContents(await walkStage(stage, 'linux', never), new Meddled(roots), STAGE, never)
    expect(await failureOf(work)).toMatchObject({ code: 'stage-changed', blame: 'host' })
    expectNothingRecorded(roots)
  })

  test('by its signal ends with the reason and leaves nothing half done', async () => {
    using home = new TemporaryDirectory()
    const place = emptyStage(home.path)
    fs.writeFileSync(join(place.stage, 'large'), Buffer.alloc(20 * MIB, 'large '))
    const controller = new AbortController()
    const reason = new Error('called off')
    const stage = await walkStage(place.stage, 'linux', never)
    const work = failureOf(storeContents(stage, new Library(place.roots), STAGE, controller.signal))
    await nextTurn()
    controller.abort(reason)
    expect(await work).toBe(reason)
    expectNothingRecorded(place.roots)
  })

  const isRoot = process.getuid?.() === 0
  const mounts = skipUnless(isRoot && process.platform === 'linux', 'only root on Linux can mount a small tmpfs')
  mounts('by a full disk says so, keeps whole blobs, and goes on once there is room', async () => {
    for (const raw of [false, true]) {
      using home = new TemporaryDirectory()
      const place = emptyStage(home.path)
      for (let index = 0; index < 40; index++)
        fs.writeFileSync(join(place.stage, `f${index}`), Buffer.alloc(40_000 * (index % 3) + 1_100_000, `${index} `))
      fs.mkdirSync(place.roots.hololib)
      const mount = (options: string) =>
        Bun.spawnSync(['mount', '-t', 'tmpfs', '-o', options, 'tmpfs', place.roots.hololib])
      expect(mount('size=20m').exitCode).toBe(0)
      try {
        if (raw) putMarker(place.roots)
        expect(await failureOf(recordIn(place))).toMatchObject({ code: 'disk-full', blame: 'host' })
        expectNothingRecorded(place.roots)
        expect(mount('remount,size=100m').exitCode).toBe(0)
        const { blobs } = await recordIn(place)
        expect(blobs.present).toBeGreaterThan(5)
        expect(await new Library(place.roots).missing(recordedIn(place.roots), never)).toEqual([])
      } finally {
        Bun.spawnSync(['umount', place.roots.hololib])
      }
    }
  })
})

function write(path: string, at: number, text: string): void {
  const descriptor = fs.openSync(path, 'r+')
  fs.writeSync(descriptor, text, at)
  fs.closeSync(descriptor)
}

function putMarker(roots: Roots): void {
  const marker = noCompressMarker(roots)
  fs.mkdirSync(join(marker, '..'), { recursive: true })
  fs.writeFileSync(marker, 'present')
}

function putOutside(outside: string): void {
  const only = { kind: 'file', text: `only here: ${STAGE}`, mode: 0o644 } as const
  fs.mkdirSync(outside)
  putTree(outside, { file: only, directory: { kind: 'directory', entries: { deep: { ...only, text: 'deep' } } } })
}

/** What `record` writes of its own accord: an entry of the tree like any other. */
async function identityOf(place: Stage): Promise<MadeEntry> {
  await recordIn(place)
  const text = fs.readFileSync(join(place.stage, 'identity.yaml'), 'utf8')
  return { kind: 'file', text, mode: 0o644 }
}

function aimed(tree: MadeTree, outside: string): MadeTree {
  const turn = (entry: MadeEntry): MadeEntry =>
    entry.kind === 'link'
      ? { ...entry, target: entry.target.replace('OUT', outside) }
      : entry.kind === 'directory'
        ? { ...entry, entries: aimed(entry.entries, outside) }
        : entry
  return Object.fromEntries(Object.entries(tree).map(([name, entry]) => [name, turn(entry)]))
}

function withoutSkipped(tree: MadeTree): MadeTree {
  return Object.fromEntries(
    Object.entries(tree)
      .filter(([name]) => !isSkippedName(name))
      .map(([name, entry]) => [
        name,
        entry.kind === 'directory' ? { ...entry, entries: withoutSkipped(entry.entries) } : entry,
      ]),
  )
}
