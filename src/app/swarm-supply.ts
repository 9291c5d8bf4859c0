/** The fleet through a swarm of this command's own, where no daemon runs. */

import { nothingServed } from '../peer/serve.ts'
import type { Library } from '../store/library.ts'
import { fetchEnvironment } from './fetch-environment.ts'
import { fleetsOf } from './fleet.ts'
import { FleetNode, noFleet } from './fleet-node.ts'
import type { Machine } from './machine.ts'
import { settingsOf } from './settings-of.ts'
import type { Supply } from './supply.ts'

/** @throws {HoloError} blame `input`: settings or fleet are malformed; blame `host`: no UDP port, an exposed secret */
export async function openSwarmSupply(machine: Machine, library: Library, signal: AbortSignal): Promise<Supply> {
  const settings = await settingsOf(machine)
  const fleets = await fleetsOf(machine)
  const node =
    fleets.length === 0
      ? undefined
      : await FleetNode.start(
          { machine, settings, fleets, mode: 'client', served: nothingServed, servedPieces: undefined },
          signal,
        )
  return {
    label: 'the swarm',
    final: true,
    find: async (name, local, inner) => {
      if (node === undefined) throw noFleet(name)
      return node.find(name, local, inner)
    },
    fetch: async (catalog, totals, onProgress, inner) => {
      if (node === undefined) throw noFleet(catalog.name)
      const sources = node.sourcesFor(catalog.name, catalog.sha256)
      // Where the catalog came from the library, nobody was asked yet: this waits for holders, or says why there are none.
      if (sources.list().length === 0) await node.find(catalog.name, catalog.sha256, inner)
      const place = { library, stateDirectory: machine.state.directory, sources, exchange: node.exchange }
      await fetchEnvironment(place, catalog, totals, onProgress, inner)
    },
    [Symbol.asyncDispose]: async () => {
      await node?.[Symbol.asyncDispose]()
    },
  }
}
