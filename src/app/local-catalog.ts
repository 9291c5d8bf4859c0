/** The library's own catalogs: verified like those from elsewhere, and the notes that restores of them leave. */
import { HoloError } from '../base/errors.ts'
import { sha256Of } from '../blob/digest.ts'
import type { SpaceIdentity } from '../catalog/encode-catalog.ts'
import { type SpaceNote, spaceNote } from '../catalog/space-note.ts'
import type { CatalogName } from '../catalog/tree.ts'
import type { Library } from '../store/library.ts'
import type { CatalogJudge } from '../trust/publication.ts'
import { type VerifiedCatalog, verifyCatalog } from '../trust/verify-catalog.ts'

/**
 * @param judge from `localJudge`
 * @param onRefused hears why a catalog that is here is not used
 * @returns undefined where there is none; a torn one, or one that fails its limits, is as good as none, as with rcc
 * @throws {HoloError} blame `trust` where its key is revoked; blame `host` where it cannot be read
 */
export function localCatalog(
  name: CatalogName,
  library: Library,
  judge: CatalogJudge,
  onRefused: (why: string) => void,
): VerifiedCatalog | undefined {
  try {
    const stored = library.storedCatalog(name)
    if (stored === undefined) return undefined
    return verifyCatalog({ name, stored, source: 'library', announced: undefined, judge }, library.packed)
  } catch (error) {
    if (!(error instanceof HoloError) || error.blame !== 'source') throw error
    onRefused(error.message)
    return undefined
  }
}

/**
 * The note that a restore of the library's catalog `name` left in the space `target`.
 *
 * @returns undefined where that is not known without decoding anything, or the catalog cannot be read: nobody needs it
 */
export function localNote(name: CatalogName, library: Library, target: SpaceIdentity): SpaceNote | undefined {
  try {
    const stored = library.packed === undefined ? undefined : library.storedCatalog(name)
    if (stored === undefined) return undefined
    const { catalog, tail } = library.packed?.find(sha256Of(stored)) ?? {}
    return catalog === undefined || tail === undefined ? undefined : spaceNote(catalog, () => tail, target)
  } catch (error) {
    if (error instanceof HoloError) return undefined
    throw error
  }
}
