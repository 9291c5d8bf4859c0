/**
 * The first frame of a caller, and what binds it to its connection.
 *
 * The binding is keying material that TLS 1.3 exports (RFC 8446, 7.5): equal at both ends of one connection, and unknown
 * to whoever stands in between. What the caller signs contains it.
 */
import type { Socket } from 'bun'
import type { LaneCall } from '../base/lane.ts'

const TICKET_BYTES = 32
const SIGNATURE_BYTES = 64
/** Ticket, then signature. */
export const OPENING_BYTES = TICKET_BYTES + SIGNATURE_BYTES
/** The answer of the machine that was called: an empty frame. */
export const WELCOME = new Uint8Array(0)
const BINDING_BYTES = 32
const BINDING_LABEL = 'EXPORTER-holo-peer-lane'

/** The first frame of the caller. */
export function encodeOpening({ ticket, signature }: Pick<LaneCall, 'ticket' | 'signature'>): Uint8Array {
  return Buffer.concat([ticket, signature], OPENING_BYTES)
}

/** @returns views of the frame; undefined where it has another length */
export function decodeOpening(frame: Uint8Array): Pick<LaneCall, 'ticket' | 'signature'> | undefined {
  if (frame.byteLength !== OPENING_BYTES) return undefined
  return { ticket: frame.subarray(0, TICKET_BYTES), signature: frame.subarray(TICKET_BYTES) }
}

/** @returns 32 bytes, or undefined where the handshake is not through, or was one of TLS before 1.3 */
export function bindingOf(socket: Socket<unknown>): Uint8Array | undefined {
  try {
    if (socket.getTLSVersion() !== 'TLSv1.3') return undefined
    return new Uint8Array(socket.exportKeyingMaterial(BINDING_BYTES, BINDING_LABEL, Buffer.alloc(0)))
  } catch {
    return undefined
  }
}
