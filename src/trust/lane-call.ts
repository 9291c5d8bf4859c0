/**
 * A caller's word that it is the peer whom a ticket was given to, for one connection only.
 *
 * Signed by the key of the session's link. It names the key of the machine that is called, so that a ticket is of use
 * between these two only, and the binding of the connection, so that it can be neither repeated nor passed on.
 */
import b4a from 'b4a'
import crypto from 'hypercore-crypto'
import { prefixOf } from './hash.ts'
import type { KeyPair } from './keys.ts'

/** What a call is bound to; both sides know all of it. */
export interface LaneFacts {
  /** 32 bytes, of the session. */
  readonly ticket: Uint8Array
  /** 32 bytes, of the lane's connection. */
  readonly binding: Uint8Array
  /** Public key of the called machine's end of the session, 32 bytes. */
  readonly calledKey: Uint8Array
}

/** @param keyPair of the caller's end of the session @returns 64 bytes */
export function signLaneCall(facts: LaneFacts, { secretKey }: Pick<KeyPair, 'secretKey'>): Uint8Array {
  return crypto.sign(callText(facts), secretKey)
}

/** @param callerKey of the session that the ticket was given out on, 32 bytes */
export function verifyLaneCall(facts: LaneFacts, signature: Uint8Array, callerKey: Uint8Array): boolean {
  return crypto.verify(callText(facts), signature, callerKey)
}

function callText({ ticket, binding, calledKey }: LaneFacts): Uint8Array {
  return b4a.concat([prefixOf('lane'), binding, calledKey, ticket])
}
