import { describe, expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { never } from '../../src/base/clock.ts'
import { BLOB_DECODED_BYTES_MAX, SECOND_THREAD_FILES_MIN } from '../../src/base/limits.ts'
import { seededRandom } from '../../src/base/random.ts'
import { sha256Of } from '../../src/blob/digest.ts'
import { BlobsUnusableError } from '../../src/restore/apply.ts'
import { isPristine } from '../../src/restore/plan.ts'
import { differences, TemporaryDirectory } from '../support/golden.ts'
import { DirectoryBlobs, type MadeTree, madeCatalog, madeListing, STAGE } from '../support/made-catalog.ts'
import { skipUnless } from '../support/skip.ts'
import { type RestoreInOptions, restoreIn } from './restore-in.ts'

const SPACE = 'dc4d952_5a1fac3_5f364f47'
const engines = ['native', 'portable'] as const

const file = (text: string, mode = 0o644) => ({ kind: 'file', text, mode }) as const

/** Enough files in enough directories that both threads have work. */
function wideTree(files = 2 * SECOND_THREAD_FILES_MIN): MadeTree {
  const directories: Record<string, MadeTree[string]> = {}
  for (let at = 0; at < files; at += 40) {
    const entries: Record<string, MadeTree[string]> = {}
    for (let index = at; index < at + 40; index++) {
      entries[`f${index}.py`] = file(index % 7 === 0 ? `#!${STAGE}\n${index}` : `text ${index % 900}`)
    }
    directories[`d${at}`] = { kind: 'directory', entries: { deep: { kind: 'directory', entries } } }
  }
  return directories
}

describe.each([...engines])('the %s engine', (engine) => {
  function given(tree: MadeTree, form: 'identity' | 'gzip' = 'identity') {
    const home = new TemporaryDirectory()
    const blobs = new DirectoryBlobs(join(home.path, 'hololib', 'library'), form)
    const base = join(home.path, 'base')
    const catalog = madeCatalog(tree, base, blobs)
    const space = join(base, SPACE)
    const restore = (options: RestoreInOptions = {}, signal = never) =>
      restoreIn(catalog, SPACE, blobs, signal, { engine, ...options })
    const wrong = (listing = madeListing(tree, SPACE)) => differences(space, listing, { directoryTimes: 'ignored' })
    return { home, blobs, space, restore, wrong, [Symbol.dispose]: () => home[Symbol.dispose]() }
  }

  test('restores many files from raw and from gzip blobs', async () => {
    for (const form of ['identity', 'gzip'] as const) {
      using it = given(wideTree(), form)
      const { report } = await it.restore()
      expect(it.wrong()).toEqual([])
      expect(report.methods.decoded.files > 0).toBe(form === 'gzip')
      expect(report.limits.join().includes('holo-peer optimize')).toBe(form === 'gzip')
      expect(isPristine((await it.restore()).plan)).toBe(true)
    }
  })

  test('trusts a blob that looks as it did, hashes one that does not, and always hashes when told so', async () => {
    using it = given({ a: file('one'), b: file('two') })
    await it.restore()
    const blob = it.blobs.pathOf(sha256Of(Buffer.from('one')))
    const times = fs.statSync(blob)
    // An edit that hides itself as far as a program can: size, inode and mtime stay. The ctime tells.
    fs.writeFileSync(blob, 'ONE')
    fs.utimesSync(blob, times.atime, times.mtime)
    for (const verification of ['trusted', 'always'] as const) {
      fs.rmSync(join(it.space, 'a'), { force: true })
      const error = await it.restore({ verification }).catch((thrown: unknown) => thrown)
      expect(error).toBeInstanceOf(BlobsUnusableError)
      expect(fs.existsSync(join(it.space, 'a'))).toBe(false)
    }
    const { report } = await it.restore({ verification: 'skip' })
    expect(report.filesPlaced).toBe(1)
    expect(fs.readFileSync(join(it.space, 'a'), 'utf8')).toBe('ONE')
  })

  test('reads nothing of a trusted blob that it can share or copy, and notes what it hashed', async () => {
    using it = given({ a: file('one') })
    const { report } = await it.restore()
    expect(report.filesPlaced).toBe(1)
    const target = new Uint32Array(8)
    expect(it.blobs.notes.find(sha256Of(Buffer.from('one')), target, 0)).toBe('identity')
    expect(target[0]).toBe(3)
  })

  test('takes a blob that was replaced by its other form for what it is', async () => {
    using it = given({ a: file('one '.repeat(500)) })
    await it.restore()
    const content = Buffer.from('one '.repeat(500))
    const blob = it.blobs.pathOf(sha256Of(content))
    for (const bytes of [gzipSync(content), content]) {
      fs.rmSync(blob)
      fs.writeFileSync(blob, bytes)
      for (const strategy of ['auto', 'hardlink', 'copy', 'symlink'] as const) {
        fs.rmSync(join(it.space, 'a'))
        await it.restore({ strategy })
        expect(fs.readFileSync(join(it.space, 'a')).equals(content)).toBe(true)
      }
      fs.rmSync(join(it.space, 'a'))
      await it.restore({ verification: 'skip' })
      expect(it.wrong()).toEqual([])
    }
  })

  test('decodes a blob that is too large for memory, and sees when it is wrong', async () => {
    const large = Buffer.alloc(BLOB_DECODED_BYTES_MAX + 100, `many bytes ${STAGE} `)
    using it = given({ large: file(large.toString()) }, 'gzip')
    await it.restore()
    expect(it.wrong()).toEqual([])
    const blob = it.blobs.pathOf(sha256Of(large))
    fs.writeFileSync(blob, gzipSync(Buffer.alloc(large.byteLength, 'other bytes ')))
    fs.rmSync(join(it.space, 'large'))
    expect(await it.restore().catch((thrown: unknown) => thrown)).toBeInstanceOf(BlobsUnusableError)
    expect(fs.readdirSync(it.space)).toEqual([])
  })

  test('leaves extra files where it is told to, unless they stand in the way', async () => {
    using it = given({ a: file('one'), lib: { kind: 'directory', entries: { b: file('two') } } })
    await it.restore()
    fs.writeFileSync(join(it.space, 'lib', 'extra'), 'mine')
    fs.mkdirSync(join(it.space, 'lib', 'more'))
    fs.rmSync(join(it.space, 'a'))
    fs.mkdirSync(join(it.space, 'a'))
    const { report } = await it.restore({ keepExtra: true })
    expect(report.removed).toBe(1)
    expect(fs.readdirSync(join(it.space, 'lib')).sort()).toEqual(['b', 'extra', 'more'])
    expect(isPristine((await it.restore({ keepExtra: true })).plan)).toBe(true)
    await it.restore()
    expect(it.wrong()).toEqual([])
  })

  test('finds an edit that hides itself only when it looks deep', async () => {
    using it = given({ a: file(`#!${STAGE}`), b: file('two') })
    await it.restore()
    const edited = join(it.space, 'b')
    fs.writeFileSync(edited, 'TWO')
    fs.utimesSync(edited, 1_610_000_000, 1_610_000_000)
    expect(isPristine((await it.restore()).plan)).toBe(true)
    const { report } = await it.restore({ deep: true })
    expect(report.filesPlaced).toBe(1)
    expect(it.wrong()).toEqual([])
    expect(isPristine((await it.restore({ deep: true })).plan)).toBe(true)
  })

  test('renews the note of a blob that it linked, so that the next restore trusts it', async () => {
    using it = given({ a: file('one', 0o755), b: file('one', 0o755), c: file('one'), d: file(`#!${STAGE}`) })
    const { report } = await it.restore({ strategy: 'hardlink' })
    expect(report.methods.hardlinked.files).toBe(2)
    expect(report.exceptions).toEqual({ 'second-mode': 1, relocated: 1 })
    expect(it.wrong()).toEqual([])
    const blob = it.blobs.pathOf(sha256Of(Buffer.from('one')))
    expect(fs.statSync(blob).nlink).toBe(3)
    const noted = new Uint32Array(8)
    it.blobs.notes.find(sha256Of(Buffer.from('one')), noted, 0)
    const status = fs.statSync(blob, { bigint: true })
    expect(BigInt(noted[4] ?? 0) * 1_000_000_000n + BigInt(noted[5] ?? 0)).toBe(status.ctimeNs)
  })

  test('lets no file of another space lose its mode by linking', async () => {
    using it = given({ a: file('one', 0o755) })
    await it.restore({ strategy: 'hardlink' })
    const other = madeCatalog({ a: file('one', 0o600) }, join(it.home.path, 'other'), it.blobs)
    const { report, spacePath } = await restoreIn(other, SPACE, it.blobs, never, { engine, strategy: 'hardlink' })
    expect(report.refusals).toEqual({ MODE: 1 })
    expect(fs.statSync(join(spacePath, 'a')).mode & 0o777).toBe(0o600)
    expect(fs.statSync(join(it.space, 'a')).mode & 0o777).toBe(0o755)
  })

  test('gives setuid to the file of its own, never to the blob', async () => {
    using it = given({ a: file('one', 0o4755) })
    const { report } = await it.restore({ strategy: 'hardlink' })
    expect(report.exceptions).toEqual({ 'special-mode': 1 })
    expect(fs.statSync(join(it.space, 'a')).mode & 0o7777).toBe(0o4755)
    expect(fs.statSync(it.blobs.pathOf(sha256Of(Buffer.from('one')))).mode & 0o7000).toBe(0)
  })

  test('follows the umask of nobody: modes are as recorded', async () => {
    using it = given({ a: file('one', 0o666), b: file('two', 0o777), c: file('three', 0o644) })
    const before = process.umask(0o077)
    try {
      await it.restore()
    } finally {
      process.umask(before)
    }
    const mode = (name: string) => fs.statSync(join(it.space, name)).mode & 0o777
    expect([mode('a'), mode('b'), mode('c')]).toEqual([0o666, 0o777, 0o644])
  })

  test('removes what a killed run left, also where extra files stay', async () => {
    using it = given({ a: file('one'), '.holo-peer-1-2': file('recorded') })
    await it.restore()
    for (const name of ['.holo-peer-4711-m5', '.holo-peer-4711-link', '.holo-peer-4711-12']) {
      fs.writeFileSync(join(it.space, name), 'half')
    }
    fs.writeFileSync(join(it.space, '.holo-peer-notes'), 'mine')
    await it.restore({ keepExtra: true })
    expect(fs.readdirSync(it.space).sort()).toEqual(['.holo-peer-1-2', '.holo-peer-notes', 'a'])
  })

  test('links no blob that its owner could not read any more', async () => {
    using it = given({ a: file('one', 0), b: file('two', 0o244) })
    for (const strategy of ['hardlink', 'symlink'] as const) {
      const { report } = await it.restore({ strategy })
      expect(report.exceptions).toEqual(strategy === 'hardlink' ? { 'special-mode': 2 } : {})
      expect(it.wrong()).toEqual([])
      for (const text of ['one', 'two']) {
        expect(fs.statSync(it.blobs.pathOf(sha256Of(Buffer.from(text)))).mode & 0o777).toBe(0o644)
      }
    }
  })

  test('writes its mark and its notes through no link', async () => {
    using it = given({ a: file('one') })
    const precious = join(it.home.path, 'precious')
    fs.writeFileSync(precious, 'precious')
    fs.mkdirSync(join(it.space, '..'), { recursive: true })
    for (const end of ['restoring', 'meta', 'meta.info']) fs.symlinkSync(precious, `${it.space}.${end}`)
    await it.restore()
    expect(fs.readFileSync(precious, 'utf8')).toBe('precious')
    expect(fs.readdirSync(join(it.space, '..')).sort()).toEqual(
      ['', '.lck', '.meta', '.meta.info'].map((end) => `${SPACE}${end}`),
    )
    expect(it.wrong()).toEqual([])
  })

  test('stops between files when its signal aborts, and the next run goes on', async () => {
    using it = given(wideTree(4 * SECOND_THREAD_FILES_MIN))
    const random = seededRandom(7)
    for (let round = 0; round < 5; round++) {
      const controller = new AbortController()
      const reason = new Error('called off')
      setTimeout(() => controller.abort(reason), random.next() * 40)
      const thrown = await it.restore({}, controller.signal).catch((error: unknown) => error)
      if (thrown instanceof Error) expect(thrown).toBe(reason)
    }
    await it.restore()
    expect(it.wrong()).toEqual([])
  })
})

describe('a directory with a default ACL', () => {
  const setfacl = Bun.which('setfacl')
  const withAcl = skipUnless(setfacl !== null, 'setfacl is not installed')
  withAcl('does not change the modes of files', async () => {
    using home = new TemporaryDirectory()
    const base = join(home.path, 'base')
    fs.mkdirSync(base)
    Bun.spawnSync([setfacl ?? '', '-d', '-m', 'u::rwx,g::---,o::---', base])
    const blobs = new DirectoryBlobs(join(home.path, 'hololib', 'library'), 'identity')
    const tree: MadeTree = { a: file('one', 0o644), b: file('two', 0o755) }
    await restoreIn(madeCatalog(tree, base, blobs), SPACE, blobs)
    expect(fs.statSync(join(base, SPACE, 'a')).mode & 0o777).toBe(0o644)
    expect(fs.statSync(join(base, SPACE, 'b')).mode & 0o777).toBe(0o755)
  })

  withAcl('does so neither where it lets the mode of the first file through', async () => {
    using home = new TemporaryDirectory()
    const base = join(home.path, 'base')
    fs.mkdirSync(base)
    Bun.spawnSync([setfacl ?? '', '-d', '-m', 'u::rwx,g::r-x,o::r--', base])
    const blobs = new DirectoryBlobs(join(home.path, 'hololib', 'library'), 'identity')
    const tree: MadeTree = { a: file('one', 0o644), b: file('two', 0o755), c: file('three', 0o755) }
    const { spacePath } = await restoreIn(madeCatalog(tree, base, blobs), SPACE, blobs)
    const modes = ['a', 'b', 'c'].map((name) => fs.statSync(join(spacePath, name)).mode & 0o777)
    expect(modes).toEqual([0o644, 0o755, 0o755])
  })
})
