/**
 * Whether a catalog from elsewhere may be used, and on whose word: the one place where trust is decided.
 *
 * Pure. A signature counts if it fits the catalog at hand, verifies, is no older than what its key has said before, is not
 * of a revoked key, and is of a trusted key or, from the machines of a fleet, of a member's. One that counts is enough, but
 * that somebody holds it does not make up for a builder who is revoked or has signed a newer one. Where none counts, one
 * that is wrong in itself speaks against the catalog; signatures of strangers say nothing either way.
 */
import type { Sha256Digest } from '../blob/digest.ts'
import { type CatalogSignature, verifySignature } from './catalog-signature.ts'
import { keyHex, type NamedKey } from './key-text.ts'
import { verifyMemberTag } from './membership.ts'
import type { CatalogFacts, CatalogJudge, Grounds, Publication } from './publication.ts'

/** The judge of one offer. @param lines signatures as they travel, unverified */
export type OfferJudge = (offerer: Offerer, lines: readonly Uint8Array[]) => CatalogJudge

export const TRUST_RULES = ['fleet', 'keys'] as const
/** `fleet`: a member's word counts for what comes from members. `keys`: only the keys that this machine trusts by name. */
export type TrustRule = (typeof TRUST_RULES)[number]

/** What the operator has decided. */
export interface TrustPolicy {
  readonly rule: TrustRule
  /** Keys trusted by name, those whose time is over left out. */
  readonly trusted: readonly NamedKey[]
  isRevoked(publicKey: Uint8Array): boolean
  /** Of the fleets of this machine, old ones in their grace included; 32 bytes each. */
  readonly secrets: readonly Uint8Array[]
  /** Take an older statement of a key for a newer one. */
  readonly allowRollback: boolean
}

/** The last word of a key on a catalog name, as far as this machine knows. */
export interface LastWord {
  readonly serial: number
  readonly sha256: Sha256Digest
}

/** Who offers the catalog. */
export type Offerer =
  /** A machine that has proved membership, with this key, on the connection that the catalog came over. */
  | { readonly kind: 'member'; readonly machineKey: Uint8Array }
  /** Anything else; `trusted` where the settings say so of this source. */
  | { readonly kind: 'substituter'; readonly trusted: boolean }

/** All that the judgement depends on beside the signatures and the policy. */
export interface Known extends Omit<CatalogFacts, 'source'> {
  readonly offerer: Offerer
  /** SHA-256 of its piece table, where it is known already. */
  readonly pieceTable: Sha256Digest | undefined
  /** By key, in hex. */
  readonly lastWords: ReadonlyMap<string, LastWord>
}

/** Why a signature does not count. All but the last, that of a stranger, speak against the catalog. */
export const FAULTS = [
  'key-revoked',
  'signature-older',
  'signature-wrong',
  'other-name',
  'other-content',
  'other-base',
  'other-pieces',
  'key-unknown',
] as const
export type Fault = (typeof FAULTS)[number]

export interface FaultySignature {
  readonly fault: Fault
  readonly signature: CatalogSignature
}

export type Verdict =
  | ({ readonly accepted: true } & Publication)
  | {
      readonly accepted: false
      /** The one that says most of why; `unsigned` where there is no signature at all, `offerer-revoked` where the machine itself is. */
      readonly reason: Fault | 'unsigned' | 'offerer-revoked'
      readonly faults: readonly FaultySignature[]
    }

/** Decide. The same question has the same answer, in whatever order the signatures come. */
export function judge(signatures: readonly CatalogSignature[], policy: TrustPolicy, known: Known): Verdict {
  const looks = signatures.map((signature) => ({ signature, ...lookAt(signature, policy, known) }))
  const faults = looks.flatMap(({ signature, fault }) => (fault === undefined ? [] : [{ fault, signature }]))
  const { offerer } = known
  if (offerer.kind === 'member' && policy.isRevoked(offerer.machineKey)) {
    return { accepted: false, reason: 'offerer-revoked', faults }
  }
  const believed = looks.filter(({ grounds }) => grounds !== undefined).sort(byWeight)
  const strangers = faults.filter(({ fault }) => fault === 'key-unknown').map(({ signature }) => signature)
  const best = believed[0]
  const disowned = faults.filter(({ fault, signature }) => isDisowned(fault) && signature.statement.role === 'builder')
  if (disowned.length > 0 && best?.signature.statement.role !== 'builder') {
    return { accepted: false, reason: worstOf(disowned), faults: disowned }
  }
  const words = { signature: best?.signature, believed: believed.map(({ signature }) => signature), strangers }
  if (best?.grounds !== undefined) return { accepted: true, grounds: best.grounds, ...words }
  const grounds = faults.length === strangers.length ? unsignedGrounds(policy, offerer) : undefined
  if (grounds !== undefined) return { accepted: true, grounds, ...words }
  return { accepted: false, reason: worstOf(faults), faults }
}

function worstOf(faults: readonly FaultySignature[]): Fault | 'unsigned' {
  return FAULTS.find((fault) => faults.some((each) => each.fault === fault)) ?? 'unsigned'
}

/** Its builder must not be believed any more, or has a newer one. */
function isDisowned(fault: Fault): boolean {
  return fault === 'key-revoked' || fault === 'signature-older'
}

interface Look {
  readonly fault?: Fault
  readonly grounds?: Grounds
}

function lookAt(one: CatalogSignature, policy: TrustPolicy, known: Known): Look {
  const { statement, key } = one
  if (policy.isRevoked(key.publicKey)) return { fault: 'key-revoked' }
  if (statement.catalog !== known.name) return { fault: 'other-name' }
  if (statement.sha256 !== known.sha256) return { fault: 'other-content' }
  if (statement.base !== known.base) return { fault: 'other-base' }
  if (known.pieceTable !== undefined && statement.pieceTable !== known.pieceTable) return { fault: 'other-pieces' }
  if (!verifySignature(one)) return { fault: 'signature-wrong' }
  const grounds = groundsOf(one, policy, known)
  if (grounds === undefined) return { fault: 'key-unknown' }
  return !policy.allowRollback && isOlder(one, known) ? { fault: 'signature-older' } : { grounds }
}

function groundsOf(
  { key, memberTags }: CatalogSignature,
  policy: TrustPolicy,
  { offerer }: Known,
): Grounds | undefined {
  const hex = keyHex(key.publicKey)
  if (policy.trusted.some(({ publicKey }) => keyHex(publicKey) === hex)) return 'trusted-key'
  if (policy.rule === 'keys' || offerer.kind === 'substituter') return undefined
  const isMember = policy.secrets.some((secret) =>
    memberTags.some((tag) => verifyMemberTag(secret, tag, key.publicKey)),
  )
  return isMember ? 'member' : undefined
}

/** Two contents under one serial are two words, of which neither is newer. */
function isOlder({ statement, key }: CatalogSignature, { lastWords }: Known): boolean {
  const last = lastWords.get(keyHex(key.publicKey))
  if (last === undefined || statement.serial > last.serial) return false
  return statement.serial < last.serial || statement.sha256 !== last.sha256
}

/**
 * A member's machine that offers what nobody has signed gives its own word by offering it: its signature as a holder would
 * say no more.
 */
function unsignedGrounds({ rule }: TrustPolicy, offerer: Offerer): Grounds | undefined {
  if (offerer.kind === 'member') return rule === 'fleet' ? 'proved-member' : undefined
  return offerer.trusted ? 'trusted-source' : undefined
}

type Weighed = Look & { readonly signature: CatalogSignature }

/** Trusted keys before members, builders before holders, then the latest; in the end the key, so that the order is total. */
function byWeight(left: Weighed, right: Weighed): number {
  const weight = ({ grounds, signature }: Weighed) =>
    (grounds === 'trusted-key' ? 2 : 0) + (signature.statement.role === 'builder' ? 1 : 0)
  const byTime = right.signature.statement.timeMs - left.signature.statement.timeMs
  const byKey = keyHex(left.signature.key.publicKey) < keyHex(right.signature.key.publicKey) ? -1 : 1
  return weight(right) - weight(left) || byTime || byKey
}
