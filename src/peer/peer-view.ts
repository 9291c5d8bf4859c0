/**
 * A connected member as commands and reports show it.
 */
import { fingerprint } from '../trust/keys.ts'
import type { PeerConnection } from './connection.ts'
import type { Role } from './messages.ts'

export interface PeerView {
  readonly name: string
  readonly fingerprint: string
  readonly machineKey: Uint8Array
  readonly address: string
  readonly role: Role
  readonly agent: string
  readonly catalogs: number
  readonly sentBytes: number
  /** Whether bulk goes over a lane now. */
  readonly lane: boolean
  /** Undefined where it is not known. */
  readonly roundTripMs: number | undefined
}

/** @returns undefined where the remote has not proved to be a member */
export function viewOf(connection: PeerConnection): PeerView | undefined {
  const { remote, name, address, catalogs, sentBytes, roundTripMs, hasLane } = connection
  if (remote === undefined) return undefined
  const { machineKey, role, agent } = remote
  const who = { name, fingerprint: fingerprint(machineKey), machineKey, address, role, agent }
  return { ...who, catalogs: catalogs.size, sentBytes, lane: hasLane, roundTripMs }
}
