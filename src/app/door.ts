/** Opens rcc's door as the settings say, in front of the daemon's library. */
import { systemClock } from '../base/clock.ts'
import { HoloError } from '../base/errors.ts'
import { roomLogger } from '../base/log.ts'
import { processIdentity } from '../base/process-identity.ts'
import type { DoorSettings } from '../config/door-settings.ts'
import { readTokenFile } from '../config/token-file.ts'
import { rccremoteRoutes } from '../door/rccremote.ts'
import { type Door, serveDoor } from '../door/serve-door.ts'
import { staticTreeRoutes } from '../door/static-tree.ts'
import { wantRoute } from '../door/want.ts'
import { LibraryBehindDoor, type LibraryBehindDoorOptions } from './door-library.ts'

const log = roomLogger('door')

/**
 * @returns undefined where the door is switched off, or its port is taken: the daemon does without it, and says so
 * @throws {HoloError} blame `input`: it would let in everybody, or the token cannot be used
 */
export async function openDoor(settings: DoorSettings, behind: LibraryBehindDoorOptions): Promise<Door | undefined> {
  const { enabled, address, port, open } = settings
  if (!enabled) return undefined
  const token =
    settings.token ?? (settings.tokenFile === undefined ? undefined : await readTokenFile(settings.tokenFile))
  const library = new LibraryBehindDoor(behind)
  const routes = [rccremoteRoutes(library, processIdentity), staticTreeRoutes(library, systemClock), wantRoute(library)]
  try {
    return await serveDoor({ address, port, access: { token, open }, routes })
  } catch (error) {
    if (!(error instanceof HoloError) || error.blame === 'input') throw error
    log.warning`rcc's door stays shut: ${error.message}${error.hint === undefined ? '' : ` (${error.hint})`}`
    return undefined
  }
}
