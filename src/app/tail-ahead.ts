/**
 * What a catalog is kept with, its note beside spaces, computed while its blobs come: at the start it would delay the first
 * of them, at the end the last.
 */
import { nextTurn } from '../base/clock.ts'
import type { VerifiedCatalog } from '../trust/verify-catalog.ts'

/** @param missing blobs at the start @returns to be called with what is missing still, as often as it changes */
export function tailAhead(catalog: VerifiedCatalog, missing: number): (left: number) => void {
  let isHalfway = false
  return (left) => {
    if (isHalfway || 2 * left > missing) return
    isHalfway = true
    void nextTurn().then(() => catalog.tail())
  }
}
