/** Stages for tests of recording: the tree that rcc recorded a golden catalog from, put up again. */
import * as fs from 'node:fs'
import { basename, join } from 'node:path'
import { type Roots, spacePaths, stagePath } from '../../src/catalog/layout.ts'
import type { Catalog, CatalogDirectory, CatalogFile } from '../../src/catalog/tree.ts'
import { walkRestorable } from '../../src/catalog/walk.ts'
import { unixMode } from '../../src/restore/file-mode.ts'
import type { Library } from '../../src/store/library.ts'
import { restoreIn } from '../restore/restore-in.ts'
import { rootsIn } from './golden.ts'
import type { MadeTree } from './made-catalog.ts'

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

/** An empty stage of a private rcc below `home`, and a conda.yaml for it. */
export function emptyStage(home: string): { roots: Roots; stage: string; robotFile: string } {
  const roots = rootsIn(home)
  const stage = stagePath(roots)
  fs.mkdirSync(stage, { recursive: true, mode: 0o755 })
  const robotFile = join(home, 'conda.yaml')
  fs.writeFileSync(robotFile, 'dependencies: [python=3.11.7]\n')
  return { roots, stage, robotFile }
}

/** Make what `tree` says below `directory`. */
export function putTree(directory: string, tree: MadeTree): void {
  for (const [name, entry] of Object.entries(tree)) {
    const path = join(directory, name)
    if (entry.kind === 'link') fs.symlinkSync(entry.target, path)
    else if (entry.kind === 'file') {
      fs.writeFileSync(path, entry.text)
      fs.chmodSync(path, entry.mode)
    } else {
      fs.mkdirSync(path)
      putTree(path, entry.entries)
    }
  }
}
