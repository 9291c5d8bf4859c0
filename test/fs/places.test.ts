/**
 * `holo-peer restore` where library and spaces lie in unusual places: full, read-only, foreign, linked, layered. Each
 * strategy falls to the next primitive, tells so in the report, and the tree is right.
 */
import { describe, expect } from 'bun:test'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { SECOND_THREAD_FILES_MIN } from '../../src/base/limits.ts'
import type { Report } from '../support/fleet-hosts.ts'
import { listTree, TemporaryDirectory } from '../support/golden.ts'
import { binaryObstacle, LocalHost } from '../support/local-host.ts'
import { FILE_SYSTEMS, Mounted, mountObstacle } from '../support/mounts.ts'
import { skipUnless } from '../support/skip.ts'
import { wideTree } from '../support/wide-tree.ts'

const obstacle = binaryObstacle() ?? mountObstacle('tmpfs')
const placeTest = skipUnless(obstacle === undefined, obstacle ?? '')
const btrfsObstacle = obstacle ?? mountObstacle('btrfs')
const btrfsTest = skipUnless(btrfsObstacle === undefined, btrfsObstacle ?? '')
const setpriv = Bun.which('setpriv')
const userTest = skipUnless(
  obstacle === undefined && setpriv !== null,
  'root and setpriv are needed to run as another user',
)
const FILES = SECOND_THREAD_FILES_MIN + 80
const RESTORED_TIME_S = 1_610_000_000

function must(...command: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(command)
  if (exitCode !== 0) throw new Error(`${command.join(' ')}: ${stderr.toString()}`)
}

/** A mount at an existing directory, until the end of the scope. */
function mounted(directory: string, ...options: string[]): Disposable {
  must('mount', ...options, directory)
  return { [Symbol.dispose]: () => Bun.spawnSync(['umount', '-l', directory]) }
}

/** The same directory once more, read-only. */
function readOnly(directory: string): Disposable {
  const bound = mounted(directory, '--bind', directory)
  must('mount', '-o', 'remount,ro,bind', directory)
  return bound
}

function filesBy(report: Report): Record<string, number> {
  const methods = Object.entries(report.restored.methods as Record<string, { files: number }>)
  return Object.fromEntries(methods.map(([method, { files }]) => [method, files]).filter(([, files]) => files !== 0))
}

/** Files of a space that a restore did not finish, or left as temporaries. */
function unfinished(space: string): string[] {
  if (!fs.existsSync(space)) return []
  return listTree(space)
    .filter(({ path, type, mtime }) => path.includes('.holo-peer-') || (type === 'file' && mtime !== RESTORED_TIME_S))
    .map(({ path }) => path)
}

describe('a full disk', () => {
  for (const strategy of ['auto', 'hardlink', 'copy', 'symlink'] as const) {
    for (const form of ['identity', 'gzip'] as const) {
      // Inodes run out earlier or later: at the mark, at directories, at files.
      placeTest(`under ${strategy}, from ${form} blobs, is told as such and gone on from`, async () => {
        using folder = new TemporaryDirectory()
        const base = join(folder.path, 'holotree')
        fs.mkdirSync(base)
        const host = new LocalHost(folder.path, form)
        const environment = host.add('v1', wideTree(FILES, 1))
        for (const inodes of [3, 20, 200, 500]) {
          using _disk = mounted(base, '-t', 'tmpfs', '-o', `size=64m,nr_inodes=${inodes}`, 'tmpfs')
          const report = await host.restore(environment, '--strategy', strategy)
          expect({ inodes, ...report }).toMatchObject({ ok: false, exitCode: 6, error: { code: 'disk-full' } })
          expect(report.error.hint).toContain('free some space')
          expect(fs.existsSync(`${host.space}.meta`)).toBe(false)
          expect(unfinished(host.space)).toEqual([])
          must('mount', '-o', 'remount,nr_inodes=100000', base)
          expect(await host.restore(environment, '--strategy', strategy)).toMatchObject({ ok: true })
          if (strategy !== 'symlink') expect(host.wrong(environment)).toEqual([])
        }
      })
    }
  }

  placeTest('that takes no more bytes leaves no part of a file', async () => {
    using folder = new TemporaryDirectory()
    const base = join(folder.path, 'holotree')
    fs.mkdirSync(base)
    const host = new LocalHost(folder.path)
    const large = { kind: 'file', text: 'large '.repeat(500_000), mode: 0o644 } as const
    const environment = host.add('v1', { ...wideTree(FILES, 1), large })
    for (const size of [1, 3, 4]) {
      using _disk = mounted(base, '-t', 'tmpfs', '-o', `size=${size}m`, 'tmpfs')
      const report = await host.restore(environment)
      expect({ size, ...report }).toMatchObject({ ok: false, exitCode: 6, error: { code: 'disk-full' } })
      expect(unfinished(host.space)).toEqual([])
      must('mount', '-o', 'remount,size=64m', base)
      expect(await host.restore(environment)).toMatchObject({ ok: true })
      expect(host.wrong(environment)).toEqual([])
    }
  })
})

describe('what cannot be written', () => {
  placeTest('a read-only library is restored from under every strategy that needs no links into it', async () => {
    using folder = new TemporaryDirectory()
    const host = new LocalHost(folder.path)
    const environment = host.add('v1', wideTree(FILES, 1))
    using _library = readOnly(join(host.home, 'hololib'))
    for (const strategy of ['auto', 'copy', 'hardlink', 'smart'] as const) {
      fs.rmSync(host.space, { recursive: true, force: true })
      expect(await host.restore(environment, '--strategy', strategy)).toMatchObject({ ok: true, exitCode: 0 })
      expect(host.wrong(environment)).toEqual([])
    }
  })

  placeTest('a read-only holotree is told as such before anything is done', async () => {
    using folder = new TemporaryDirectory()
    const host = new LocalHost(folder.path)
    const environment = host.add('v1', wideTree(40, 1))
    using _base = readOnly(host.base)
    const report = await host.restore(environment)
    expect(report).toMatchObject({ ok: false, exitCode: 6, error: { code: 'base-unwritable', blame: 'host' } })
    expect(report.error.message).toContain('EROFS')
  })

  userTest('permissions that lack are told with the path, in the space and in the library', async () => {
    using folder = new TemporaryDirectory()
    fs.chmodSync(folder.path, 0o777)
    const host = new LocalHost(folder.path)
    const environment = host.add('v1', { a: { kind: 'file', text: 'one', mode: 0o644 } })
    must('chown', '-R', '65534', folder.path)
    const [built = '', ...args] = host.command(environment, '--json')
    const binary = join(folder.path, 'holo-peer')
    fs.copyFileSync(built, binary)
    const command = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', binary, ...args]
    fs.mkdirSync(host.space, { mode: 0o755 })
    const first = await host.reportOf(command)
    expect(first).toMatchObject({ exitCode: 6, error: { code: 'no-permission' } })
    expect(first.error.message).toContain(join(host.space, 'a'))
    fs.rmdirSync(host.space)
    const [blob = ''] = fs.globSync(`${host.home}/hololib/library/*/*/*/*`)
    fs.chownSync(blob, 0, 0)
    fs.chmodSync(blob, 0o600)
    const second = await host.reportOf(command)
    expect(second).toMatchObject({ exitCode: 6, error: { code: 'no-permission' } })
    expect(second.error.message).toContain(blob)
  })
})

describe('library and spaces', () => {
  placeTest('may both be reached through symbolic links', async () => {
    using folder = new TemporaryDirectory()
    const [home, base] = [join(folder.path, 'home'), join(folder.path, 'base')]
    for (const name of ['home', 'base']) {
      fs.mkdirSync(join(folder.path, 'disk', name), { recursive: true })
      fs.symlinkSync(join(folder.path, 'disk', name), join(folder.path, name))
    }
    const host = new LocalHost(folder.path, 'identity', { home, base })
    const versions = [1, 2].map((version) => host.add(`v${version}`, wideTree(FILES, version)))
    fs.renameSync(join(home, 'hololib'), join(folder.path, 'disk/hololib'))
    fs.symlinkSync(join(folder.path, 'disk/hololib'), join(home, 'hololib'))
    for (const strategy of ['auto', 'hardlink', 'copy'] as const) {
      for (const version of versions) {
        expect(await host.restore(version, '--strategy', strategy)).toMatchObject({ ok: true })
        expect(host.wrong(version)).toEqual([])
        expect((await host.restore(version, '--strategy', strategy)).restored.filesPlaced).toBe(0)
      }
    }
  })

  // One file system, two mounts: links are refused (EXDEV).
  placeTest('on two mounts of one file system: links fall to copies, which are counted', async () => {
    using folder = new TemporaryDirectory()
    const host = new LocalHost(folder.path)
    const environment = host.add('v1', wideTree(FILES, 1))
    using _bound = mounted(host.base, '--bind', host.base)
    const report = await host.restore(environment, '--strategy', 'hardlink')
    expect(report).toMatchObject({ ok: true })
    expect(report.restored.refusals.EXDEV).toBeGreaterThan(100)
    expect(report.restored.limits.join()).toContain('different file systems or mounts')
    expect(filesBy(report).hardlinked).toBeUndefined()
    expect(host.wrong(environment)).toEqual([])
  })

  btrfsTest('in two subvolumes of btrfs: links fall to clones', async () => {
    using disk = new Mounted('btrfs')
    for (const name of ['robocorp', 'holotree']) must('btrfs', 'subvolume', 'create', join(disk.path, name))
    const host = new LocalHost(disk.path)
    const environment = host.add('v1', wideTree(FILES, 1))
    const report = await host.restore(environment, '--strategy', 'hardlink')
    expect(report.restored.refusals.EXDEV).toBeGreaterThan(100)
    expect(filesBy(report).reflinked).toBeGreaterThan(500)
    expect(host.wrong(environment)).toEqual([])
  })

  // A container whose image has the library: blobs lie in the lower layer until they are linked or changed.
  for (const kind of FILE_SYSTEMS) {
    const why = obstacle ?? mountObstacle(kind)
    skipUnless(why === undefined, why ?? '')(`on overlayfs above ${kind}, the library in its lower layer`, async () => {
      using disk = new Mounted(kind)
      const part = (name: string) => join(disk.path, name)
      for (const name of ['lower', 'upper', 'work', 'merged']) fs.mkdirSync(part(name))
      {
        // The catalog names the merged place, so the image is built there, too.
        using _image = mounted(part('merged'), '--bind', part('lower'))
        const built = new LocalHost(part('merged'))
        for (const version of [1, 2]) built.add(`v${version}`, wideTree(FILES, version))
      }
      const layers = `lowerdir=${part('lower')},upperdir=${part('upper')},workdir=${part('work')}`
      using _overlay = mounted(part('merged'), '-t', 'overlay', '-o', layers, 'overlay')
      const host = new LocalHost(part('merged'))
      const versions = [1, 2].map((version) => host.add(`v${version}`, wideTree(FILES, version)))
      for (const strategy of ['auto', 'hardlink', 'copy', 'hardlink'] as const) {
        for (const version of versions) {
          expect(await host.restore(version, '--strategy', strategy)).toMatchObject({ ok: true, quarantined: [] })
          expect(host.wrong(version)).toEqual([])
          expect((await host.restore(version, '--strategy', strategy)).restored.filesPlaced).toBe(0)
        }
      }
      expect(host.leftovers()).toEqual([])
    })
  }
})
