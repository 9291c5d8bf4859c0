// Goal: a stage that rcc recorded is recorded by us to the same catalog, field by field, and better only where rcc's
// scan misses an occurrence at the end of a file (formats.md §6.3).
// Method: the golden stages are put up again below a directory of the test, with names in them that recording skips.
import { describe, expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { machineWith } from '../../src/app/machine.ts'
import { record } from '../../src/app/record.ts'
import { never } from '../../src/base/clock.ts'
import { noCompressMarker, type Roots, stagePath } from '../../src/catalog/layout.ts'
import { IDENTITY_BYTES } from '../../src/catalog/relocation.ts'
import type { Catalog, CatalogFile } from '../../src/catalog/tree.ts'
import { distinctBlobs, eachFile } from '../../src/catalog/walk.ts'
import { Library } from '../../src/store/library.ts'
import { restoreIn } from '../restore/restore-in.ts'
import {
  differences,
  rootsIn,
  type SmallKind,
  smallCold,
  smallKinds,
  smallVersions,
  TemporaryDirectory,
  unpackSmall,
} from '../support/golden.ts'
import { movedStage, rebuildStage } from '../support/stage.ts'

const golden = resolve(import.meta.dir, '../golden/small')

/** Where rcc's scan misses an occurrence: each ends with its file, after nothing but a `t` since the start. */
const MISSED_BY_RCC = [
  'reloc/exactly_identity.txt',
  'reloc/identity_twice_adjacent.txt',
  'reloc/t_then_identity_at_eof.txt',
]

function recorderRoots(kind: SmallKind, home: string): Roots {
  const roots = rootsIn(home)
  if (kind !== 'nocompress') return roots
  fs.mkdirSync(dirname(noCompressMarker(roots)), { recursive: true })
  fs.writeFileSync(noCompressMarker(roots), 'present')
  return roots
}

/** What every start of a robot, an editor and version control leave; rcc records none of it. */
function addSkipped(stage: string): void {
  fs.mkdirSync(join(stage, 'bin', '__pycache__', 'deep'), { recursive: true })
  fs.writeFileSync(join(stage, 'bin', '__pycache__', 'deep', 'x'), 'x')
  fs.mkdirSync(join(stage, 'lib', 'repo.git'))
  for (const name of ['.gitignore', 'module.pyc', 'x.svn']) fs.writeFileSync(join(stage, 'lib', name), name)
  fs.symlinkSync('nowhere', join(stage, 'lib', '.hg'))
  fs.writeFileSync(Buffer.concat([Buffer.from(`${stage}/lib/`), Buffer.from([0xff]), Buffer.from('.pyc')]), '')
}

function found(library: Library, name: Parameters<Library['catalog']>[0]): Catalog {
  const { catalog } = library.catalog(name) ?? {}
  if (catalog === undefined) throw new Error(`${name} is not there`)
  return catalog
}

/** The tree with each list of relocations as an ascending set, by path. */
function filesByPath(catalog: Catalog): Map<string, CatalogFile> {
  const asSet = (file: CatalogFile) => ({ ...file, rewrite: [...new Set(file.rewrite)].sort((a, b) => a - b) })
  const files = new Map<string, CatalogFile>()
  eachFile(catalog.tree, (file, prefix) => files.set(prefix + file.name, asSet(file)))
  return files
}

/** Everything but relocations, for a comparison of whole trees. */
function withoutRewrites(catalog: Catalog): string {
  const shown = (_key: string, value: unknown) => (value instanceof Map ? Object.fromEntries(value) : value)
  const { rcc: _recorder, ...rest } = catalog
  return JSON.stringify(rest, (key, value) => (key === 'rewrite' ? undefined : shown(key, value)), 1)
}

describe.each([...smallKinds])('the small set %s', (kind) => {
  test.each([...smallVersions])('record() makes the catalog of v%d that rcc made', async (version) => {
    using source = new TemporaryDirectory()
    using home = new TemporaryDirectory()
    const { name, listing, spaceName } = smallCold(kind, version)
    const rccs = new Library(unpackSmall(kind, source.path))
    const roots = recorderRoots(kind, home.path)
    const wanted = movedStage(found(rccs, name), stagePath(roots))
    const stage = await rebuildStage(wanted, rccs, roots)
    addSkipped(stage)
    const robotFile = join(golden, kind, `robot${version}`, 'robot.yaml')

    const outcome = await record(
      { directory: stage, robotFile },
      { onLockWait: () => {}, onWarning: () => {} },
      never,
      machineWith(roots),
    )

    const ours = new Library(roots)
    const actual = found(ours, outcome.catalog)
    // The darwin set is Linux content under another platform's name; here it is recorded for what it is.
    const relabelled = { ...actual, platform: wanted.platform }
    expect(withoutRewrites(relabelled)).toBe(withoutRewrites(wanted))
    const wantedFiles = filesByPath(wanted)
    const missed = new Set<string>()
    for (const [path, file] of filesByPath(actual)) {
      const before = new Set(wantedFiles.get(path)?.rewrite)
      const more = file.rewrite.filter((offset) => !before.delete(offset))
      expect([...before]).toEqual([])
      for (const offset of more) expect(offset + IDENTITY_BYTES).toBe(file.sizeBytes)
      if (more.length > 0) missed.add(path)
    }
    // And once more each, below the link to their directory.
    expect([...missed].filter((path) => path.startsWith('reloc/')).sort()).toEqual(MISSED_BY_RCC)
    expect([...missed].every((path) => path.startsWith('reloc/') || path.startsWith('links/dir_rel/'))).toBe(true)

    expect(await ours.missing(actual, never)).toEqual([])
    expect(outcome.blobs).toMatchObject({ added: distinctBlobs(actual).length, present: 0 })
    const { spacePath } = await restoreIn(actual, spaceName, ours)
    const differing = differences(spacePath, listing, { directoryTimes: 'settled' })
    const links = (path: string) => path.startsWith('links/abs_')
    expect(
      differing
        .map((line) => line.slice(0, line.indexOf(':')))
        .filter((path) => !links(path))
        .sort(),
    ).toEqual(MISSED_BY_RCC)
    for (const path of MISSED_BY_RCC) expect(fs.readFileSync(join(spacePath, path), 'utf8')).not.toContain('dad24d3t')
  })
})
