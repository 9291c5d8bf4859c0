/**
 * The hash function behind a digest: the two kinds differ in length, so the wanted digest says which one to compute.
 */
import { type Digest, type Hasher, isSha256, sha256Hasher, sha256Of } from '../blob/digest.ts'
import { sip128Hasher } from './siphash.ts'

/** A fresh hasher of the kind of `digest` (formats.md §2). */
export function hasherFor(digest: Digest): Hasher {
  return isSha256(digest) ? sha256Hasher() : sip128Hasher()
}

/** Digest of `bytes`, of the kind of `wanted`. */
export function digestLike(wanted: Digest, bytes: Uint8Array): Digest {
  if (isSha256(wanted)) return sha256Of(bytes)
  const hasher = sip128Hasher()
  hasher.update(bytes)
  return hasher.digest()
}
