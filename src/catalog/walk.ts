/**
 * Going over a catalog's tree: in bytewise order of whole paths, with or without what a restore passes over.
 *
 * Pure. "Restorable" is what rcc writes (formats.md §9): no shadows, and nothing below a link to a directory.
 */
import type { Digest } from '../blob/digest.ts'
import type { BlobRef } from '../blob/source.ts'
import { compareBytewise } from './bytewise.ts'
import type { Catalog, CatalogDirectory, CatalogFile } from './tree.ts'

/** Something in a tree; `path` is relative to the space, with `/`, and '' for the root. */
export type CatalogEntry =
  | { readonly kind: 'directory'; readonly path: string; readonly directory: CatalogDirectory }
  | { readonly kind: 'file'; readonly path: string; readonly file: CatalogFile }

/**
 * Every file of a tree, links and shadows included, in bytewise order of their whole paths: `a.txt` before `a/b`.
 *
 * The order of this walk is part of the protocol: pieces follow it. Not a generator, since the first piece waits for it.
 *
 * @param prefix of the paths: '' or ends in `/`
 */
export function eachFile(
  directory: CatalogDirectory,
  visit: (file: CatalogFile, prefix: string) => void,
  prefix = '',
): void {
  for (const entry of inPathOrder(directory)) {
    if ('digest' in entry) visit(entry, prefix)
    else eachFile(entry, visit, `${prefix}${entry.name}/`)
  }
}

/** Files and directories of one directory, each directory placed where its first descendant comes: as if it ended in a slash. */
function inPathOrder({ files, subdirs }: CatalogDirectory): (CatalogFile | CatalogDirectory)[] {
  if (subdirs.size === 0) return [...files.values()]
  const ordered: (CatalogFile | CatalogDirectory)[] = []
  // Both lists are in the order of their bare names, so only directories have to be sorted, and then merged.
  const directories = [...subdirs.values()].map((subdir) => ({ subdir, sortName: `${subdir.name}/` }))
  directories.sort((left, right) => compareBytewise(left.sortName, right.sortName))
  let next = 0
  for (const file of files.values()) {
    for (let first = directories[next]; first !== undefined; first = directories[++next]) {
      if (compareBytewise(first.sortName, file.name) > 0) break
      ordered.push(first.subdir)
    }
    ordered.push(file)
  }
  for (const { subdir } of directories.slice(next)) ordered.push(subdir)
  return ordered
}

/**
 * What a restore puts in place, parents before children, the root first: directories, links to directories (whose
 * inside is left out), links to files, files.
 */
export function* walkRestorable(tree: CatalogDirectory): Generator<CatalogEntry> {
  const pending: CatalogEntry[] = [{ kind: 'directory', path: '', directory: tree }]
  for (let entry = pending.pop(); entry !== undefined; entry = pending.pop()) {
    yield entry
    if (entry.kind === 'file' || entry.directory.symlink !== undefined) continue
    const prefix = entry.path === '' ? '' : `${entry.path}/`
    for (const [name, directory] of entry.directory.subdirs) {
      if (!directory.shadow) pending.push({ kind: 'directory', path: prefix + name, directory })
    }
    for (const [name, file] of entry.directory.files) pending.push({ kind: 'file', path: prefix + name, file })
  }
}

/** Each fetch asks for it five times; a catalog never changes. */
const distinct = new WeakMap<object, readonly BlobRef[]>()

/**
 * Every blob that the catalog names, once, in the order in which `eachFile` first comes to it: what rcc demands before
 * it takes a blueprint for present, links and shadows included.
 */
export function distinctBlobs({ tree }: Pick<Catalog, 'tree'>): readonly BlobRef[] {
  const known = distinct.get(tree)
  if (known !== undefined) return known
  const seen = new Map<Digest, BlobRef>()
  eachFile(tree, ({ digest, sizeBytes }) => {
    if (!seen.has(digest)) seen.set(digest, { digest, sizeBytes })
  })
  const blobs = [...seen.values()]
  distinct.set(tree, blobs)
  return blobs
}

export interface CatalogStatistics {
  /** Entries that a restore makes; the root counts, as do links (to directories: once). */
  readonly directories: number
  readonly files: number
  readonly links: number
  /** Bytes of the regular files among them. */
  readonly bytes: number
  /** Files among them that are relocated. */
  readonly relocatedFiles: number
}

/** Counts of what a restore makes; unlike rcc's `ht catalogs`, shadows do not count. */
export function catalogStatistics({ tree }: Pick<Catalog, 'tree'>): CatalogStatistics {
  const counts = { directories: 0, files: 0, links: 0, bytes: 0, relocatedFiles: 0 }
  for (const entry of walkRestorable(tree)) {
    const { symlink } = entry.kind === 'file' ? entry.file : entry.directory
    if (symlink !== undefined) counts.links++
    else if (entry.kind === 'directory') counts.directories++
    else {
      counts.files++
      counts.bytes += entry.file.sizeBytes
      if (entry.file.rewrite.length > 0) counts.relocatedFiles++
    }
  }
  return counts
}
