/** `peers`: whom the daemon of this library is connected with. */
import { HoloError } from '../base/errors.ts'
import { daemonStatus } from '../daemon/control-client.ts'
import type { DaemonStatus, PeerStatus } from '../daemon/control-protocol.ts'
import type { Machine } from './machine.ts'

/**
 * @returns in the order of their fingerprints; and those that it shuts out for what they did
 * @throws {HoloError} blame `host`, code `daemon-absent` where no daemon runs, `daemon-unusable` where it hangs
 */
export async function listPeers(
  machine: Machine,
  signal: AbortSignal,
): Promise<{ readonly peers: readonly PeerStatus[]; readonly banned: DaemonStatus['banned'] }> {
  const status = await daemonStatus(machine.state.controlSocket, signal)
  if (status === undefined) {
    throw new HoloError('No daemon runs for this library, so nobody is connected with it', {
      code: 'daemon-absent',
      blame: 'host',
      hint: 'start one with `holo-peer daemon`',
    })
  }
  const peers = [...status.peers].sort((left, right) => (left.fingerprint < right.fingerprint ? -1 : 1))
  return { peers, banned: status.banned }
}
