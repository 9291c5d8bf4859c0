/** Which digests are those of nothing: the empty blob need not lie in the library, and is never linked. */
import type { Digest } from '../blob/digest.ts'
import type { BlobRef } from '../blob/source.ts'
import { digestLike } from '../catalog/hasher.ts'

/** The empty blob occurs hundreds of times in an environment, and need not lie in the library. */
export class EmptyDigests {
  readonly #known = new Map<number, Digest>()

  isOf({ sizeBytes, digest }: BlobRef): boolean {
    if (sizeBytes !== 0) return false
    const known = this.#known.get(digest.length) ?? digestLike(digest, new Uint8Array(0))
    this.#known.set(digest.length, known)
    return known === digest
  }
}
