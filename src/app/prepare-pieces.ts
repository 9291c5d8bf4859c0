/**
 * Makes ready, in the background, what the fleet will ask for: piece tables and small forms of the environments held.
 *
 * A machine that fetched an environment has its small forms from the wire; it is the one that built it which makes them,
 * once. What is used last is made first, as far as the store of pieces has room.
 */
import { systemClock } from '../base/clock.ts'
import { HoloError, messageOf } from '../base/errors.ts'
import { FRAME_SHARE_EXPECTED, PREPARE_QUIET_MS } from '../base/limits.ts'
import { roomLogger } from '../base/log.ts'
import type { Sha256Digest } from '../blob/digest.ts'
import { piecesOf } from '../catalog/pieces.ts'
import type { LibraryPieces } from '../store/served-pieces.ts'
import type { ServedCatalogs } from './served-catalogs.ts'

const log = roomLogger('daemon')

/**
 * Follow the catalogs that are held until `signal` aborts.
 *
 * @param storeBytes room for small forms; 0 makes tables only
 */
export async function preparePieces(
  { served, pieces, storeBytes }: { served: ServedCatalogs; pieces: LibraryPieces; storeBytes: number },
  signal: AbortSignal,
): Promise<void> {
  const done = new Set<Sha256Digest>()
  try {
    for (;;) {
      await systemClock.sleep(PREPARE_QUIET_MS, signal)
      let roomBytes = storeBytes
      for (const sha256 of served.newestFirst()) {
        const catalog = served.load(sha256)
        if (catalog === undefined) continue
        const rawBytes = piecesOf(catalog).pieces.reduce((sum, { bytes }) => sum + bytes, 0)
        roomBytes -= rawBytes * FRAME_SHARE_EXPECTED
        if (done.has(sha256)) continue
        if (await prepared(pieces, sha256, roomBytes > 0, signal)) done.add(sha256)
      }
      await served.changed(signal)
    }
  } catch (error) {
    if (!signal.aborted) throw error
  }
}

async function prepared(
  pieces: LibraryPieces,
  sha256: Sha256Digest,
  frames: boolean,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    return await pieces.prepare(sha256, { frames }, signal)
  } catch (error) {
    signal.throwIfAborted()
    if (!(error instanceof HoloError)) throw error
    log.warning`the pieces of ${sha256} could not be made ready: ${messageOf(error)}`
    return false
  }
}
