import { afterAll, beforeAll, describe, expect } from 'bun:test'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { never } from '../../src/base/clock.ts'
import { blobPath } from '../../src/catalog/layout.ts'
import { STRATEGIES, type Strategy } from '../../src/catalog/strategies.ts'
import type { Catalog } from '../../src/catalog/tree.ts'
import { distinctBlobs } from '../../src/catalog/walk.ts'
import { isPristine } from '../../src/restore/plan.ts'
import { Library } from '../../src/store/library.ts'
import { restoreIn } from '../restore/restore-in.ts'
import {
  differences,
  type GoldenVersion,
  type ListedEntry,
  listTree,
  rebased,
  smallCold,
  smallKinds,
  smallSwitched,
  smallVersions,
  unpackSmall,
} from '../support/golden.ts'
import { FILE_SYSTEMS, type FileSystem, Mounted, mountObstacle } from '../support/mounts.ts'
import { skipUnless } from '../support/skip.ts'

const CLONES: readonly FileSystem[] = ['xfs', 'btrfs']
const EXCLUDES = (path: string) => path.endsWith('.py')

/** What is wrong with a space; files that are links to blobs count as the blobs. */
function wrongIn(space: string, listing: readonly ListedEntry[], strategy: Strategy): string[] {
  if (strategy !== 'symlink') return differences(space, listing, { directoryTimes: 'ignored' })
  const wanted = new Map(listing.map((entry) => [entry.path, entry]))
  const wrong = listTree(space)
    .map(({ path }) => path)
    .filter((path) => !wanted.has(path))
  for (const { path, type, sha256, mode, target } of listing) {
    const place = join(space, path)
    if (type === 'symlink' && fs.readlinkSync(place) !== target) wrong.push(path)
    if (type !== 'file') continue
    const digest = new Bun.CryptoHasher('sha256').update(fs.readFileSync(place)).digest('hex')
    const actual = (fs.statSync(place).mode & 0o7777).toString(8).padStart(4, '0')
    if (digest !== sha256 || actual !== mode) wrong.push(path)
  }
  return wrong
}

function catalogOf(library: Library, { name }: GoldenVersion, base: string): Catalog {
  const found = library.catalog(name)
  if (found === undefined) throw new Error(`the golden library lacks ${name}`)
  return rebased(found.catalog, base)
}

for (const kind of FILE_SYSTEMS) {
  const obstacle = mountObstacle(kind)
  const test = skipUnless(obstacle === undefined, obstacle ?? '')
  describe(`on ${kind}`, () => {
    let mounted: Mounted | undefined
    beforeAll(() => {
      if (obstacle === undefined) mounted = new Mounted(kind)
    })
    afterAll(() => mounted?.[Symbol.dispose]())

    for (const strategy of STRATEGIES) {
      const impossible = strategy === 'reflink' && !CLONES.includes(kind)
      test(`strategy ${strategy} ${impossible ? 'is refused' : 'restores and switches as rcc did'}`, async () => {
        const options = { strategy, hardlinkExcludes: EXCLUDES }
        for (const set of smallKinds) {
          const home = join(mounted?.path ?? '', `${strategy}-${set}`)
          fs.mkdirSync(home)
          const library = new Library(unpackSmall(set, home))
          if (impossible) {
            const golden = smallCold('nocompress', 1)
            if (set !== 'nocompress') continue
            const base = join(home, 'base')
            fs.mkdirSync(base)
            const refused = restoreIn(catalogOf(library, golden, base), golden.spaceName, library, never, options)
            expect(await refused.catch((error: unknown) => error)).toMatchObject({
              code: 'reflink-refused',
              blame: 'host',
            })
            expect(fs.readdirSync(base)).toEqual([`${golden.spaceName}.lck`])
            continue
          }
          for (const version of smallVersions) {
            const rounds = [
              [smallCold(set, version), join(home, `cold-${version}`)],
              [smallSwitched(set, version), join(home, 'switched')],
            ] as const
            for (const [golden, base] of rounds) {
              const catalog = catalogOf(library, golden, base)
              const { spacePath } = await restoreIn(catalog, golden.spaceName, library, never, options)
              expect(wrongIn(spacePath, golden.listing, strategy)).toEqual([])
              const again = await restoreIn(catalog, golden.spaceName, library, never, options)
              expect(isPristine(again.plan)).toBe(true)
            }
          }
        }
      })
    }
  })
}

const both = mountObstacle('xfs') ?? mountObstacle('ext4')
const across = skipUnless(both === undefined, both ?? '')

describe('a library of raw blobs', () => {
  async function restored(library: Library, base: string, strategy: Strategy) {
    const golden = smallCold('nocompress', 1)
    const catalog = catalogOf(library, golden, base)
    return { golden, ...(await restoreIn(catalog, golden.spaceName, library, never, { strategy })) }
  }

  across('on another file system is copied from, and the report says why', async () => {
    using one = new Mounted('xfs')
    using other = new Mounted('ext4')
    const library = new Library(unpackSmall('nocompress', one.path))
    for (const strategy of ['auto', 'hardlink'] as const) {
      const { report, spacePath, golden } = await restored(library, join(other.path, strategy), strategy)
      expect(differences(spacePath, golden.listing, { directoryTimes: 'ignored' })).toEqual([])
      expect(report.methods.reflinked.files + report.methods.hardlinked.files).toBe(0)
      expect(report.refusals.EXDEV).toBeGreaterThan(100)
      expect(report.limits.join()).toStartWith('library and space are on different file systems')
    }
  })

  across('is cloned on xfs, copied within the kernel on ext4, and hard links are counted', async () => {
    using one = new Mounted('xfs')
    using other = new Mounted('ext4')
    for (const { path, kind } of [one, other]) {
      const library = new Library(unpackSmall('nocompress', path))
      // The first run hashes what it places, so that the bytes are in memory; the second one trusts.
      await restored(library, join(path, 'first'), 'auto')
      const { report } = await restored(library, join(path, 'second'), 'auto')
      expect(report.methods[kind === 'xfs' ? 'reflinked' : 'copied'].files).toBeGreaterThan(100)
      expect(report.limits).toEqual(kind === 'xfs' ? [] : [expect.stringContaining('cannot share blocks')])

      const linked = await restored(library, join(path, 'linked'), 'hardlink')
      expect(linked.report.methods.hardlinked.files).toBeGreaterThan(100)
      expect(linked.report.exceptions.relocated).toBeGreaterThan(0)
      const { ino } = fs.statSync(join(linked.spacePath, 'VERSION'))
      const refs = distinctBlobs(catalogOf(library, linked.golden, join(path, 'linked')))
      expect(refs.some(({ digest }) => fs.statSync(blobPath(library.roots, digest)).ino === ino)).toBe(true)

      // Whoever stops linking gets files of his own.
      const unlinked = await restored(library, join(path, 'linked'), 'auto')
      expect(unlinked.report.filesPlaced).toBe(linked.report.methods.hardlinked.files)
      expect(fs.statSync(join(unlinked.spacePath, 'VERSION')).nlink).toBe(1)
    }
  })
})
