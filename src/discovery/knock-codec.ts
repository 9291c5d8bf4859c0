/**
 * The two datagrams that come before a direct link: the knock of the caller, and the answer of the called.
 *
 * Pure. They travel on a UDP socket beside UDX, whose packets begin with 0xff; these begin with `HP`, version 1, type.
 */
import { FLEETS_MAX } from '../base/limits.ts'
import { KNOCK_ENTRY_BYTES } from '../trust/knock.ts'

export const KNOCK_NONCE_BYTES = 16
const MAGIC = [0x48, 0x50, 1] as const
const KNOCK = 1
const ANSWER = 2
const HEAD_BYTES = MAGIC.length + 1 + KNOCK_NONCE_BYTES + 4

export interface Knock {
  readonly type: 'knock'
  readonly nonce: Uint8Array
  /** UDX stream of the caller. */
  readonly streamId: number
  /** As `sealKnock` makes them, 16 at most. */
  readonly entries: readonly Uint8Array[]
}

export interface Answer {
  readonly type: 'answer'
  /** That of the knock. */
  readonly nonce: Uint8Array
  /** UDX stream of the called. */
  readonly streamId: number
}

export function encodeKnock(message: Knock | Answer): Uint8Array {
  const entries = message.type === 'knock' ? message.entries : []
  const bytes = new Uint8Array(HEAD_BYTES + entries.length * KNOCK_ENTRY_BYTES)
  bytes.set([...MAGIC, message.type === 'knock' ? KNOCK : ANSWER])
  bytes.set(message.nonce, MAGIC.length + 1)
  new DataView(bytes.buffer).setUint32(HEAD_BYTES - 4, message.streamId, true)
  for (const [index, entry] of entries.entries()) bytes.set(entry, HEAD_BYTES + index * KNOCK_ENTRY_BYTES)
  return bytes
}

/** @returns undefined where `bytes` are none of ours */
export function decodeKnock(bytes: Uint8Array): Knock | Answer | undefined {
  if (bytes.byteLength < HEAD_BYTES || MAGIC.some((byte, index) => bytes[index] !== byte)) return undefined
  const nonce = bytes.slice(MAGIC.length + 1, MAGIC.length + 1 + KNOCK_NONCE_BYTES)
  const streamId = new DataView(bytes.buffer, bytes.byteOffset).getUint32(HEAD_BYTES - 4, true)
  const rest = bytes.byteLength - HEAD_BYTES
  const type = bytes[MAGIC.length]
  if (type === ANSWER) return rest === 0 ? { type: 'answer', nonce, streamId } : undefined
  if (type !== KNOCK || rest === 0 || rest % KNOCK_ENTRY_BYTES !== 0) return undefined
  const count = rest / KNOCK_ENTRY_BYTES
  if (count > FLEETS_MAX) return undefined
  const entries = Array.from({ length: count }, (_, index) => {
    const from = HEAD_BYTES + index * KNOCK_ENTRY_BYTES
    return bytes.slice(from, from + KNOCK_ENTRY_BYTES)
  })
  return { type: 'knock', nonce, streamId, entries }
}
