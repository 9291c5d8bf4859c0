/**
 * What a walk found in a stage, and what its files contain, to the catalog that rcc would record (formats.md §5, §6).
 *
 * Pure. A stage is a tree with every link followed: below a link to a directory stands its target once more, as a
 * shadow. Contents are by real path, so that what several links lead to is read once.
 */
import type { Digest } from '../blob/digest.ts'
import { compareBytewise } from './bytewise.ts'
import type { Catalog, CatalogDirectory, CatalogFile, CatalogInfo } from './tree.ts'

export interface StageFile {
  readonly name: string
  /** Target text where it is a link; everything else is then said of what it leads to. */
  readonly symlink: string | undefined
  readonly goMode: number
  readonly sizeBytes: number
  /** Absolute, without links. */
  readonly realPath: string
}

export interface StageDirectory {
  /** '' for the root. */
  readonly name: string
  readonly symlink: string | undefined
  readonly goMode: number
  /** True for a directory that was reached through a link. */
  readonly shadow: boolean
  readonly subdirs: readonly StageDirectory[]
  readonly files: readonly StageFile[]
}

/** What was read of one file. */
export interface RecordedContent {
  readonly digest: Digest
  readonly sizeBytes: number
  /** Offsets of the stage's name, ascending. */
  readonly rewrite: readonly number[]
}

/** What the recorder knows beside the tree; controller and space stay empty in a catalog. */
export type RecordedInfo = Pick<CatalogInfo, 'rcc' | 'identity' | 'path' | 'platform' | 'blueprint'>

/**
 * @param contents by `StageFile.realPath`
 * @throws {RangeError} a file's content is missing: a bug of the caller
 */
export function recordedCatalog(
  info: RecordedInfo,
  stage: StageDirectory,
  contents: ReadonlyMap<string, RecordedContent>,
): Catalog {
  return { ...info, controller: '', space: '', lifted: true, tree: recordedDirectory(stage, contents) }
}

function recordedDirectory(
  { name, symlink, goMode, shadow, subdirs, files }: StageDirectory,
  contents: ReadonlyMap<string, RecordedContent>,
): CatalogDirectory {
  return {
    name,
    symlink,
    goMode,
    shadow,
    subdirs: byName(subdirs, (below) => recordedDirectory(below, contents)),
    files: byName(files, (file) => recordedFile(file, contents)),
  }
}

function recordedFile(
  { name, symlink, goMode, realPath }: StageFile,
  contents: ReadonlyMap<string, RecordedContent>,
): CatalogFile {
  const content = contents.get(realPath)
  if (content === undefined) throw new RangeError(`nothing was read of ${realPath}`)
  const { sizeBytes, digest, rewrite } = content
  return { name, symlink, sizeBytes, goMode, digest, rewrite }
}

function byName<From extends { readonly name: string }, To>(
  entries: readonly From[],
  turn: (entry: From) => To,
): Map<string, To> {
  const sorted = [...entries].sort((left, right) => compareBytewise(left.name, right.name))
  return new Map(sorted.map((entry) => [entry.name, turn(entry)]))
}
