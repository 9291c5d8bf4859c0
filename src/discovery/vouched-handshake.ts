/**
 * HyperDHT's Noise handshake, whose first message also carries the word of a machine for the key of one of its processes.
 *
 * The first message is encrypted for the called machine and proves the caller's key, so the firewall of the called knows,
 * before it answers and keeps anything, which machine calls. The word stands behind HyperDHT's own payload, where an
 * unchanged HyperDHT does not look: either end may lack this. Whether the word is true is not looked at here.
 */
import type { Payload } from 'hyperdht/lib/messages.js'
import { noisePayload } from 'hyperdht/lib/messages.js'
import NoiseWrap from 'hyperdht/lib/noise-wrap.js'
import { DELEGATION_BYTES, type Delegation, decodeDelegation, encodeDelegation } from '../trust/keys.ts'

const MAGIC = Buffer.from('HPD1')

/** What the called machine reads: HyperDHT's payload, and the word for the caller's key if there is one. */
export interface VouchedPayload extends Payload {
  readonly delegation?: Delegation
}

export class VouchedHandshake extends NoiseWrap {
  readonly #delegation: Delegation | undefined

  /**
   * @param remotePublicKey null on the side that is called
   * @param delegation for `keyPair`; the called side sends none
   */
  constructor(
    keyPair: { publicKey: Uint8Array; secretKey: Uint8Array },
    remotePublicKey: Uint8Array | null,
    delegation: Delegation | undefined,
  ) {
    super(keyPair, remotePublicKey)
    this.#delegation = delegation
  }

  override send(payload: Payload): Uint8Array {
    return this.handshake.send(encodeVouched(payload, this.#delegation))
  }

  override recv(message: Uint8Array): VouchedPayload {
    const payload = decodeVouched(this.handshake.recv(message))
    this.remotePublicKey = Buffer.from(this.handshake.rs)
    return payload
  }
}

export function encodeVouched(payload: Payload, delegation: Delegation | undefined): Uint8Array {
  const state = { start: 0, end: 0, buffer: Buffer.alloc(0) }
  noisePayload.preencode(state, payload)
  state.buffer = Buffer.alloc(state.end)
  noisePayload.encode(state, payload)
  const own = state.buffer.subarray(0, state.start)
  return delegation === undefined ? own : Buffer.concat([own, MAGIC, encodeDelegation(delegation)])
}

/** @throws {Error} as HyperDHT's own decoder, whose callers take that for a message of nobody */
export function decodeVouched(bytes: Uint8Array): VouchedPayload {
  const buffer = Buffer.from(bytes)
  const state = { start: 0, end: buffer.byteLength, buffer }
  const payload = noisePayload.decode(state)
  const rest = buffer.subarray(state.start)
  const isOurs = rest.byteLength === MAGIC.byteLength + DELEGATION_BYTES && MAGIC.equals(rest.subarray(0, 4))
  return isOurs ? { ...payload, delegation: decodeDelegation(rest.subarray(4)) } : payload
}
