/**
 * On whose word a catalog is used: what reports show, and what is kept beside it. Types and texts; no cryptography, so
 * that a restore from the library loads none.
 */
import type { Sha256Digest } from '../blob/digest.ts'
import type { CatalogName } from '../catalog/tree.ts'
import type { CatalogSignature } from './catalog-signature.ts'

/**
 * - `own`: it lies on this machine, in the library or beside the robot, where rcc would take it too.
 * - `trusted-key`: signed by a key that this machine trusts by name.
 * - `member`: signed by a member of a fleet of ours.
 * - `proved-member`: not signed; a machine that proved to be a member offers it.
 * - `trusted-source`: not signed; the settings call its source trusted.
 */
export type Grounds = 'own' | 'trusted-key' | 'member' | 'proved-member' | 'trusted-source'

export interface Publication {
  readonly grounds: Grounds
  /** The one that trust rests on; of an `own` catalog the one that says most. Undefined where it is not signed. */
  readonly signature: CatalogSignature | undefined
  /** All that count; the first is `signature`, where there is one. */
  readonly believed: readonly CatalogSignature[]
  /** Those of keys that nobody here knows: kept and passed on, since to somebody else they may count. */
  readonly strangers: readonly CatalogSignature[]
  /** Where this machine had it from, if that is not where it was found now. */
  readonly origin?: { readonly source: string; readonly timeMs: number }
}

/** What a catalog at hand is; a signature has to say the same. */
export interface CatalogFacts {
  readonly name: CatalogName
  /** Who has it, as in every error: `library`, a peer, a substituter. */
  readonly source: string
  /** Absolute directory that it was recorded for. */
  readonly base: string
  /** Of the decoded JSON. */
  readonly sha256: Sha256Digest
}

/** Decides whether a catalog may be used. @throws {HoloError} blame `trust` */
export type CatalogJudge = (facts: CatalogFacts) => Publication

/** The judge of what this machine has recorded itself, or was given as a file by its user. */
export const ownWord: CatalogJudge = () => ({ grounds: 'own', signature: undefined, believed: [], strangers: [] })
