/**
 * Where found bytes become a catalog that may be restored: the brand is the only way into `planRestore`.
 *
 * Restoring a catalog is running it, and its name proves nothing. Until catalogs are signed, trust is that only a
 * proved member of the fleet could offer it; what is checked here is that it is the very catalog that was announced,
 * and that it is what its name says. Local catalogs pass the same way.
 */
import { HoloError } from '../base/errors.ts'
import { type Sha256Digest, sha256Of } from '../blob/digest.ts'
import { decodeCatalog, inflateCatalog } from '../catalog/decode-catalog.ts'
import { catalogNameParts } from '../catalog/names.ts'
import type { Catalog, CatalogName } from '../catalog/tree.ts'

declare const verifiedBrand: unique symbol

/** A catalog as it was found, unverified. */
export interface FoundCatalog {
  readonly name: CatalogName
  /** gzip'd JSON, as it lies in a library. */
  readonly stored: Uint8Array
  /** `library`, or who sent it, as in every error and log line. */
  readonly source: string
  /** SHA-256 of the decoded JSON as its holder announced it; undefined for the local library, which announces nothing. */
  readonly announced: Sha256Digest | undefined
}

export interface VerifiedCatalog {
  readonly name: CatalogName
  readonly catalog: Catalog
  /** Of the decoded JSON. */
  readonly sha256: Sha256Digest
  /** gzip'd JSON, as it lies in a library. */
  readonly stored: Uint8Array
  readonly source: string
  readonly [verifiedBrand]: true
}

/**
 * Inflate, compare with what was announced, decode within the limits, and compare with the name.
 *
 * @throws {HoloError} blame `source`: code `catalog-invalid` (not a catalog, or beyond a limit), `catalog-differs` (not
 *   the one that was announced), `catalog-mislabelled` (of another blueprint or platform than its name says)
 */
export function verifyCatalog({ name, stored, source, announced }: FoundCatalog): VerifiedCatalog {
  const origin = `Catalog ${name} of ${source}`
  const json = inflateCatalog(stored, origin)
  const sha256 = sha256Of(json)
  if (announced !== undefined && sha256 !== announced) {
    throw new HoloError(`${origin} is not the one that was announced (SHA-256 ${sha256}, not ${announced})`, {
      code: 'catalog-differs',
      blame: 'source',
      hint: 'that machine is faulty or lies: look at it before you let it back into the fleet',
    })
  }
  const catalog = decodeCatalog(json, origin)
  const { blueprint, platform } = catalogNameParts(name)
  if (catalog.blueprint !== blueprint || catalog.platform !== platform) {
    throw new HoloError(`${origin} is in truth one of ${catalog.blueprint} for ${catalog.platform}`, {
      code: 'catalog-mislabelled',
      blame: 'source',
      hint: 'take it from another source, or let rcc record the environment again',
    })
  }
  return { name, catalog, sha256, stored, source } as VerifiedCatalog
}
