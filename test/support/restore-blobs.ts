/** Which blobs a restore reads: what the product finds out by planning, for tests that have no space. */
import type { Digest } from '../../src/blob/digest.ts'
import type { BlobRef } from '../../src/blob/source.ts'
import type { Catalog } from '../../src/catalog/tree.ts'
import { distinctBlobs, walkRestorable } from '../../src/catalog/walk.ts'

/** Once each, in the order of `distinctBlobs`: those of regular files outside of shadows and linked directories. */
export function restoreBlobs({ tree }: Pick<Catalog, 'tree'>): BlobRef[] {
  const needed = new Set<Digest>()
  for (const entry of walkRestorable(tree)) {
    if (entry.kind === 'file' && entry.file.symlink === undefined) needed.add(entry.file.digest)
  }
  return distinctBlobs({ tree }).filter(({ digest }) => needed.has(digest))
}
