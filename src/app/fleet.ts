/**
 * The fleets of this machine: create, join, list; a running daemon takes changes up at once.
 */

import { systemClock } from '../base/clock.ts'
import { HoloError, messageOf } from '../base/errors.ts'
import { GRACE_MS_MAX, STATE_LOCK_WAIT_MS } from '../base/limits.ts'
import { roomLogger } from '../base/log.ts'
import type { Settings } from '../config/settings.ts'
import { loadFleets, makeStateFolder, joinFleet as rememberFleet, rotateSecret } from '../config/state.ts'
import { reloadDaemon } from '../daemon/control-client.ts'
import { acquireLock } from '../store/lock.ts'
import { createFleet, type Fleet, mergeBootstraps } from '../trust/fleet.ts'
import { decodeInvite, encodeInvite, fleetFromEnvironment } from '../trust/invite.ts'
import { randomSecret } from '../trust/keys.ts'
import { secretsOf, successionOf } from '../trust/rotation.ts'
import type { Machine } from './machine.ts'

const log = roomLogger('app')

/** A fleet as commands show it. */
export interface FleetView {
  readonly fleet: string
  readonly bootstraps: readonly string[]
  /** One line; whoever has it is a member. */
  readonly invite: string
  /** Until when old secrets count beside the present one, as ISO 8601; empty where none does. */
  readonly oldSecretsUntil: readonly string[]
  /** Where it is written: the state folder, or only in HOLO_PEER_FLEET_SECRET. */
  readonly from: 'file' | 'environment'
}

export interface FleetChange extends FleetView {
  /** Whether a daemon of this library was running and has taken the change up. */
  readonly daemonReloaded: boolean
}

/**
 * Make a new fleet with a secret of its own, and join it.
 *
 * @throws {HoloError} blame `input`: the name is taken or malformed, a bootstrap is malformed; blame `host`
 */
export async function createFleetHere(
  machine: Machine,
  name: string,
  bootstraps: readonly string[],
  signal: AbortSignal,
): Promise<FleetChange> {
  const fleet = createFleet(name, randomSecret(), bootstraps)
  return changed(machine, () => rememberFleet(machine.state, fleet, undefined, systemClock.wallMs()), signal)
}

/**
 * Join the fleet of an invite; joining again merges the bootstraps.
 *
 * @throws {HoloError} blame `input`: the invite or a bootstrap is malformed, another fleet has that name; blame `host`
 */
export async function joinFleetHere(
  machine: Machine,
  invite: string,
  bootstraps: readonly string[],
  signal: AbortSignal,
): Promise<FleetChange> {
  const { fleet, succession } = decodeInvite(invite)
  const merged = { ...fleet, bootstraps: mergeBootstraps(fleet.bootstraps, bootstraps) }
  return changed(machine, () => rememberFleet(machine.state, merged, succession, systemClock.wallMs()), signal)
}

/**
 * Give a fleet of this machine a new secret; the old one counts for `graceMs` more.
 *
 * @param name undefined where the machine belongs to one fleet only
 * @throws {HoloError} blame `input`: no such fleet, the grace is too long, the fleet stands in HOLO_PEER_FLEET_SECRET;
 *   blame `host`
 */
export async function rotateFleetHere(
  machine: Machine,
  name: string | undefined,
  graceMs: number,
  signal: AbortSignal,
): Promise<FleetChange> {
  if (machine.environment.HOLO_PEER_FLEET_SECRET) {
    throw new HoloError('The fleet of this machine stands in HOLO_PEER_FLEET_SECRET, so it cannot be changed here', {
      code: 'fleet-in-environment',
      blame: 'input',
      hint: 'rotate it on a machine that has joined with an invite, and set the variable to the new invite',
    })
  }
  if (graceMs > GRACE_MS_MAX) {
    throw new HoloError(`An old secret can count for ${GRACE_MS_MAX / 86_400_000} days at most`, {
      code: 'grace-too-long',
      blame: 'input',
      hint: 'choose a shorter --grace',
    })
  }
  const wallMs = systemClock.wallMs()
  const times = { untilMs: wallMs + graceMs, wallMs }
  return changed(machine, () => rotateSecret(machine.state, name, randomSecret(), times), signal)
}

/** Make a change of the fleets, one at a time, and let the daemon take it up. */
async function changed(machine: Machine, change: () => Promise<Fleet>, signal: AbortSignal): Promise<FleetChange> {
  const joined = await underLock(machine, change, signal)
  let daemonReloaded = false
  try {
    daemonReloaded = await reloadDaemon(machine.state.controlSocket, signal)
  } catch (error) {
    signal.throwIfAborted()
    log.warn`the running daemon could not take the fleet up: ${messageOf(error)}`
  }
  return { ...viewOf(joined, 'file'), daemonReloaded }
}

/** Two commands that change the fleets at the same time must both be heard. */
async function underLock<Result>(machine: Machine, work: () => Promise<Result>, signal: AbortSignal): Promise<Result> {
  await makeStateFolder(machine.state.directory)
  await using _held = await acquireLock(machine.state.fleetsLock, { waitMs: STATE_LOCK_WAIT_MS, shared: false }, signal)
  return await work()
}

/** The fleets that commands and the daemon use, for showing. @throws {HoloError} as `fleetsOf` */
export async function showFleets(machine: Machine): Promise<FleetView[]> {
  const from = machine.environment.HOLO_PEER_FLEET_SECRET ? 'environment' : 'file'
  return (await fleetsOf(machine)).map((fleet) => viewOf(fleet, from))
}

function viewOf(fleet: Fleet, from: FleetView['from']): FleetView {
  const wallMs = systemClock.wallMs()
  const ends = (fleet.previous ?? []).map(({ untilMs }) => untilMs).filter((untilMs) => untilMs > wallMs)
  return {
    fleet: fleet.name,
    bootstraps: fleet.bootstraps,
    invite: encodeInvite(fleet, successionOf(fleet, wallMs)),
    oldSecretsUntil: ends.map((untilMs) => new Date(untilMs).toISOString()),
    from,
  }
}

/**
 * The fleet of HOLO_PEER_FLEET_SECRET where that is set, else those in the state folder.
 *
 * @throws {HoloError} blame `input`: the variable is malformed; blame `host`: the file is exposed or damaged
 */
export async function fleetsOf(machine: Machine): Promise<readonly Fleet[]> {
  const secret = machine.environment.HOLO_PEER_FLEET_SECRET
  return secret ? [fleetFromEnvironment(secret)] : loadFleets(machine.state)
}

/** Of all fleets, old ones in their grace included. */
export function countingSecrets(fleets: readonly Fleet[]): readonly Uint8Array[] {
  const wallMs = systemClock.wallMs()
  return fleets.flatMap((fleet) => secretsOf(fleet, wallMs))
}

export function bootstrapsOf(settings: Settings, fleets: readonly Fleet[]): readonly string[] {
  return [...new Set([...settings.discovery.bootstrap, ...fleets.flatMap(({ bootstraps }) => bootstraps)])]
}
