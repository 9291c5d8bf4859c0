/** `status`: what the daemon of this library is, holds and does. */
import { daemonStatus } from '../daemon/control-client.ts'
import type { DaemonStatus } from '../daemon/control-protocol.ts'
import { fleetsOf } from './fleet.ts'
import type { Machine } from './machine.ts'

export interface Status {
  readonly library: string
  /** Names of the fleets that this machine belongs to. */
  readonly fleets: readonly string[]
  /** Undefined where no daemon runs. */
  readonly daemon: DaemonStatus | undefined
}

/** @throws {HoloError} blame `host`: the daemon hangs, or the fleets cannot be read */
export async function status(machine: Machine, signal: AbortSignal): Promise<Status> {
  const daemon = await daemonStatus(machine.state.controlSocket, signal)
  const fleets = daemon?.fleets ?? (await fleetsOf(machine)).map(({ name }) => name)
  return { library: machine.roots.hololib, fleets, daemon }
}
