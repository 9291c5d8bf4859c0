/** The sources of the settings, opened: peers and substituters in their order. The same for daemons and commands. */
import { systemClock } from '../base/clock.ts'
import { systemRandom } from '../base/random.ts'
import { RateLimit } from '../base/rate-limit.ts'
import type { Settings } from '../config/settings.ts'
import { IngestPool } from '../store/ingest-pool.ts'
import type { Library } from '../store/library.ts'
import { Guarded } from '../substituters/guarded.ts'
import { openSubstituter } from '../substituters/open-substituter.ts'
import { fleetsOf } from './fleet.ts'
import type { FleetNode } from './fleet-node.ts'
import type { Machine } from './machine.ts'
import { OrderedSupply } from './ordered-supply.ts'
import { peersSupply } from './peers-supply.ts'
import type { CatalogsInTransit, PieceExchange } from './piece-exchange.ts'
import { settingsOf } from './settings-of.ts'
import { substituterSupply } from './substituter-supply.ts'
import type { Supply } from './supply.ts'
import type { TrustOptions } from './trust.ts'
import { WanTurns } from './wan-turns.ts'
import { zipSubstituter } from './zip-substituter.ts'

export interface OutsideOptions {
  readonly machine: Machine
  readonly library: Library
  readonly settings: Settings
  /** For holders that are looked for while something is fetched. */
  readonly trust?: TrustOptions
  /** How peers get from here at once what comes here; undefined for a command, from which nobody gets anything. */
  readonly passingOn?: { readonly exchange: PieceExchange; readonly transit: CatalogsInTransit }
}

/**
 * @param nodeOf as for `peersSupply`
 * @throws {HoloError} blame `input`: credentials that the settings name are not there
 */
export function openOutside(
  { machine, library, settings, trust = { allowRollback: false }, passingOn }: OutsideOptions,
  nodeOf: () => Promise<FleetNode | undefined>,
): OrderedSupply {
  const { substituters } = settings
  const wanLimit = new RateLimit(settings.limits.wanDownload, systemClock)
  const around = { clock: systemClock, random: systemRandom, environment: machine.environment, wanLimit }
  const peersAt = substituters.findIndex(({ address }) => address.kind === 'peers')
  const entries = substituters.map((setting, at) => {
    const { address } = setting
    if (address.kind === 'peers') {
      return peersSupply(nodeOf, { machine, library, trust, alone: substituters.length === 1 })
    }
    const isZip = address.kind === 'file' && address.path.endsWith('.zip')
    const source = isZip ? zipSubstituter(address.label, address.path) : openSubstituter(address, setting, around)
    // What is to be asked before peers is nearer than they are, and so is what lies in a directory of this machine.
    const isWan = at > peersAt && address.kind !== 'file'
    const place = { machine, library, exchange: passingOn?.exchange, isWan }
    return substituterSupply(new Guarded(source, systemClock, systemRandom), setting, place)
  })
  return new OrderedSupply(entries, new WanTurns(nodeOf, { machine, library, transit: passingOn?.transit }))
}

/**
 * For a command without a daemon: it joins the fleet when peers have their turn, and leaves it at the end.
 *
 * @throws {HoloError} blame `input`: settings are malformed
 */
export async function openOwnOutside(
  machine: Machine,
  library: Library,
  trust: TrustOptions,
  signal: AbortSignal,
): Promise<Supply> {
  const settings = await settingsOf(machine)
  let workers: AsyncDisposable | undefined
  let started: Promise<FleetNode | undefined> | undefined
  const start = async () => {
    const fleets = await fleetsOf(machine)
    if (fleets.length === 0) return undefined
    const { FleetNode } = await import('./fleet-node.ts')
    const { nothingServed } = await import('../peer/serve.ts')
    return FleetNode.start(
      { machine, settings, fleets, mode: 'client', served: nothingServed, passing: undefined },
      signal,
    )
  }
  const supply = openOutside({ machine, library, settings, trust }, () => {
    started ??= start()
    return started
  })
  return {
    label: 'peers and substituters',
    final: true,
    find: (name, local, inner) => {
      // Whoever is found will send: that takes longer than they need to start.
      workers ??= IngestPool.startAhead(library)
      return supply.find(name, local, trust, inner)
    },
    fetch: (catalog, totals, onProgress, inner) => supply.fetch(catalog, totals, onProgress, inner),
    [Symbol.asyncDispose]: async () => {
      await supply[Symbol.asyncDispose]()
      const node = await started?.catch(() => undefined)
      await Promise.all([node?.[Symbol.asyncDispose](), workers?.[Symbol.asyncDispose]()])
    },
  }
}
