/**
 * The tree that a restore of a catalog has to leave, worked out from catalog and blobs alone: what every kind of run is
 * checked against, once.
 */

import * as fs from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { sha256Of } from '../../src/blob/digest.ts'
import { beginsLikeGzip } from '../../src/blob/gzip.ts'
import { blobPath, type Roots } from '../../src/catalog/layout.ts'
import type { Catalog, CatalogFile } from '../../src/catalog/tree.ts'
import { walkRestorable } from '../../src/catalog/walk.ts'
import { RESTORED_TIME_S, unixMode } from '../../src/restore/file-mode.ts'
import { differences, type ListedEntry } from '../../test/support/golden.ts'

/** Neither rcc's nor ours matters here: a directory that files were put into has the time of the restore. */
const TOUCHED = 0

export function expectedListing({ tree }: Catalog, roots: Roots, spaceName: string): ListedEntry[] {
  const listing: ListedEntry[] = []
  for (const entry of walkRestorable(tree)) {
    const { path } = entry
    const target = entry.kind === 'file' ? entry.file.symlink : entry.directory.symlink
    if (path === '') continue
    if (target !== undefined) listing.push({ path, type: 'symlink', target })
    else if (entry.kind === 'file') listing.push({ path, ...fileEntry(entry.file, roots, spaceName) })
    else {
      const { files, subdirs } = entry.directory
      const links = [...subdirs.values()].filter(({ shadow, symlink }) => !shadow && symlink !== undefined)
      const mtime = files.size + links.length === 0 ? RESTORED_TIME_S : TOUCHED
      listing.push({ path, type: 'dir', mode: '0750', mtime })
    }
  }
  return listing
}

function fileEntry(file: CatalogFile, roots: Roots, spaceName: string): Omit<ListedEntry, 'path'> {
  const stored = fs.readFileSync(blobPath(roots, file.digest))
  // What begins like gzip is gzip in either form of library.
  const content = beginsLikeGzip(stored) ? gunzipSync(stored) : stored
  for (const offset of file.rewrite) content.write(spaceName, offset)
  const mode = unixMode(file.goMode).toString(8).padStart(4, '0')
  return { type: 'file', mode, mtime: RESTORED_TIME_S, size: content.byteLength, sha256: sha256Of(content) }
}

/** @throws {Error} the tree at `root` is not what `listing` says; the message has the first differences */
export function checkTree(root: string, listing: readonly ListedEntry[], who: string): void {
  const found = differences(root, listing, { directoryTimes: 'settled' })
  if (found.length === 0) return
  throw new Error(`${who} made ${found.length} entries otherwise:\n${found.slice(0, 5).join('\n')}`)
}
