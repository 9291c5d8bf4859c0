/**
 * The two datagrams that come before a direct link: the knock of the caller, and the answer of the called.
 *
 * Pure. They travel on a UDP socket beside UDX, whose packets begin with 0xff; these begin with `HP`, version 1, type.
 */
import { FLEETS_MAX } from '../base/limits.ts'
import { DELEGATION_BYTES } from '../trust/keys.ts'
import { KNOCK_ENTRY_BYTES } from '../trust/knock.ts'

export const KNOCK_NONCE_BYTES = 16
const MAGIC = [0x48, 0x50, 1] as const
const KNOCK = 1
const ANSWER = 2
/** A knock with the sealed word of a machine before its entries. */
const VOUCHED_KNOCK = 3
const HEAD_BYTES = MAGIC.length + 1 + KNOCK_NONCE_BYTES + 4

export interface Knock {
  readonly type: 'knock'
  readonly nonce: Uint8Array
  /** UDX stream of the caller. */
  readonly streamId: number
  /** As `sealKnock` makes them, 16 at most. */
  readonly entries: readonly Uint8Array[]
  /** As `sealDelegation` makes it, where the caller's key is not that of its machine. */
  readonly vouched?: Uint8Array
}

export interface Answer {
  readonly type: 'answer'
  /** That of the knock. */
  readonly nonce: Uint8Array
  /** UDX stream of the called. */
  readonly streamId: number
}

export function encodeKnock(message: Knock | Answer): Uint8Array {
  const { entries = [], vouched = new Uint8Array(0) } = message.type === 'knock' ? message : {}
  const from = HEAD_BYTES + vouched.byteLength
  const bytes = new Uint8Array(from + entries.length * KNOCK_ENTRY_BYTES)
  const type = message.type === 'answer' ? ANSWER : vouched.byteLength > 0 ? VOUCHED_KNOCK : KNOCK
  bytes.set([...MAGIC, type])
  bytes.set(message.nonce, MAGIC.length + 1)
  new DataView(bytes.buffer).setUint32(HEAD_BYTES - 4, message.streamId, true)
  bytes.set(vouched, HEAD_BYTES)
  for (const [index, entry] of entries.entries()) bytes.set(entry, from + index * KNOCK_ENTRY_BYTES)
  return bytes
}

/** @returns undefined where `bytes` are none of ours */
export function decodeKnock(bytes: Uint8Array): Knock | Answer | undefined {
  if (bytes.byteLength < HEAD_BYTES || MAGIC.some((byte, index) => bytes[index] !== byte)) return undefined
  const nonce = bytes.slice(MAGIC.length + 1, MAGIC.length + 1 + KNOCK_NONCE_BYTES)
  const streamId = new DataView(bytes.buffer, bytes.byteOffset).getUint32(HEAD_BYTES - 4, true)
  const type = bytes[MAGIC.length]
  if (type === ANSWER) return bytes.byteLength === HEAD_BYTES ? { type: 'answer', nonce, streamId } : undefined
  if (type !== KNOCK && type !== VOUCHED_KNOCK) return undefined
  const first = HEAD_BYTES + (type === VOUCHED_KNOCK ? DELEGATION_BYTES : 0)
  const count = (bytes.byteLength - first) / KNOCK_ENTRY_BYTES
  if (!Number.isInteger(count) || count < 1 || count > FLEETS_MAX) return undefined
  const entries = Array.from({ length: count }, (_, index) => {
    const from = first + index * KNOCK_ENTRY_BYTES
    return bytes.slice(from, from + KNOCK_ENTRY_BYTES)
  })
  return {
    type: 'knock',
    nonce,
    streamId,
    entries,
    ...(first > HEAD_BYTES ? { vouched: bytes.slice(HEAD_BYTES, first) } : {}),
  }
}
