/**
 * The door to what is known of blobs that were verified before: which file held the right bytes, and in which form.
 *
 * A note is a hint, never a proof of its own: who uses it compares the stamp of the file that he has open with the one
 * noted, and hashes the file where they differ. Losing every note costs time only.
 */
import type { FileStamp } from '../base/file-stamp.ts'
import type { Digest } from './digest.ts'

export type BlobForm = 'identity' | 'gzip'

export interface BlobNotes {
  /**
   * Write the stamp noted for `digest` to `target`, from word `at` on.
   *
   * @returns the form of the file then, or undefined where nothing is noted
   */
  find(digest: Digest, target: FileStamp, at: number): BlobForm | undefined
  /** Note that the file with this stamp (words `at` and following) held the blob. Kept in memory until `flush`. */
  add(digest: Digest, form: BlobForm, stamp: FileStamp, at: number): void
  /** Keep what was added, for later processes too. Never fails: notes that cannot be kept are missed later. */
  flush(): void
}
