/**
 * What two peers say to each other: the types of `holo-peer/1` (docs/protocol.md).
 *
 * One message is one frame of a link; `codec.ts` has its bytes, `session.ts` who may say what and when. A value of
 * these types that came from `decodeMessage` is within its bounds.
 */
import type { Sha256Digest } from '../blob/digest.ts'
import type { CatalogName } from '../catalog/tree.ts'
import type { Delegation } from '../trust/keys.ts'
import type { PieceMessage } from './piece-messages.ts'

/** Versions of the protocol that this code speaks. */
export const VERSION_LOWEST = 1
export const VERSION_HIGHEST = 4

/** `daemon` holds and serves, `client` came to fetch and will leave. */
export type Role = 'daemon' | 'client'

/** The first frame of either side. */
export interface Hello {
  readonly type: 'hello'
  readonly versionLowest: number
  readonly versionHighest: number
  /** One per fleet of the sender, 32 bytes each, in no order that means anything. */
  readonly proofs: readonly Uint8Array[]
  readonly role: Role
  /** Name and version of the program, for people. */
  readonly agent: string
  /** Present where the link's key is a session key. */
  readonly delegation: Delegation | undefined
}

/** The last frame of a side that leaves. */
export interface Bye {
  readonly type: 'bye'
  readonly code: ByeCode
  /** For people. */
  readonly text: string
}

export const BYE_CODES = [
  'leaving',
  'version-mismatch',
  'not-a-member',
  'protocol-violation',
  'dropped',
  'stalled',
] as const
export type ByeCode = (typeof BYE_CODES)[number]

export interface HeldCatalog {
  readonly name: CatalogName
  /** Of the decoded JSON. */
  readonly sha256: Sha256Digest
  /** Length of the stored, gzip'd form. */
  readonly storedBytes: number
}

/** Catalogs that the sender holds completely, as a change of what it said before. */
export interface Have {
  readonly type: 'have'
  /** An added name that was held already is replaced. */
  readonly added: readonly HeldCatalog[]
  readonly removed: readonly CatalogName[]
}

/** Ask for the stored form of a catalog; answered by one part, numbered 0. */
export interface CatalogRequest {
  readonly type: 'catalog'
  readonly request: number
  readonly name: CatalogName
}

/** Ask for blobs; each is answered by parts, numbered as they stand here. */
export interface Want {
  readonly type: 'want'
  readonly request: number
  readonly digests: readonly Sha256Digest[]
}

/** A piece of something that was asked for. */
export interface Part {
  readonly request: number
  /** Which of the things that were asked for. */
  readonly index: number
  readonly encoding: 'identity' | 'gzip'
  /** In the first part of a thing: length of its stored form. Undefined in the others. */
  readonly storedBytes: number | undefined
  readonly last: boolean
  readonly chunk: Uint8Array
}

/** Several parts back to back, of any requests: small blobs share a frame. */
export interface Parts {
  readonly type: 'parts'
  readonly parts: readonly Part[]
}

export const MISSING_REASONS = ['not-held', 'cancelled', 'failed'] as const

/** The end of things that do not come, or do not come whole. */
export interface Missing {
  readonly type: 'missing'
  readonly request: number
  readonly reason: (typeof MISSING_REASONS)[number]
  readonly indexes: readonly number[]
}

/** Do not send these any more. Each is still ended, by its last part or by `missing`. */
export interface Cancel {
  readonly type: 'cancel'
  readonly request: number
  readonly indexes: readonly number[]
}

/** So many bytes of chunks were consumed: as many more may be sent. */
export interface Credit {
  readonly type: 'credit'
  readonly bytes: number
}

/** Which of these blobs do you hold? */
export interface Ask {
  readonly type: 'ask'
  readonly request: number
  readonly digests: readonly Sha256Digest[]
}

/** The answer to `ask`: the numbers of those that are held. */
export interface Holding {
  readonly type: 'holding'
  readonly request: number
  readonly indexes: readonly number[]
}

/** Where may I open a lane to you? Of version 2, as is its answer. */
export interface LaneWish {
  readonly type: 'lane-wish'
}

/** The answer to `lane-wish`. */
export interface LaneOffer {
  readonly type: 'lane-offer'
  /** Undefined where none is to be had. */
  readonly lane:
    | {
        /** TCP, at the address that the session leads to. */
        readonly port: number
        /** SHA-256 of the certificate that is met there, 32 bytes. */
        readonly certificate: Uint8Array
        /** 32 bytes: good for one call, by the key of the asker's end of this session. */
        readonly ticket: Uint8Array
      }
    | undefined
}

/**
 * Who has signed this catalog? Of version 2; answered by one part, numbered 0, as `catalog` is: lines of JSON
 * (trust/signature-json.ts).
 */
export interface SignaturesRequest {
  readonly type: 'signatures'
  readonly request: number
  /** Of the decoded JSON. */
  readonly catalog: Sha256Digest
}

export const LEASE_STATES = ['none', 'wish', 'held'] as const

/**
 * Whether the sender wants to bring an environment from a substituter, or does so; takes the place of what it said of that
 * name before. Of version 3.
 */
export interface Lease {
  readonly type: 'lease'
  readonly name: CatalogName
  readonly state: (typeof LEASE_STATES)[number]
  /** What it brings: only where it is `held`, and known. It may be asked for at once. */
  readonly catalog: Omit<HeldCatalog, 'name'> | undefined
}

export type Message =
  | Hello
  | Bye
  | Have
  | CatalogRequest
  | Want
  | Parts
  | Missing
  | Cancel
  | Credit
  | Ask
  | Holding
  | LaneWish
  | LaneOffer
  | PieceMessage
  | SignaturesRequest
  | Lease

/** Request numbers go up from 0 and are not used again on a connection. */
export const REQUEST_MAX = 0xffffffff
