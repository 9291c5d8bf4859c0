/** Looking for the piece table of a catalog among the members that are connected. */
import { HoloError } from '../base/errors.ts'
import type { Sha256Digest } from '../blob/digest.ts'
import type { PeerConnection } from './connection.ts'

export interface FoundTable {
  /** Whose word it is. */
  readonly source: string
  /** SHA-256 of every piece, back to back. */
  readonly table: Uint8Array
}

/**
 * @param pieces of the catalog
 * @returns undefined where nobody has it
 * @throws `signal.reason`
 */
export async function findTable(
  members: readonly PeerConnection[],
  catalog: Sha256Digest,
  pieces: number,
  signal: AbortSignal,
): Promise<FoundTable | undefined> {
  for (const connection of members) {
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
