/** The fleet through a swarm of this command's own, where no daemon runs. */

import { HoloError } from '../base/errors.ts'
import type { Digest } from '../blob/digest.ts'
import { nothingServed } from '../peer/serve.ts'
import type { Library } from '../store/library.ts'
import type { OfferJudge } from '../trust/judge.ts'
import type { VerifiedCatalog } from '../trust/verify-catalog.ts'
import { fetchEnvironment } from './fetch-environment.ts'
import { fleetsOf } from './fleet.ts'
import { FleetNode, noFleet } from './fleet-node.ts'
import type { Machine } from './machine.ts'
import { settingsOf } from './settings-of.ts'
import type { Supply } from './supply.ts'
import { offerJudge, type TrustOptions } from './trust.ts'

/** @throws {HoloError} blame `input`: settings or fleet are malformed; blame `host`: no UDP port, an exposed secret */
export async function openSwarmSupply(
  machine: Machine,
  library: Library,
  trust: TrustOptions,
  signal: AbortSignal,
): Promise<Supply> {
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
      return node.find(name, local, await offerJudge(machine, trust), inner)
    },
    fetch: async (catalog, totals, onProgress, inner) => {
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
        : await whyNowhere(node, catalog, await offerJudge(machine, trust), inner)
      try {
        await fetchEnvironment(place, catalog, totals, onProgress, inner)
      } catch (error) {
        inner.throwIfAborted()
        // Those who hold other environments share some of its blobs, but not all.
        throw nowhere !== undefined && error instanceof HoloError && error.blame === 'missing' ? nowhere : error
      }
    },
    [Symbol.asyncDispose]: async () => {
      await node?.[Symbol.asyncDispose]()
    },
  }
}

/** @returns why nobody holds it, undefined where somebody does */
async function whyNowhere(
  node: FleetNode,
  { name, sha256 }: VerifiedCatalog,
  judge: OfferJudge,
  signal: AbortSignal,
): Promise<HoloError | undefined> {
  try {
    await node.find(name, sha256, judge, signal)
    return undefined
  } catch (error) {
    if (error instanceof HoloError && error.code === 'environment-nowhere') return error
    throw error
  }
}
