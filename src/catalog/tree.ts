/**
 * One environment as rcc records it: a tree of directories, files and links (formats.md §5). Types only.
 *
 * A value of these types came through `decodeCatalog`, so its names, depth, sizes and counts are within the limits.
 */
import type { Digest } from '../blob/digest.ts'

declare const catalogNameBrand: unique symbol

/** `<blueprint16>v12.<platform>`; comes only from `catalogName` and `parseCatalogName`. */
export type CatalogName = string & { readonly [catalogNameBrand]: true }

export interface CatalogFile {
  readonly name: string
  /** Target text where the file is a link; digest and size are then those of the link's target. */
  readonly symlink: string | undefined
  readonly sizeBytes: number
  /** Go FileMode, as recorded: permissions in the low 9 bits, setuid 2^23, setgid 2^22, sticky 2^20. */
  readonly goMode: number
  readonly digest: Digest
  /** Byte offsets of the 24-byte stage identity; a set, though rcc may list one twice. */
  readonly rewrite: readonly number[]
}

export interface CatalogDirectory {
  /** Base name; '' for the root. */
  readonly name: string
  /** Target text where the directory is a link; what stands below it is then a shadow and is not restored. */
  readonly symlink: string | undefined
  /** Go FileMode with the directory bit 2^31. rcc never applies it: new directories are 0750. */
  readonly goMode: number
  /** True for a directory that was recorded below a link. */
  readonly shadow: boolean
  /** By name, in bytewise order. */
  readonly subdirs: ReadonlyMap<string, CatalogDirectory>
  /** By name, in bytewise order. */
  readonly files: ReadonlyMap<string, CatalogFile>
}

/** The seven fields of `.info` and `.meta.info`. */
export interface CatalogInfo {
  /** Version text of the rcc (or holo-peer) that recorded it. */
  readonly rcc: string
  /** Base name of `path`: the 24 characters that relocation replaces. */
  readonly identity: string
  /** Absolute path that was recorded; its directory is the base that every restore goes to. */
  readonly path: string
  /** '' in a catalog, filled in a space's `.meta`. */
  readonly controller: string
  /** '' in a catalog, filled in a space's `.meta`. */
  readonly space: string
  /** `linux_amd64` … */
  readonly platform: string
  /** 16 hex digits. */
  readonly blueprint: string
}

export interface Catalog extends CatalogInfo {
  readonly lifted: boolean
  readonly tree: CatalogDirectory
}
