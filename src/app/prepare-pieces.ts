/**
 * Makes ready, in the background, what the fleet will ask for: piece tables and small forms of the environments held.
 *
 * A machine that fetched an environment has its small forms from the wire; it is the one that built it which makes them,
 * once. What is used last is made first, as far as the store of pieces has room.
 */
import type { Clock } from '../base/clock.ts'
import { HoloError, messageOf } from '../base/errors.ts'
import { FRAME_SHARE_EXPECTED, PREPARE_QUIET_MS } from '../base/limits.ts'
import { roomLogger } from '../base/log.ts'
import type { Sha256Digest } from '../blob/digest.ts'
import { piecesOf } from '../catalog/pieces.ts'
import type { Catalog } from '../catalog/tree.ts'
import type { LibraryPieces } from '../store/served-pieces.ts'
import type { ServedCatalogs } from './served-catalogs.ts'

const log = roomLogger('daemon')

export interface Preparing {
  readonly served: Pick<ServedCatalogs, 'changed' | 'load' | 'newestFirst'>
  readonly pieces: Pick<LibraryPieces, 'prepare'>
  /** Room for small forms; 0 makes tables only. */
  readonly storeBytes: number
  readonly clock: Clock
}

/** Follow the catalogs that are held until `signal` aborts. */
export async function preparePieces(
  { served, pieces, storeBytes, clock }: Preparing,
  signal: AbortSignal,
): Promise<void> {
  /** Of those that are ready, their bytes in raw pieces. */
  const ready = new Map<Sha256Digest, number>()
  try {
    for (;;) {
      await clock.sleep(PREPARE_QUIET_MS, signal)
      // From here on, so that what comes while pieces are made is not missed.
      const change = served.changed(signal)
      change.catch(() => {})
      const held = served.newestFirst()
      for (const sha256 of ready.keys()) if (!held.includes(sha256)) ready.delete(sha256)
      let roomBytes = storeBytes
      for (const sha256 of held) {
        const rawBytes = ready.get(sha256) ?? rawBytesOf(served.load(sha256))
        if (rawBytes === undefined) continue
        roomBytes -= rawBytes * FRAME_SHARE_EXPECTED
        if (ready.has(sha256)) continue
        if (await prepared(pieces, sha256, roomBytes > 0, signal)) ready.set(sha256, rawBytes)
      }
      await change
    }
  } catch (error) {
    if (!signal.aborted) throw error
  }
}

function rawBytesOf(catalog: Catalog | undefined): number | undefined {
  return catalog && piecesOf(catalog).pieces.reduce((sum, { bytes }) => sum + bytes, 0)
}

async function prepared(
  pieces: Preparing['pieces'],
  sha256: Sha256Digest,
  frames: boolean,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    return (await pieces.prepare(sha256, { frames }, signal)) !== undefined
  } catch (error) {
    signal.throwIfAborted()
    if (!(error instanceof HoloError)) throw error
    log.warning`the pieces of ${sha256} could not be made ready: ${messageOf(error)}`
    return false
  }
}
