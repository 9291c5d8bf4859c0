/**
 * The static tree of a substituter, which any web server, bucket or stick can hold (docs/substituters.md): names only.
 *
 * Names are made of branded parts, so none leaves its root. What is not in the tree is not there: nothing is listed.
 */
import type { Digest } from '../blob/digest.ts'
import type { CatalogName } from './tree.ts'

/** A name in the tree, relative to its root, with `/`. */
export type TreeName = string

export const CACHE_INFO_NAME: TreeName = 'holo-cache-info'
/** The version of the tree that is written and read. */
export const TREE_VERSION = 1

/** The gzip'd JSON of a catalog, as it lies in a library. */
export function treeCatalogName(name: CatalogName): TreeName {
  return `catalog/${name}`
}

/** Its signatures. */
export function treeSignaturesName(name: CatalogName): TreeName {
  return `catalog/${name}.sig`
}

/** All pieces of a catalog, behind their index (`pack-index`). */
export function treePackName(name: CatalogName): TreeName {
  return `pack/${name}`
}

/** The content of a blob. */
export function treeBlobName(digest: Digest): TreeName {
  return `blob/${digest.slice(0, 2)}/${digest.slice(2, 4)}/${digest}`
}

/** `holo-cache-info`: one `Name: value` a line. The priority is for clients that go by it, as Nix does; 50 is its default. */
export function encodeCacheInfo(): string {
  return `Version: ${TREE_VERSION}\nPriority: 50\n`
}

/** @returns the version that the text tells; undefined where it tells none. Lines of other names are passed over. */
export function cacheInfoVersion(text: string): number | undefined {
  const line = /^Version:[ \t]*(\d{1,6})[ \t]*\r?$/m.exec(text)
  return line === null ? undefined : Number(line[1])
}
