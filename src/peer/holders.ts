/**
 * Which of the connected members hold a catalog. Pure: members and what they have said go in, members come out.
 */
import type { Sha256Digest } from '../blob/digest.ts'
import type { CatalogName } from '../catalog/tree.ts'
import type { Offer } from './choose.ts'
import type { PeerConnection } from './connection.ts'

/** Those that hold a catalog of this name: exactly this one where somebody does, else any. */
export function holdersOf(
  members: Iterable<PeerConnection>,
  name: CatalogName,
  sha256?: Sha256Digest,
): PeerConnection[] {
  const holders = [...members].filter(({ catalogs }) => catalogs.has(name))
  const exact = holders.filter(({ catalogs }) => catalogs.get(name)?.sha256 === sha256)
  return exact.length > 0 ? exact : holders
}

/** What they offer under this name, as `chooseCatalog` takes it; but not what `except` offer. */
export function offersOf(
  members: Iterable<PeerConnection>,
  name: CatalogName,
  except: ReadonlySet<PeerConnection>,
): Offer<PeerConnection>[] {
  return [...members].flatMap((holder) => {
    const held = holder.catalogs.get(name)
    if (held === undefined || holder.remote === undefined || except.has(holder)) return []
    const machine = Buffer.from(holder.remote.machineKey).toString('hex')
    return [{ holder, holderName: holder.name, machine, sha256: held.sha256 }]
  })
}
