/**
 * Proof that the other side of a connection knows the fleet's secret, without telling it.
 *
 * A proof is bound to the Noise handshake hash (this connection only), to the prover's public key, and to the side
 * that it stands on: it can be neither replayed on another connection, nor relayed through a third machine, nor
 * reflected to its maker.
 */
import b4a from 'b4a'
import { equalSecretly, keyedHash } from './hash.ts'

/** What a proof is bound to; both sides know all of it. */
export interface ProofFacts {
  /** 64 bytes, of the connection's Noise handshake. */
  readonly handshakeHash: Uint8Array
  /** The prover's public key, 32 bytes, as proved by that handshake. */
  readonly publicKey: Uint8Array
  /** Whether the prover opened the connection. */
  readonly initiator: boolean
}

/** @returns 32 bytes, to be sent over the connection that `facts` tell of */
export function proveMembership(secret: Uint8Array, facts: ProofFacts): Uint8Array {
  const side = b4a.from([facts.initiator ? 1 : 0])
  return keyedHash('membership', secret, [facts.handshakeHash, facts.publicKey, side])
}

/** @param facts of the remote: its public key, its side */
export function verifyMembership(secret: Uint8Array, proof: Uint8Array, facts: ProofFacts): boolean {
  return equalSecretly(proveMembership(secret, facts), proof)
}

/** 32 bytes that show, also after its owner has left, that the owner of `publicKey` was a member. */
export function memberTag(secret: Uint8Array, publicKey: Uint8Array): Uint8Array {
  return keyedHash('member-tag', secret, [publicKey])
}

export function verifyMemberTag(secret: Uint8Array, tag: Uint8Array, publicKey: Uint8Array): boolean {
  return equalSecretly(memberTag(secret, publicKey), tag)
}
