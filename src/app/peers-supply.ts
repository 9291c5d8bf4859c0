/** The fleet through a node of this process: a daemon's for its lifetime, or one that a command starts when peers are asked. */
import { PEERS_BUDGET_MS, PEERS_SILENCE_MS } from '../base/limits.ts'
import type { Library } from '../store/library.ts'
import { fetchEnvironment } from './fetch-environment.ts'
import { type FleetNode, noFleet } from './fleet-node.ts'
import type { OrderedEntry } from './ordered-supply.ts'

/** @param nodeOf undefined where this machine belongs to no fleet; asked before each question */
export function peersSupply(nodeOf: () => Promise<FleetNode | undefined>, library: Library): OrderedEntry {
  return {
    label: 'peers',
    final: false,
    budgetMs: () => PEERS_BUDGET_MS,
    silenceMs: PEERS_SILENCE_MS,
    // Who is silent now may be found next time: peers come and go.
    wasSlow: () => {},
    refresh: () => {},
    condition: () => undefined,
    find: async (name, local, signal) => {
      const node = await nodeOf()
      if (node === undefined) throw noFleet(name)
      return node.find(name, local, signal)
    },
    fetch: async (catalog, totals, onProgress, signal) => {
      const node = await nodeOf()
      if (node === undefined) throw noFleet(catalog.name)
      const sources = node.sourcesFor(catalog.name, catalog.sha256)
      // Where the catalog came from the library, nobody was asked yet: this waits for holders, or says why there are none.
      if (sources.list().length === 0) await node.find(catalog.name, catalog.sha256, signal)
      await fetchEnvironment({ library, sources }, catalog, totals, onProgress, signal)
    },
    [Symbol.asyncDispose]: async () => {},
  }
}
