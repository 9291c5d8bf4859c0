/**
 * The first words to a machine that is called directly, without a DHT between: only a member of a common fleet
 * understands who calls, and a stranger gets no answer.
 *
 * For each secret of the caller one entry: a tag over nonce, stream id and key, and the caller's public key under a mask
 * that the secret and the nonce give. The key is a claim until the handshake has proved it, but enough to refuse it. The
 * word of a machine for that key is masked by the key itself, which is fresh for a process and so known to members alone.
 */
import b4a from 'b4a'
import { equalSecretly, keyedHash } from './hash.ts'
import { DELEGATION_BYTES, type Delegation, decodeDelegation, encodeDelegation } from './keys.ts'

const TAG_BYTES = 8
const KEY_BYTES = 32
export const KNOCK_ENTRY_BYTES = TAG_BYTES + KEY_BYTES

/**
 * @param nonce 16 random bytes, for this call only
 * @param streamId 32 bits: where the answer is to go
 * @returns 40 bytes per secret
 */
export function sealKnock(
  secrets: readonly Uint8Array[],
  publicKey: Uint8Array,
  nonce: Uint8Array,
  streamId: number,
): readonly Uint8Array[] {
  return secrets.map((secret) =>
    b4a.concat([tagOf(secret, nonce, streamId, publicKey), masked(secret, nonce, publicKey)]),
  )
}

/** @returns the key that the caller claims, or undefined where no entry is of one of `secrets` */
export function openKnock(
  secrets: readonly Uint8Array[],
  entries: readonly Uint8Array[],
  nonce: Uint8Array,
  streamId: number,
): Uint8Array | undefined {
  for (const entry of entries) {
    if (entry.byteLength !== KNOCK_ENTRY_BYTES) continue
    for (const secret of secrets) {
      const publicKey = masked(secret, nonce, entry.subarray(TAG_BYTES))
      if (equalSecretly(tagOf(secret, nonce, streamId, publicKey), entry.subarray(0, TAG_BYTES))) return publicKey
    }
  }
  return undefined
}

/** @param publicKey the fresh one that `delegation` is for @returns `DELEGATION_BYTES`, for whoever can open the knock */
export function sealDelegation(delegation: Delegation, publicKey: Uint8Array, nonce: Uint8Array): Uint8Array {
  return maskedByKey(encodeDelegation(delegation), publicKey, nonce)
}

/** What was sealed, or rubbish where `publicKey` is another one: nothing is verified here. */
export function openDelegation(sealed: Uint8Array, publicKey: Uint8Array, nonce: Uint8Array): Delegation {
  return decodeDelegation(maskedByKey(sealed, publicKey, nonce))
}

function maskedByKey(bytes: Uint8Array, publicKey: Uint8Array, nonce: Uint8Array): Uint8Array {
  const blocks = [0, 1, 2].map((block) => keyedHash('knock', publicKey, [nonce, b4a.from([block])]))
  const mask = b4a.concat(blocks).subarray(0, DELEGATION_BYTES)
  return bytes.map((byte, index) => byte ^ (mask[index] ?? 0))
}

function tagOf(secret: Uint8Array, nonce: Uint8Array, streamId: number, publicKey: Uint8Array): Uint8Array {
  const id = new Uint8Array(4)
  new DataView(id.buffer).setUint32(0, streamId, true)
  return keyedHash('knock', secret, [nonce, id, publicKey]).subarray(0, TAG_BYTES)
}

/** Applied twice it gives back what it was given. */
function masked(secret: Uint8Array, nonce: Uint8Array, key: Uint8Array): Uint8Array {
  const mask = keyedHash('knock', secret, [nonce])
  return key.map((byte, index) => byte ^ (mask[index] ?? 0))
}
