/**
 * The name of a blob: the digest of its decoded content.
 *
 * Two kinds exist (formats.md §2): SHA-256 (64 hex digits) in a normal library, and keyed SipHash-128 (32 hex digits)
 * in a `compress.no` library. Only SHA-256 is collision-resistant, so only it is accepted from the network.
 */

declare const digestBrand: unique symbol
declare const sha256Brand: unique symbol

/** 64 or 32 lower-case hex digits. */
export type Digest = string & { readonly [digestBrand]: true }
/** 64 lower-case hex digits: the only kind that travels. */
export type Sha256Digest = Digest & { readonly [sha256Brand]: true }

const SHA256 = /^[0-9a-f]{64}$/
const SIP128 = /^[0-9a-f]{32}$/

/** @returns the digest, or undefined where `text` is neither of the two kinds in lower-case hex */
export function parseDigest(text: string): Digest | undefined {
  return SHA256.test(text) || SIP128.test(text) ? (text as Digest) : undefined
}

/** @returns the digest, or undefined where `text` is not 64 lower-case hex digits */
export function parseSha256(text: string): Sha256Digest | undefined {
  return SHA256.test(text) ? (text as Sha256Digest) : undefined
}

export function isSha256(digest: Digest): digest is Sha256Digest {
  return digest.length === 64
}

/** SHA-256 of `bytes`. */
export function sha256Of(bytes: Uint8Array): Sha256Digest {
  return Bun.CryptoHasher.hash('sha256', bytes, 'hex') as Sha256Digest
}

/** Incremental hashing of one blob, whatever the kind of its digest. */
export interface Hasher {
  update(bytes: Uint8Array): void
  /** Ends the hasher; not to be called twice. */
  digest(): Digest
}

export function sha256Hasher(): Hasher {
  const hasher = new Bun.CryptoHasher('sha256')
  return {
    update: (bytes) => void hasher.update(bytes),
    digest: () => hasher.digest('hex') as Digest,
  }
}
