/** What stands in a space before a restore, as far as the catalog that will be restored asks for it. Types only. */
import type { Digest } from '../blob/digest.ts'
import type { Catalog } from '../catalog/tree.ts'

export type PresentEntry =
  | { readonly kind: 'directory' }
  | { readonly kind: 'link'; readonly target: string }
  | { readonly kind: 'file'; readonly file: PresentFile }
  /** Something that the catalog does not have, or a device, pipe or socket: it goes away, so nobody looked closer. */
  | { readonly kind: 'other' }

export interface PresentFile {
  readonly sizeBytes: number
  /** The twelve bits of chmod(2). */
  readonly mode: number
  readonly mtimeMs: number
  /** Hard links to its inode: more than one where a strategy linked it to its blob. */
  readonly links: number
  /**
   * Of the blob that was placed here, before relocation. Undefined where neither a trusted `.meta` nor the content
   * itself vouches for it.
   */
  readonly digest: Digest | undefined
}

/** A real directory that the catalog has too, and that its owner can use. */
export interface PresentDirectory {
  readonly mtimeMs: number
  readonly entries: ReadonlyMap<string, PresentEntry>
  /** It has names that are not UTF-8, which no catalog has and `entries` cannot show. */
  readonly hasUndecodable: boolean
}

export interface SpaceState {
  readonly root: 'directory' | 'absent' | 'obstacle'
  /** By path relative to the space, '' for the root. */
  readonly directories: ReadonlyMap<string, PresentDirectory>
  /** `.meta`, where it can be decoded; its digests were used only where it could be trusted. */
  readonly meta: Catalog | undefined
  /** Text of `.meta.info`. */
  readonly metaInfo: string | undefined
  /** A restore of ours was killed or failed here: the space is between two environments. */
  readonly interrupted: boolean
}
