/** The library's own catalog, verified like one from elsewhere. */
import { HoloError } from '../base/errors.ts'
import type { CatalogName } from '../catalog/tree.ts'
import type { Library } from '../store/library.ts'
import { type VerifiedCatalog, verifyCatalog } from '../trust/verify-catalog.ts'

/**
 * @returns undefined where there is none; a torn one, or one that fails its limits, is as good as none, as with rcc
 * @throws {HoloError} blame `host` where it cannot be read
 */
export function localCatalog(name: CatalogName, library: Library): VerifiedCatalog | undefined {
  try {
    const stored = library.storedCatalog(name)
    if (stored === undefined) return undefined
    return verifyCatalog({ name, stored, source: 'library', announced: undefined })
  } catch (error) {
    if (error instanceof HoloError && error.blame === 'source') return undefined
    throw error
  }
}
