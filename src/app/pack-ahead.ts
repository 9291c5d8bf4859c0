/**
 * What a catalog is kept with, its note beside spaces and its packed form, made while its blobs come: at the start that would
 * delay the first of them, at the end the last.
 */
import { nextTurn } from '../base/clock.ts'
import { sha256Of } from '../blob/digest.ts'
import type { PackedCatalogs } from '../catalog/packed-form.ts'
import type { VerifiedCatalog } from '../trust/verify-catalog.ts'

/**
 * @param packed where packed forms are kept, if they are
 * @param missing blobs at the start
 * @returns to be called with what is missing still, as often as it changes
 */
export function packAhead(
  verified: VerifiedCatalog,
  packed: PackedCatalogs | undefined,
  missing: number,
): (left: number) => void {
  let isHalfway = false
  return (left) => {
    if (isHalfway || 2 * left > missing) return
    isHalfway = true
    // One after the other, so that what comes meanwhile does not wait for both.
    void nextTurn()
      .then(() => verified.tail())
      .then(nextTurn)
      .then(() => packed?.add(sha256Of(verified.stored), { ...verified, tail: verified.tail() }))
  }
}
