/**
 * Which of the connected members hold a catalog, or share its blobs. Members and what they have said go in.
 */
import type { Digest, Sha256Digest } from '../blob/digest.ts'
import type { BlobSource } from '../blob/source.ts'
import type { CatalogName } from '../catalog/tree.ts'
import { AskedSource } from './asked-source.ts'
import type { Offer } from './choose.ts'
import type { PeerConnection } from './connection.ts'

/** Those that hold a catalog of this name. */
export function holdersOf(members: Iterable<PeerConnection>, name: CatalogName): PeerConnection[] {
  return [...members].filter(({ catalogs }) => catalogs.has(name))
}

/** Whether a member holds this very catalog. */
export function holds({ catalogs }: PeerConnection, sha256: Sha256Digest): boolean {
  for (const held of catalogs.values()) if (held.sha256 === sha256) return true
  return false
}

/**
 * Where the blobs of a catalog are to be had: with those that hold it; where nobody does, with the others, each of which
 * is asked once what it shares.
 *
 * @param digests all that will be asked for
 * @returns what gives the sources of the moment
 */
export function blobSources(
  members: () => Iterable<PeerConnection>,
  sha256: Sha256Digest,
  digests: readonly Digest[],
): () => BlobSource[] {
  const asked = new Map<PeerConnection, AskedSource>()
  const askedOf = (connection: PeerConnection): AskedSource => {
    const source = asked.get(connection) ?? new AskedSource(connection.source, digests)
    asked.set(connection, source)
    return source
  }
  return () => {
    const present = [...members()]
    const exact = present.filter((member) => holds(member, sha256))
    if (exact.length > 0) return exact.map(({ source }) => source)
    return present.filter(({ remote }) => remote?.role === 'daemon').map(askedOf)
  }
}

/** What they offer under this name, as `chooseCatalog` takes it; but not what `except` offer. */
export function offersOf(
  members: Iterable<PeerConnection>,
  name: CatalogName,
  except: ReadonlySet<PeerConnection>,
): Offer<PeerConnection>[] {
  return [...members].flatMap((holder) => {
    const held = holder.offered(name)
    if (held === undefined || holder.remote === undefined || except.has(holder)) return []
    const machine = Buffer.from(holder.remote.machineKey).toString('hex')
    return [{ holder, holderName: holder.name, machine, sha256: held.sha256 }]
  })
}
