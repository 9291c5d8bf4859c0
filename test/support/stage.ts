/** Stages for tests of recording: the tree that rcc recorded a golden catalog from, put up again. */
import * as fs from 'node:fs'
import { basename, join } from 'node:path'
import { type Roots, spacePaths, stagePath } from '../../src/catalog/layout.ts'
import type { Catalog, CatalogDirectory, CatalogFile } from '../../src/catalog/tree.ts'
import { walkRestorable } from '../../src/catalog/walk.ts'
import { unixMode } from '../../src/restore/file-mode.ts'
import type { Library } from '../../src/store/library.ts'
import { restoreIn } from '../restore/restore-in.ts'

/**
 * Make the stage of `roots` what `catalog` was recorded from: a restore under the stage's own name undoes relocation,
 * and directories get the modes that no restore applies.
 *
 * @param catalog recorded for the stage of `roots`, see `movedStage`
 */
export async function rebuildStage(catalog: Catalog, library: Library, roots: Roots): Promise<string> {
  const stage = stagePath(roots)
  await restoreIn(catalog, basename(stage), library)
  for (const entry of walkRestorable(catalog.tree)) {
    if (entry.kind === 'file' || entry.directory.symlink !== undefined) continue
    fs.chmodSync(join(stage, entry.path), unixMode(entry.directory.goMode))
  }
  const { meta, metaInfo, lock } = spacePaths(stage)
  for (const path of [meta, metaInfo, lock]) fs.rmSync(path)
  return stage
}

/** The same catalog for a stage elsewhere: its path, and the absolute links into the old one. */
export function movedStage(catalog: Catalog, stage: string): Catalog {
  const link = (symlink: string | undefined) => symlink?.replace(catalog.path, stage)
  const file = (entry: CatalogFile): CatalogFile => ({ ...entry, symlink: link(entry.symlink) })
  const directory = (entry: CatalogDirectory): CatalogDirectory => ({
    ...entry,
    symlink: link(entry.symlink),
    subdirs: new Map([...entry.subdirs].map(([name, below]) => [name, directory(below)])),
    files: new Map([...entry.files].map(([name, below]) => [name, file(below)])),
  })
  return { ...catalog, path: stage, tree: directory(catalog.tree) }
}
