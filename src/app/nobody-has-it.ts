/** The errors of a search that ended without an environment: what was asked, and what to do. */
import { HoloError } from '../base/errors.ts'
import { MEMBER_WAIT_MS } from '../base/limits.ts'
import { catalogNameParts } from '../catalog/names.ts'
import type { CatalogName } from '../catalog/tree.ts'
import type { Settings } from '../config/settings.ts'
import type { Fleet } from '../trust/fleet.ts'
import { bootstrapsOf } from './fleet.ts'

/** Thrown before anything is started. */
export function noFleet(name: CatalogName): HoloError {
  return new HoloError(`The environment ${name} is not in the library, and this machine belongs to no fleet to ask`, {
    code: 'no-fleet',
    blame: 'missing',
    hint: 'join one with `holo-peer fleet join INVITE`, or let rcc build the environment',
  })
}

/** @param fleetNames `the fleet factory` */
export function noPeer(name: CatalogName, fleetNames: string, settings: Settings, fleets: readonly Fleet[]): HoloError {
  const bootstraps = bootstrapsOf(settings, fleets)
  const multicast = settings.discovery.multicast ? 'multicast' : 'no multicast'
  const where =
    bootstraps.length === 0 ? `${multicast}, no bootstrap` : `${multicast}, bootstraps: ${bootstraps.join(', ')}`
  return new HoloError(
    `No machine of ${fleetNames} answered within ${MEMBER_WAIT_MS / 1000} s, so ${name} could not be looked for (${where})`,
    {
      code: 'no-peer',
      blame: 'missing',
      hint: 'check that `holo-peer daemon` runs on another machine; where multicast does not pass, name its address: `holo-peer fleet join INVITE --bootstrap HOST:PORT`',
    },
  )
}

/** @param machines that answered */
export function environmentNowhere(name: CatalogName, fleetNames: string, machines: number): HoloError {
  const { blueprint } = catalogNameParts(name)
  return new HoloError(
    machines === 1
      ? `The one machine that answers in ${fleetNames} does not have the environment ${blueprint}`
      : `None of the ${machines} machines that answer in ${fleetNames} has the environment ${blueprint}`,
    {
      code: 'environment-nowhere',
      blame: 'missing',
      hint: 'let rcc build it on one machine that runs `holo-peer daemon`; the others then get it from there',
    },
  )
}
