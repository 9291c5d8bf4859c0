import { expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import fc from 'fast-check'
import { never } from '../../src/base/clock.ts'
import type { Catalog } from '../../src/catalog/tree.ts'
import { BlobsUnusableError } from '../../src/restore/apply.ts'
import { isPristine } from '../../src/restore/plan.ts'
import { differences, listTree, TemporaryDirectory } from '../support/golden.ts'
import {
  DirectoryBlobs,
  type MadeEntry,
  type MadeTree,
  madeCatalog,
  madeListing,
  STAGE,
} from '../support/made-catalog.ts'
import { runs } from '../support/runs.ts'
import { type RestoreInOptions, restoreIn } from './restore-in.ts'

const SPACE = 'dc4d952_5a1fac3_5f364f47'

// Few names and few contents, so that trees collide: same names of other kinds, same sizes with other bytes.
const names = fc.constantFrom('a', 'b', 'lib', '__pycache__', 'ünï', 'x.py')
const texts = fc.constantFrom('', 'one', 'two', `#!/x/${STAGE}/bin`, `${STAGE}${STAGE}`, `#!/y/${STAGE}/bin`)
const modes = fc.constantFrom(0o644, 0o755, 0o400, 0o600)
const targets = fc.constantFrom('a', '../b', '/nowhere/x', 'lib')

const trees = fc.letrec<{ tree: MadeTree; entry: MadeEntry }>((tie) => ({
  tree: fc.dictionary(names, tie('entry'), { maxKeys: 5 }),
  entry: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.record({ kind: fc.constant('file' as const), text: texts, mode: modes }),
    fc.record({ kind: fc.constant('link' as const), target: targets }),
    fc.record({ kind: fc.constant('directory' as const), entries: tie('tree') }),
  ),
})).tree

/** What a robot, an operator or a crash may do to a space; `at` picks the place. */
type Disturbance = { readonly what: (typeof disturbances)[number]; readonly at: number }
const disturbances = [
  'remove',
  'file',
  'directory',
  'link out',
  'edit keeping size',
  'edit keeping size and time',
  'chmod',
  'touch',
  'extra file',
  'extra directory',
  'extra name not UTF-8',
  'closed directory',
  'remove .meta',
  'cut .meta',
  'pipe',
] as const
// `symlink` leaves links where the listing has files; its own tests compare through them.
const options: fc.Arbitrary<RestoreInOptions> = fc.record({
  engine: fc.constantFrom('native' as const, 'portable' as const),
  strategy: fc.constantFrom('auto' as const, 'hardlink' as const, 'smart' as const, 'copy' as const),
  verification: fc.constantFrom('always' as const, 'trusted' as const),
})
const disturbance: fc.Arbitrary<Disturbance> = fc.record({ what: fc.constantFrom(...disturbances), at: fc.nat(99) })

function disturb(space: string, outside: string, { what, at }: Disturbance): void {
  const entries = listTree(space)
  const entry = entries[at % Math.max(1, entries.length)]
  const path = join(space, entry?.path ?? 'new')
  const files = entries.filter(({ type, size = 0 }) => type === 'file' && size > 0)
  const file = join(space, files[at % Math.max(1, files.length)]?.path ?? '')
  const directories = ['', ...entries.filter(({ type }) => type === 'dir').map(({ path: below }) => below)]
  const directory = join(space, directories[at % directories.length] ?? '')
  const replace = (by: string, make: () => unknown) => {
    fs.rmSync(by, { recursive: true, force: true })
    make()
  }
  const edit = () => {
    const content = fs.readFileSync(file)
    content[0] = (content[0] ?? 0) ^ 1
    fs.chmodSync(file, 0o600)
    fs.writeFileSync(file, content)
  }
  const withFile = (work: () => void) => {
    if (files.length > 0) work()
  }
  const actions: Record<Disturbance['what'], () => void> = {
    remove: () => replace(path, () => {}),
    file: () => replace(path, () => fs.writeFileSync(path, 'one')),
    // rcc's own mode, since a directory that exists keeps its mode.
    directory: () => replace(path, () => fs.mkdirSync(path, { mode: 0o750 })),
    'link out': () => replace(path, () => fs.symlinkSync(outside, path)),
    pipe: () => replace(path, () => Bun.spawnSync(['mkfifo', path])),
    'edit keeping size': () => withFile(edit),
    // Nobody can see this one but by the content, so it counts only where no note vouches for the file.
    'edit keeping size and time': () =>
      withFile(() => {
        edit()
        fs.chmodSync(file, 0o644)
        fs.utimesSync(file, 1_610_000_000, 1_610_000_000)
        fs.rmSync(`${space}.meta`, { force: true })
      }),
    chmod: () => withFile(() => fs.chmodSync(file, 0o777)),
    touch: () => withFile(() => fs.utimesSync(file, 5, 5)),
    'extra file': () => {
      const extra = join(directory, 'extra')
      replace(extra, () => fs.writeFileSync(extra, 'one'))
    },
    'extra directory': () => {
      const extra = join(directory, 'extra.d')
      replace(extra, () => fs.mkdirSync(join(extra, '__pycache__'), { recursive: true }))
      fs.writeFileSync(join(extra, '__pycache__', 'a.pyc'), 'one')
    },
    'extra name not UTF-8': () =>
      fs.writeFileSync(Buffer.concat([Buffer.from(`${directory}/`), Buffer.from([0x61, 0xff])]), ''),
    'closed directory': () => {
      if (directory !== space) fs.chmodSync(directory, 0o000)
    },
    'remove .meta': () => fs.rmSync(`${space}.meta`, { force: true }),
    'cut .meta': () => {
      if (fs.existsSync(`${space}.meta`)) fs.truncateSync(`${space}.meta`, 40)
    },
  }
  actions[what]()
}

/**
 * A robot that edits a file of a hardlinked space edits the blob: that is found, and told. Then it is put right, as a
 * fetch would, and the restore done again.
 */
async function restoreAndMend(catalog: Catalog, blobs: DirectoryBlobs, options: RestoreInOptions): Promise<void> {
  try {
    await restoreIn(catalog, SPACE, blobs, never, options)
  } catch (error) {
    if (!(error instanceof BlobsUnusableError)) throw error
    for (const { digest } of error.corrupt) {
      fs.rmSync(blobs.pathOf(digest))
      blobs.add(gunzipSync(blobs.stored.get(digest) ?? ''))
    }
    await restoreIn(catalog, SPACE, blobs, never, options)
  }
}

// Goal: whatever stands in a space, a restore ends with the catalog's tree, writes nothing elsewhere, and has nothing
// left to do the second time.
// Method: a first tree is restored, disturbed, and a second tree is restored over it.
test('applyPlan() makes any tree out of any state', async () => {
  using home = new TemporaryDirectory()
  let run = 0
  await fc.assert(
    fc.asyncProperty(
      fc.option(trees, { freq: 5 }),
      fc.array(disturbance, { maxLength: 4 }),
      fc.boolean(),
      trees,
      fc.tuple(options, options, fc.constantFrom('identity' as const, 'gzip' as const)),
      async (before, done, back, wanted, [first, second, form]) => {
        const base = join(home.path, `${run++}`)
        const outside = join(home.path, 'outside')
        fs.mkdirSync(outside, { recursive: true })
        fs.writeFileSync(join(outside, 'kept'), 'kept')
        const blobs = new DirectoryBlobs(join(base, 'library'), form)
        const space = join(base, SPACE)
        if (before !== null) {
          await restoreIn(madeCatalog(before, base, blobs), SPACE, blobs, never, first)
          // A closed directory comes last, or the others could not look for their places.
          const closing = (each: Disturbance) => each.what === 'closed directory'
          for (const each of done.filter((other) => !closing(other))) disturb(space, outside, each)
          const last = done.find(closing)
          if (last !== undefined) disturb(space, outside, last)
        }
        const tree = back && before !== null ? before : wanted

        await restoreAndMend(madeCatalog(tree, base, blobs), blobs, second)

        expect(differences(space, madeListing(tree, SPACE), { directoryTimes: 'ignored' })).toEqual([])
        expect(fs.readdirSync(outside)).toEqual(['kept'])
        expect(fs.existsSync(`${space}.restoring`)).toBe(false)
        const again = await restoreIn(madeCatalog(tree, base, blobs), SPACE, blobs, never, second)
        expect(isPristine(again.plan)).toBe(true)
        fs.rmSync(base, { recursive: true })
      },
    ),
    { numRuns: runs(200) },
  )
})
