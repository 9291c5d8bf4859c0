/**
 * The end of a fetch: what was said of the catalog is kept, and it takes its place in the library.
 */
import { systemClock } from '../base/clock.ts'
import { HoloError } from '../base/errors.ts'
import type { CatalogName } from '../catalog/tree.ts'
import { SignatureFolder } from '../config/signature-folder.ts'
import type { Library } from '../store/library.ts'
import type { CatalogJudge } from '../trust/publication.ts'
import type { VerifiedCatalog } from '../trust/verify-catalog.ts'
import { underTrustLock } from './keys.ts'
import { localCatalog } from './local-catalog.ts'
import { localJudge } from './local-judge.ts'
import { machineWith } from './machine.ts'
import { settingsOf } from './settings-of.ts'

/**
 * A usable catalog that is here wins over the one that was found; a torn one, or one whose key is revoked, gives way.
 *
 * @throws {HoloError} as `Library.putCatalog`; blame `host` or `locked` where signatures cannot be kept; `signal.reason`
 */
export async function settleCatalog(library: Library, verified: VerifiedCatalog, signal: AbortSignal): Promise<void> {
  const { name, sha256, source, publication } = verified
  const machine = machineWith(library.roots, process.env)
  const usable = await usableCatalog(name, library, await localJudge(machine, await settingsOf(machine)), signal)
  if (usable !== undefined && usable.sha256 !== sha256) return
  // Before it is seen in the library: a daemon would else find it unsigned, and sign it as its holder.
  const folder = new SignatureFolder(machine.state)
  const { believed, strangers } = publication
  await underTrustLock(
    machine,
    async () => {
      folder.keep(believed, strangers)
      if (usable === undefined) folder.noteOrigin(name, { sha256, source, timeMs: systemClock.wallMs() })
    },
    signal,
  )
  if (usable === undefined) await library.putCatalog(verified, signal)
}

async function usableCatalog(
  name: CatalogName,
  library: Library,
  judge: CatalogJudge,
  signal: AbortSignal,
): Promise<VerifiedCatalog | undefined> {
  try {
    const present = localCatalog(name, library, judge, () => {})
    if (present === undefined) return undefined
    return (await library.missing(present.catalog, signal)).length === 0 ? present : undefined
  } catch (error) {
    if (error instanceof HoloError && error.blame === 'trust') return undefined
    throw error
  }
}
