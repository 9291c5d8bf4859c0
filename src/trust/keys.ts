/**
 * Who a machine is: one ed25519 key pair, made from a 32-byte seed.
 *
 * A second process of the same machine (a command beside the daemon) speaks with a session key that the machine key
 * has signed, because the same key twice in one swarm collides. Files are not read or written here.
 */
import b4a from 'b4a'
import crypto from 'hypercore-crypto'
import { plainHash, prefixOf } from './hash.ts'

export interface KeyPair {
  /** 32 bytes. */
  readonly publicKey: Uint8Array
  /** 64 bytes: the seed, then the public key. */
  readonly secretKey: Uint8Array
}

/** `length` bytes fit for a secret. */
export function randomSecret(length = 32): Uint8Array {
  return Uint8Array.from(crypto.randomBytes(length))
}

/** @param seed 32 bytes; the same seed gives the same pair */
export function keyPairFrom(seed: Uint8Array): KeyPair {
  if (seed.byteLength !== 32) throw new TypeError('A seed has 32 bytes')
  const { publicKey, secretKey } = crypto.keyPair(seed)
  return { publicKey, secretKey }
}

const KEY_LINE = /^holo-key1:([0-9a-f]{64}):([0-9a-f]{64})\n?$/

/** The text of a key file: one line with seed and public key, in hex. */
export function encodeKeyPair(keyPair: KeyPair): string {
  const seed = keyPair.secretKey.subarray(0, 32)
  return `holo-key1:${b4a.toString(seed, 'hex')}:${b4a.toString(keyPair.publicKey, 'hex')}\n`
}

/** @returns the pair, or undefined where `text` is damaged: the public key does not belong to the seed */
export function decodeKeyPair(text: string): KeyPair | undefined {
  const match = KEY_LINE.exec(text)
  if (match?.[1] === undefined || match[2] === undefined) return undefined
  const keyPair = keyPairFrom(b4a.from(match[1], 'hex'))
  return b4a.toString(keyPair.publicKey, 'hex') === match[2] ? keyPair : undefined
}

/** A machine's word for the key of one of its processes. */
export interface Delegation {
  /** Public key of the machine, 32 bytes. */
  readonly machineKey: Uint8Array
  /** The machine's signature over the session's public key, 64 bytes. */
  readonly signature: Uint8Array
}

/** Machine key and signature. */
export const DELEGATION_BYTES = 32 + 64

export function encodeDelegation({ machineKey, signature }: Delegation): Uint8Array {
  return b4a.concat([machineKey, signature])
}

/** @param bytes `DELEGATION_BYTES` of them; what they are worth tells `verifyDelegation` */
export function decodeDelegation(bytes: Uint8Array): Delegation {
  if (bytes.byteLength !== DELEGATION_BYTES) throw new TypeError('A delegation has 96 bytes')
  return { machineKey: Uint8Array.from(bytes.subarray(0, 32)), signature: Uint8Array.from(bytes.subarray(32)) }
}

export interface SessionKey {
  readonly keyPair: KeyPair
  readonly delegation: Delegation
}

/**
 * Make the key of one process, signed by its machine.
 *
 * @param seed 32 fresh random bytes
 */
export function deriveSessionKey(machine: KeyPair, seed: Uint8Array): SessionKey {
  const keyPair = keyPairFrom(seed)
  const signature = crypto.sign(delegationText(keyPair.publicKey), machine.secretKey)
  return { keyPair, delegation: { machineKey: machine.publicKey, signature } }
}

/** Whether `delegation` is its machine's word for `sessionKey` (32 bytes, which the connection must have proved). */
export function verifyDelegation({ machineKey, signature }: Delegation, sessionKey: Uint8Array): boolean {
  return crypto.verify(delegationText(sessionKey), signature, machineKey)
}

function delegationText(sessionKey: Uint8Array): Uint8Array {
  return b4a.concat([prefixOf('delegation'), sessionKey])
}

const LETTERS = 'ybndrfg8ejkmcpqxot1uwisza345h769'

/** `k5w3-8xqh-9m2p`: 60 bits of a key's hash, for people to compare; letters that are easily confused are left out. */
export function fingerprint(publicKey: Uint8Array): string {
  const hash = plainHash('fingerprint', [publicKey])
  let text = ''
  for (let index = 0; index < 12; index++) {
    if (index > 0 && index % 4 === 0) text += '-'
    text += LETTERS.charAt((hash[index] as number) & 31)
  }
  return text
}
