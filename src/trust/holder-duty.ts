/**
 * What a machine that holds an environment owes to those who get it from there: a word that counts for every fleet.
 *
 * Pure. rcc's builds and imports cannot be told apart, so it says that it holds them, never that it made them. What a
 * revoked key has signed it does not give its word for: that would make it good again.
 */
import { type CatalogSignature, verifySignature } from './catalog-signature.ts'
import { keyHex } from './key-text.ts'
import { verifyMemberTag } from './membership.ts'

/**
 * - `nothing`: members of every fleet find a word that counts for them.
 * - `sign`: they do not; this machine is to sign as holder.
 * - `tag`: its own signature is there, and lacks the tag of a fleet.
 * - `disowned`: a revoked key has signed it, or this machine's own key is revoked.
 */
export type HolderDuty = 'nothing' | 'sign' | 'tag' | 'disowned'

export interface HolderFacts {
  /** Public key of this machine. */
  readonly ownKey: Uint8Array
  /** Of its fleets, old ones in their grace included. */
  readonly secrets: readonly Uint8Array[]
  isRevoked(publicKey: Uint8Array): boolean
}

/** @param signatures that fit the very catalog that is held */
export function holderDuty(
  signatures: readonly CatalogSignature[],
  { ownKey, secrets, isRevoked }: HolderFacts,
): HolderDuty {
  const valid = signatures.filter(verifySignature)
  if (isRevoked(ownKey) || valid.some(({ key }) => isRevoked(key.publicKey))) return 'disowned'
  const countsFor = (secret: Uint8Array) =>
    valid.some(({ memberTags, key }) => memberTags.some((tag) => verifyMemberTag(secret, tag, key.publicKey)))
  if (valid.length > 0 && secrets.every(countsFor)) return 'nothing'
  return valid.some(({ key }) => keyHex(key.publicKey) === keyHex(ownKey)) ? 'tag' : 'sign'
}
