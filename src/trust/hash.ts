/**
 * Keyed hashes and signed texts of holo-peer, each in a name space of its own.
 *
 * A keyed hash is BLAKE2b-256 over (name space, 32-byte secret, parts with their lengths). BLAKE2 has no length
 * extension, and prefix and secret have a fixed length, so this is a sound MAC; libsodium's own keyed mode is not
 * reachable through hypercore-crypto.
 */
import { timingSafeEqual } from 'node:crypto'
import b4a from 'b4a'
import crypto from 'hypercore-crypto'

const PURPOSES = [
  'topic',
  'membership',
  'member-tag',
  'delegation',
  'fingerprint',
  'invite',
  'beacon',
  'rotation',
  'knock',
  'lane',
  'signature',
] as const
/** What a hash or signature is for; one made for one purpose never passes for another. */
export type Purpose = (typeof PURPOSES)[number]

const prefixes = crypto.namespace('holo-peer/1', PURPOSES.length)

/** The 32 bytes that stand in front of whatever is hashed or signed for `purpose`. */
export function prefixOf(purpose: Purpose): Uint8Array {
  return prefixes[PURPOSES.indexOf(purpose)] as Uint8Array
}

/** 32 bytes that only a holder of `secret` (32 bytes) can compute. */
export function keyedHash(purpose: Purpose, secret: Uint8Array, parts: readonly Uint8Array[]): Uint8Array {
  if (secret.byteLength !== 32) throw new TypeError('A secret has 32 bytes')
  return crypto.hash([prefixOf(purpose), secret, ...parts.flatMap((part) => [lengthOf(part), part])])
}

/** 32 bytes that anybody can compute. */
export function plainHash(purpose: Purpose, parts: readonly Uint8Array[]): Uint8Array {
  return crypto.hash([prefixOf(purpose), ...parts.flatMap((part) => [lengthOf(part), part])])
}

/** Compare in a time that does not depend on where the two differ. */
export function equalSecretly(left: Uint8Array, right: Uint8Array): boolean {
  return left.byteLength === right.byteLength && timingSafeEqual(left, right)
}

function lengthOf(part: Uint8Array): Uint8Array {
  const length = b4a.alloc(4)
  new DataView(length.buffer, length.byteOffset, 4).setUint32(0, part.byteLength, true)
  return length
}
