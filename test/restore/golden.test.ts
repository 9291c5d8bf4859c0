import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { spacePaths } from '../../src/catalog/layout.ts'
import type { Catalog } from '../../src/catalog/tree.ts'
import { isPristine } from '../../src/restore/plan.ts'
import { Library } from '../../src/store/library.ts'
import {
  differences,
  environmentRoots,
  environmentVersion,
  goldenEnvironmentReason,
  hasGoldenEnvironment,
  rebased,
  smallCold,
  smallFile,
  smallKinds,
  smallSwitched,
  smallVersions,
  TemporaryDirectory,
  unpackSmall,
} from '../support/golden.ts'
import { skipUnless } from '../support/skip.ts'
import { restoreIn } from './restore-in.ts'

function catalogOf(library: Library, name: Parameters<Library['catalog']>[0]): Catalog {
  const found = library.catalog(name)
  if (found === undefined) throw new Error(`the golden library lacks ${name}`)
  return found.catalog
}

describe.each([...smallKinds])('the small set %s', (kind) => {
  // Restoring writes nothing to a library, and unpacking one takes longer than the tests.
  let shared: TemporaryDirectory
  let library: Library
  beforeAll(() => {
    shared = new TemporaryDirectory()
    library = new Library(unpackSmall(kind, shared.path))
  })
  afterAll(() => shared[Symbol.dispose]())

  test.each([...smallVersions])('applyPlan() restores v%d cold as rcc did', async (version) => {
    using home = new TemporaryDirectory()
    const golden = smallCold(kind, version)
    const catalog = rebased(catalogOf(library, golden.name), join(home.path, 'base'))

    const { spacePath, report } = await restoreIn(catalog, golden.spaceName, library)

    expect(differences(spacePath, golden.listing, { directoryTimes: 'settled' })).toEqual([])
    expect(report.filesPlaced).toBe(golden.listing.filter(({ type }) => type === 'file').length)
  })

  test('applyPlan() switches one space from v1 to v2 to v3 as rcc did', async () => {
    using home = new TemporaryDirectory()
    for (const version of smallVersions) {
      const golden = smallSwitched(kind, version)
      const catalog = rebased(catalogOf(library, golden.name), join(home.path, 'base'))

      const { spacePath } = await restoreIn(catalog, golden.spaceName, library)

      expect(differences(spacePath, golden.listing, { directoryTimes: 'settled' })).toEqual([])
    }
  })

  test('applyPlan() goes back from any version to any other', async () => {
    using home = new TemporaryDirectory()
    for (const version of [1, 3, 1, 2, 1] as const) {
      const golden = smallSwitched(kind, version)
      const catalog = rebased(catalogOf(library, golden.name), join(home.path, 'base'))

      const { spacePath } = await restoreIn(catalog, golden.spaceName, library)

      expect(differences(spacePath, golden.listing, { directoryTimes: 'ignored' })).toEqual([])
    }
  })
})

// Goal: the recorded base itself, with the notes that rcc writes there. Serial, since the place is the same for all.
test('applyPlan() leaves .meta and .meta.info as rcc does', async () => {
  using home = new TemporaryDirectory()
  const library = new Library(unpackSmall('gzip', home.path))
  const golden = smallSwitched('gzip', 3)
  const catalog = catalogOf(library, golden.name)
  const paths = spacePaths(golden.spacePath)
  try {
    await restoreIn(catalog, golden.spaceName, library)

    const wantedMeta = JSON.parse(smallFile('gzip', 3, 'space-meta.json').toString())
    const actualMeta = JSON.parse(gunzipSync(fs.readFileSync(paths.meta)).toString())
    expect(actualMeta.tree).toEqual(wantedMeta.tree)
    expect(actualMeta.path).toBe(golden.spacePath)
    expect(actualMeta.controller).toBe('rcc.user')
    expect(JSON.parse(fs.readFileSync(paths.metaInfo, 'utf8'))).toMatchObject({
      path: golden.spacePath,
      space: 'gold',
      blueprint: wantedMeta.blueprint,
    })
    expect(fs.existsSync(paths.restoring)).toBe(false)
  } finally {
    fs.rmSync(paths.directory, { recursive: true, force: true })
    for (const path of [paths.meta, paths.metaInfo, paths.lock]) fs.rmSync(path, { force: true })
  }
})

const environmentTest = skipUnless(hasGoldenEnvironment, goldenEnvironmentReason)

environmentTest(
  'applyPlan() restores a real Python environment, leaves it alone, and switches it',
  async () => {
    using home = new TemporaryDirectory()
    const library = new Library(environmentRoots())
    const first = environmentVersion(1)
    const firstCatalog = rebased(catalogOf(library, first.name), join(home.path, 'base'))
    const cold = await restoreIn(firstCatalog, first.spaceName, library)
    expect(differences(cold.spacePath, first.listing, { directoryTimes: 'settled' })).toEqual([])

    const before = fs.statSync(`${cold.spacePath}.meta`)
    const again = await restoreIn(firstCatalog, first.spaceName, library)
    expect(isPristine(again.plan)).toBe(true)
    expect(again.report.filesPlaced + again.report.removed + again.report.directoriesMade).toBe(0)
    expect(fs.statSync(`${cold.spacePath}.meta`).ino).toBe(before.ino)

    // The listing of v2 is of another space, and relocated files contain its name.
    const second = environmentVersion(2)
    const secondCatalog = rebased(catalogOf(library, second.name), join(home.path, 'base'))
    await restoreIn(firstCatalog, second.spaceName, library)
    const switched = await restoreIn(secondCatalog, second.spaceName, library)
    expect(differences(switched.spacePath, second.listing, { directoryTimes: 'ignored' })).toEqual([])
    expect(switched.report.unchanged.files).toBeGreaterThan(3_000)
  },
  60_000,
)
