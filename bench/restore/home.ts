/**
 * A ROBOCORP_HOME on the file system under test: one environment, recorded for the holotree of this home, its blobs in
 * one form.
 */
import * as fs from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { Digest } from '../../src/blob/digest.ts'
import { beginsLikeGzip } from '../../src/blob/gzip.ts'
import { encodeStoredCatalog } from '../../src/catalog/encode-catalog.ts'
import { blobPath, catalogPath, libraryDirectory, type Roots } from '../../src/catalog/layout.ts'
import { catalogName, spaceName } from '../../src/catalog/names.ts'
import type { Catalog } from '../../src/catalog/tree.ts'
import { RESTORED_TIME_S } from '../../src/restore/file-mode.ts'
import { Library } from '../../src/store/library.ts'
import { rebased, rootsIn } from '../../test/support/golden.ts'
import { restoreBlobs } from '../../test/support/restore-blobs.ts'
import type { Environment } from './environment.ts'
import { must } from './process.ts'

/** How blobs lie in a library: as rcc records them, or as `holo-peer optimize` leaves them. */
export type Form = 'gzip' | 'raw'

export class Home {
  readonly roots: Roots
  readonly library: Library

  constructor(
    readonly path: string,
    readonly robotFile: string,
    /** Recorded for this home. */
    readonly catalog: Catalog,
  ) {
    this.roots = rootsIn(path)
    this.library = new Library(this.roots)
  }

  /** Directory name of a space of rcc's default controller. */
  spaceName(space: string): string {
    return spaceName({ userIdentity: this.roots.userIdentity, controller: 'rcc.user', space })
  }

  /** A second library with the same blobs: what one contender does to its blobs, the other shall not feel. */
  copiedLibrary(path: string): Library {
    const roots = rootsIn(path)
    copyTree(libraryDirectory(this.roots), libraryDirectory(roots))
    return new Library(roots)
  }
}

/** Make a home for `environment` at `path`. */
export function installed(environment: Environment, form: Form, path: string): Home {
  const roots = rootsIn(path)
  const source = environment.library.roots
  if (form === 'gzip') copyTree(libraryDirectory(source), libraryDirectory(roots))
  else
    for (const { digest, sizeBytes } of restoreBlobs(environment.catalog)) {
      const blob = environment.library.find(digest)
      if (blob === undefined) throw new Error(`${source.hololib} lacks blob ${digest}`)
      const content = blob.whole(sizeBytes)
      const target = blobPath(roots, digest)
      fs.mkdirSync(dirname(target), { recursive: true })
      if (beginsLikeGzip(content)) fs.copyFileSync(blob.path, target)
      else fs.writeFileSync(target, content)
    }
  return withCatalog(roots, environment.catalog, path, environment.robotFile)
}

/** Let a library have the catalog, recorded for the holotree of the home. */
export function withCatalog(roots: Roots, recorded: Catalog, path: string, robotFile: string): Home {
  const catalog = rebased(recorded, roots.holotree)
  const stored = catalogPath(roots, catalogName(catalog.blueprint, catalog.platform))
  fs.mkdirSync(dirname(stored), { recursive: true })
  fs.writeFileSync(stored, encodeStoredCatalog(catalog))
  return new Home(path, robotFile, catalog)
}

/**
 * Give blobs the mode and time that they have in a library which spaces were linked from.
 *
 * @param modes from `linkedModes`
 */
export function dressBlobs({ roots }: Library, modes: ReadonlyMap<Digest, number>): void {
  for (const [digest, mode] of modes) {
    fs.chmodSync(blobPath(roots, digest), mode)
    fs.utimesSync(blobPath(roots, digest), RESTORED_TIME_S, RESTORED_TIME_S)
  }
}

function copyTree(source: string, target: string): void {
  fs.mkdirSync(dirname(target), { recursive: true })
  must(['cp', '-a', '--reflink=auto', source, join(dirname(target), basename(source))])
}
