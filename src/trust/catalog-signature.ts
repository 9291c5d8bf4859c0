/**
 * A machine's or publisher's word for a catalog: what is signed, in one canonical form, and by whom (docs/protocol.md §8).
 *
 * A catalog's name proves nothing of its content, so this is what trust rests on. The text that is signed begins with a
 * prefix of its own (hash.ts): no signature made for anything else passes here. Whether a key is trusted is not decided
 * here, nor whether the catalog at hand is the one that was signed: `judge.ts` does both.
 */
import b4a from 'b4a'
import c from 'compact-encoding'
import crypto from 'hypercore-crypto'
import type { Sha256Digest } from '../blob/digest.ts'
import { catalogNameParts } from '../catalog/names.ts'
import type { CatalogName } from '../catalog/tree.ts'
import { prefixOf } from './hash.ts'
import type { NamedKey } from './key-text.ts'
import type { KeyPair } from './keys.ts'
import { memberTag } from './membership.ts'

/** `builder`: made from the robot's environment file by the signer. `holder`: found in the signer's library. */
export const SIGNER_ROLES = ['builder', 'holder'] as const
export type SignerRole = (typeof SIGNER_ROLES)[number]

/** What a signature says. */
export interface CatalogStatement {
  /** Its platform is signed beside it. */
  readonly catalog: CatalogName
  /** Absolute directory that the catalog was recorded for; a restore goes there. */
  readonly base: string
  /** Of the decoded JSON. */
  readonly sha256: Sha256Digest
  /** SHA-256 of the piece table: of every piece's own SHA-256, back to back. */
  readonly pieceTable: Sha256Digest
  /** Grows with every statement of one key on one catalog name: an older one never takes the place of a newer one. */
  readonly serial: number
  /** Wall clock of the signer, milliseconds since 1970: for people. */
  readonly timeMs: number
  readonly role: SignerRole
}

export interface CatalogSignature {
  readonly statement: CatalogStatement
  /** Its name is signed too, so that nobody can pass a signature on under another one. */
  readonly key: NamedKey
  /** 64 bytes, ed25519. */
  readonly signature: Uint8Array
  /** 32 bytes for each fleet that the signer was a member of; not signed, since only a member can make them. */
  readonly memberTags: readonly Uint8Array[]
}

/** @param secrets of the fleets that the signer is a member of */
export function signCatalog(
  statement: CatalogStatement,
  name: string,
  { publicKey, secretKey }: KeyPair,
  secrets: readonly Uint8Array[],
): CatalogSignature {
  const signature = Uint8Array.from(crypto.sign(signedText(statement, name), secretKey))
  const key = { name, publicKey: Uint8Array.from(publicKey) }
  return { statement, key, signature, memberTags: tagsOf(publicKey, secrets) }
}

/** Whether the owner of its key has signed this statement under this name. Nothing is said of trust. */
export function verifySignature({ statement, key, signature }: CatalogSignature): boolean {
  return crypto.verify(signedText(statement, key.name), signature, key.publicKey)
}

/** The tags of a key that this machine may speak for, one a fleet. */
export function tagsOf(publicKey: Uint8Array, secrets: readonly Uint8Array[]): readonly Uint8Array[] {
  return secrets.map((secret) => Uint8Array.from(memberTag(secret, publicKey)))
}

/**
 * The next serial of a key on a catalog name: it grows also where the clock was set back, and starts above all earlier
 * ones where the state folder was lost.
 *
 * @param last undefined where none is known
 */
export function nextSerial(last: number | undefined, wallMs: number): number {
  return Math.max((last ?? 0) + 1, Math.floor(wallMs / 1000))
}

/** The canonical form: prefix, then the fields in a fixed order, each of one possible encoding. */
export function signedText(statement: CatalogStatement, keyName: string): Uint8Array {
  const { catalog, base, sha256, pieceTable, serial, timeMs, role } = statement
  return b4a.concat([
    prefixOf('signature'),
    c.encode(c.string, catalog),
    c.encode(c.string, catalogNameParts(catalog).platform),
    c.encode(c.string, base),
    b4a.from(sha256, 'hex'),
    b4a.from(pieceTable, 'hex'),
    c.encode(c.uint, serial),
    c.encode(c.uint, timeMs),
    c.encode(c.uint, SIGNER_ROLES.indexOf(role)),
    c.encode(c.string, keyName),
  ])
}
