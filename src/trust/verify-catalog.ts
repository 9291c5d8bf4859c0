/**
 * Where found bytes become a catalog that may be restored: the brand is the only way into `planRestore`.
 *
 * Restoring a catalog is running it, and its name proves nothing. What is checked here is that it is the very catalog that
 * was announced, that it is what its name says, and that its judge lets it pass: nobody gets a catalog without saying who
 * judges it. Local catalogs pass the same way. Knows nothing of keys.
 */
import { HoloError } from '../base/errors.ts'
import { type Sha256Digest, sha256Of } from '../blob/digest.ts'
import { type CatalogTail, catalogTail } from '../catalog/catalog-tail.ts'
import { decodeCatalog, inflateCatalog } from '../catalog/decode-catalog.ts'
import { catalogNameParts } from '../catalog/names.ts'
import type { PackedCatalogs } from '../catalog/packed-form.ts'
import { catalogBase } from '../catalog/relocation.ts'
import type { Catalog, CatalogName } from '../catalog/tree.ts'
import type { CatalogJudge, Publication } from './publication.ts'

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
  /** Decides whether it may be used, and on whose word: `ownWord` for what this machine has made, or was given as a file. */
  readonly judge: CatalogJudge
}

export interface VerifiedCatalog {
  readonly name: CatalogName
  readonly catalog: Catalog
  /** Of the decoded JSON. */
  readonly sha256: Sha256Digest
  /** gzip'd JSON, as it lies in a library. */
  readonly stored: Uint8Array
  readonly source: string
  /** On whose word it is used. */
  readonly publication: Publication
  /** What its notes beside spaces are made from; computed at the first call, where it was not at hand. */
  tail(): CatalogTail
  readonly [verifiedBrand]: true
}

/**
 * Inflate, compare with what was announced, decode within the limits, compare with the name, and ask its judge.
 *
 * @param packed where bytes that were decoded before are found decoded, and others are put; for the local library only:
 *   what comes from elsewhere is decoded in full
 * @throws {HoloError} blame `source`: code `catalog-invalid` (not a catalog, or beyond a limit), `catalog-differs` (not
 *   the one that was announced), `catalog-mislabelled` (of another blueprint or platform than its name says); blame
 *   `trust`: its judge does not let it pass
 */
export function verifyCatalog(found: FoundCatalog, packed?: PackedCatalogs): VerifiedCatalog {
  const { name, stored, source, announced, judge } = found
  const key = packed === undefined ? undefined : sha256Of(stored)
  const kept = key === undefined ? undefined : packed?.find(key)
  // One that is not what was announced is decoded, and refused by those who do that.
  const known = announced === undefined || announced === kept?.sha256 ? kept : undefined
  const { catalog, sha256 } = known ?? decoded(found)
  const { blueprint, platform } = catalogNameParts(name)
  if (catalog.blueprint !== blueprint || catalog.platform !== platform) {
    throw new HoloError(`${originOf(found)} is in truth one of ${catalog.blueprint} for ${catalog.platform}`, {
      code: 'catalog-mislabelled',
      blame: 'source',
      hint: 'take it from another source, or let rcc record the environment again',
    })
  }
  const publication = judge({ name, source, base: catalogBase(catalog), sha256 })
  let tail = known?.tail
  if (key !== undefined && tail === undefined) {
    tail = catalogTail(catalog)
    packed?.add(key, { catalog, sha256, tail })
  }
  const once = () => {
    tail ??= catalogTail(catalog)
    return tail
  }
  return { name, catalog, sha256, stored, source, publication, tail: once } as VerifiedCatalog
}

function decoded(found: FoundCatalog): { catalog: Catalog; sha256: Sha256Digest } {
  const origin = originOf(found)
  const json = inflateCatalog(found.stored, origin)
  const sha256 = sha256Of(json)
  if (found.announced !== undefined && sha256 !== found.announced) {
    throw new HoloError(`${origin} is not the one that was announced (SHA-256 ${sha256}, not ${found.announced})`, {
      code: 'catalog-differs',
      blame: 'source',
      hint: 'that machine is faulty or lies: look at it before you let it back into the fleet',
    })
  }
  return { catalog: decodeCatalog(json, origin), sha256 }
}

function originOf({ name, source }: FoundCatalog): string {
  return `Catalog ${name} of ${source}`
}
