/** The catalog that a restore or fetch begins with. */
import { HoloError } from '../base/errors.ts'
import type { CatalogName } from '../catalog/tree.ts'
import type { Settings } from '../config/settings.ts'
import type { Library } from '../store/library.ts'
import { localCatalog } from './local-catalog.ts'
import { localJudge } from './local-judge.ts'
import type { Machine } from './machine.ts'
import type { FoundEnvironment } from './supply.ts'

export interface FirstPlaces<Answer> {
  readonly machine: Machine
  readonly settings: Pick<Settings, 'trust'>
  readonly library: Library
  /** Asks the supplies for it. */
  readonly ask: (signal: AbortSignal) => Promise<Answer>
  readonly onWarning: (text: string) => void
}

/**
 * The library's own, which may turn out to lack blobs; where there is none, or its key is revoked, what the supplies have.
 *
 * @throws {HoloError} as `ask`; blame `trust` where the library's own is not to be used and nobody has another
 */
export async function firstCatalog<Answer>(
  name: CatalogName,
  { machine, settings, library, ask, onWarning }: FirstPlaces<Answer>,
  signal: AbortSignal,
): Promise<FoundEnvironment | Answer> {
  let untrusted: HoloError | undefined
  try {
    const local = localCatalog(name, library, await localJudge(machine, settings), onWarning)
    if (local !== undefined) return { catalog: local, warnings: [] }
  } catch (error) {
    if (!(error instanceof HoloError) || error.blame !== 'trust') throw error
    untrusted = error
  }
  try {
    const answer = await ask(signal)
    if (untrusted !== undefined) onWarning(untrusted.message)
    return answer
  } catch (error) {
    signal.throwIfAborted()
    // That nobody has a better one is not why this one is not used.
    throw untrusted !== undefined && error instanceof HoloError && error.blame === 'missing' ? untrusted : error
  }
}
