/** The catalog that a restore or fetch begins with. */
import { HoloError } from '../base/errors.ts'
import type { CatalogName } from '../catalog/tree.ts'
import type { Settings } from '../config/settings.ts'
import type { Library } from '../store/library.ts'
import { localCatalog } from './local-catalog.ts'
import { localJudge } from './local-judge.ts'
import type { Machine } from './machine.ts'
import type { Supplies } from './supplies.ts'
import type { FoundEnvironment } from './supply.ts'

export interface FirstPlaces {
  readonly machine: Machine
  readonly settings: Pick<Settings, 'trust'>
  readonly library: Library
  readonly supplies: Supplies
  readonly onWarning: (text: string) => void
}

/**
 * The library's own, which may turn out to lack blobs; where there is none, or its key is revoked, what the supplies have.
 *
 * @throws {HoloError} as `Supplies.find`; blame `trust` where the library's own is not to be used and nobody has another
 */
export async function firstCatalog(
  name: CatalogName,
  { machine, settings, library, supplies, onWarning }: FirstPlaces,
  signal: AbortSignal,
): Promise<FoundEnvironment> {
  let untrusted: HoloError | undefined
  try {
    const local = localCatalog(name, library, await localJudge(machine, settings), onWarning)
    if (local !== undefined) return { catalog: local, warnings: [] }
  } catch (error) {
    if (!(error instanceof HoloError) || error.blame !== 'trust') throw error
    untrusted = error
  }
  try {
    const found = await supplies.find(name, undefined, signal)
    return untrusted === undefined ? found : { ...found, warnings: [untrusted.message, ...found.warnings] }
  } catch (error) {
    signal.throwIfAborted()
    // That nobody has a better one is not why this one is not used.
    throw untrusted !== undefined && error instanceof HoloError && error.blame === 'missing' ? untrusted : error
  }
}
