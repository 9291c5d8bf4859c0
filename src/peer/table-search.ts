/** Looking for the piece table of a catalog among the members that are connected. */
import { abortable } from '../base/concurrency.ts'
import { HoloError } from '../base/errors.ts'
import type { Sha256Digest } from '../blob/digest.ts'
import type { PeerConnection } from './connection.ts'

export interface FoundTable {
  /** Whose word it is. */
  readonly source: string
  /** SHA-256 of every piece, back to back. */
  readonly table: Uint8Array
}

export interface TableMembers {
  readonly list: () => Iterable<PeerConnection>
  /** Calls `listener` whenever a member comes, goes, or holds something else. @returns ends the subscription */
  readonly subscribe: (listener: () => void) => () => void
}

/**
 * The table, once it is of use: ranges that it proves are passed on, so somebody has to want them. Alone with those who
 * have all, every large blob would only be hashed twice.
 *
 * @param pieces of the catalog
 * @returns undefined where nobody has it
 * @throws `signal.reason`
 */
export async function findTable(
  { list, subscribe }: TableMembers,
  catalog: Sha256Digest,
  pieces: number,
  signal: AbortSignal,
): Promise<FoundTable | undefined> {
  signal.throwIfAborted()
  const others = Promise.withResolvers<void>()
  const look = () => {
    if ([...list()].some((member) => mayWant(member, catalog))) others.resolve()
  }
  const unsubscribe = subscribe(look)
  look()
  await abortable(others.promise, signal).finally(unsubscribe)
  for (const connection of list()) {
    if (connection.pieces?.holdings(catalog) === undefined) continue
    try {
      const table = await connection.source.findTable(catalog, pieces, signal)
      if (table !== undefined) return { source: connection.name, table }
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof HoloError) || error.blame !== 'source') throw error
    }
  }
  return undefined
}

/** It is fetching this catalog, or, as a command that has no daemon, does not tell what it is here for. */
function mayWant({ remote, pieces }: PeerConnection, catalog: Sha256Digest): boolean {
  const held = pieces?.holdings(catalog)
  return held !== 'all' && (held !== undefined || remote?.role === 'client')
}
