/** The fleet through a node of this process: a daemon's for its lifetime, or one that a command starts when peers are asked. */
import { HoloError } from '../base/errors.ts'
import { PEERS_BUDGET_MS, PEERS_SILENCE_MS } from '../base/substituter-limits.ts'
import type { Digest } from '../blob/digest.ts'
import type { Library } from '../store/library.ts'
import type { VerifiedCatalog } from '../trust/verify-catalog.ts'
import { fetchEnvironment } from './fetch-environment.ts'
import { type FleetNode, noFleet } from './fleet-node.ts'
import type { Machine } from './machine.ts'
import type { OrderedEntry } from './ordered-supply.ts'
import { offerJudge, type TrustOptions } from './trust.ts'

export interface PeersPlace {
  readonly machine: Machine
  readonly library: Library
  /** How holders are judged that are looked for while something is fetched. */
  readonly trust: TrustOptions
}

/** @param nodeOf undefined where this machine belongs to no fleet; asked before each question */
export function peersSupply(
  nodeOf: () => Promise<FleetNode | undefined>,
  { machine, library, trust: fetchTrust }: PeersPlace,
): OrderedEntry {
  return {
    label: 'peers',
    budgetMs: () => PEERS_BUDGET_MS,
    silenceMs: PEERS_SILENCE_MS,
    // Who is silent now may be found next time: peers come and go.
    wasSlow: () => {},
    refresh: () => {},
    condition: () => undefined,
    find: async (name, local, trust, signal) => {
      const node = await nodeOf()
      if (node === undefined) throw noFleet(name)
      return node.find(name, local, await offerJudge(machine, trust), signal)
    },
    fetch: async (catalog, totals, onProgress, signal) => {
      const node = await nodeOf()
      if (node === undefined) throw noFleet(catalog.name)
      const place = {
        library,
        stateDirectory: machine.state.directory,
        sourcesFor: (digests: readonly Digest[]) => node.sourcesFor(catalog.sha256, digests),
        exchange: node.exchange,
      }
      // Where the catalog came from the library, nobody was asked yet: this waits for holders.
      const nowhere = node.isHeld(catalog.sha256)
        ? undefined
        : await whyNowhere(node, catalog, { machine, trust: fetchTrust }, signal)
      try {
        await fetchEnvironment(place, catalog, totals, onProgress, signal)
      } catch (error) {
        signal.throwIfAborted()
        // Those who hold other environments share some of its blobs, but not all.
        throw nowhere !== undefined && error instanceof HoloError && error.blame === 'missing' ? nowhere : error
      }
    },
    [Symbol.asyncDispose]: async () => {},
  }
}

/** @returns why nobody holds it, undefined where somebody does */
async function whyNowhere(
  node: FleetNode,
  { name, sha256 }: VerifiedCatalog,
  { machine, trust }: Pick<PeersPlace, 'machine' | 'trust'>,
  signal: AbortSignal,
): Promise<HoloError | undefined> {
  try {
    await node.find(name, sha256, await offerJudge(machine, trust), signal)
    return undefined
  } catch (error) {
    if (error instanceof HoloError && error.code === 'environment-nowhere') return error
    throw error
  }
}
