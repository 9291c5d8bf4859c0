/**
 * Signing what this machine holds: the one place where a statement on a catalog is made and kept.
 */
import { nextTurn, systemClock } from '../base/clock.ts'
import { type Sha256Digest, sha256Of } from '../blob/digest.ts'
import { catalogBase } from '../catalog/relocation.ts'
import type { Catalog, CatalogName } from '../catalog/tree.ts'
import { SignatureFolder } from '../config/signature-folder.ts'
import { hashPieces } from '../store/hash-pieces.ts'
import type { Library } from '../store/library.ts'
import { type CatalogSignature, nextSerial, type SignerRole, signCatalog } from '../trust/catalog-signature.ts'
import { keyHex } from '../trust/key-text.ts'
import { countingSecrets, fleetsOf } from './fleet.ts'
import { type SigningKey, underTrustLock } from './keys.ts'
import type { Machine } from './machine.ts'

/** A catalog that this machine holds with all its blobs. */
export interface HeldWhole {
  readonly name: CatalogName
  readonly catalog: Catalog
  /** Of the decoded JSON. */
  readonly sha256: Sha256Digest
}

/** The door to piece tables: SHA-256 of the table of a catalog that is held. @throws as `hashPieces` */
export type PieceTables = (held: HeldWhole, signal: AbortSignal) => Promise<Sha256Digest>

/** Tables that are computed here and now, from the blobs of `library`. */
export function computedTables(library: Library, turn: (signal: AbortSignal) => Promise<void> = nextTurn): PieceTables {
  return async ({ catalog }, signal) => sha256Of(await hashPieces(catalog, { blobs: library, turn }, signal))
}

export interface SignHeldOptions {
  readonly key: SigningKey
  readonly role: SignerRole
  readonly tables: PieceTables
  /** Leave what the key has said of this content meanwhile: a builder's word is more than a holder's. */
  readonly unlessSigned?: boolean
}

/**
 * Sign, and keep the signature. Signing again says the same with a later serial.
 * *
 * @throws {HoloError} as `PieceTables`; blame `host` or `locked` where it cannot be kept; `signal.reason`
 */
export async function signHeld(
  machine: Machine,
  held: HeldWhole,
  { key, role, tables, unlessSigned = false }: SignHeldOptions,
  signal: AbortSignal,
): Promise<CatalogSignature> {
  const { name: catalog, sha256 } = held
  const pieceTable = await tables(held, signal)
  const secrets = countingSecrets(await fleetsOf(machine))
  const folder = new SignatureFolder(machine.state)
  return await underTrustLock(
    machine,
    async () => {
      const last = folder.of(catalog).find((each) => keyHex(each.key.publicKey) === keyHex(key.publicKey))
      if (unlessSigned && last?.statement.sha256 === sha256) return last
      const timeMs = systemClock.wallMs()
      const serial = nextSerial(last?.statement.serial, timeMs)
      const statement = { catalog, base: catalogBase(held.catalog), sha256, pieceTable, serial, timeMs, role }
      const signature = signCatalog(statement, key.name, key.keyPair, secrets)
      folder.keep([signature])
      return signature
    },
    signal,
  )
}
