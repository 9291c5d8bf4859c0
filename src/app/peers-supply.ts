/** The fleet through a node of this process: a daemon's for its lifetime, or one that a command starts when peers are asked. */
import { systemClock } from '../base/clock.ts'
import { HoloError } from '../base/errors.ts'
import { PEERS_BUDGET_MS, PEERS_MISS_MS, PEERS_SILENCE_MS } from '../base/substituter-limits.ts'
import type { Digest } from '../blob/digest.ts'
import type { FetchTotals } from '../blob/fetch-all.ts'
import type { CatalogName } from '../catalog/tree.ts'
import type { Library } from '../store/library.ts'
import type { VerifiedCatalog } from '../trust/verify-catalog.ts'
import { fetchEnvironment } from './fetch-environment.ts'
import { fetchShared } from './fetch-shared.ts'
import type { FleetNode } from './fleet-node.ts'
import type { Machine } from './machine.ts'
import { noFleet } from './nobody-has-it.ts'
import type { EntryFetch, OrderedEntry } from './ordered-supply.ts'
import type { FetchProgress } from './supply.ts'
import { offerJudge, type TrustOptions } from './trust.ts'

export interface PeersPlace {
  readonly machine: Machine
  readonly library: Library
  /** How holders are judged that are looked for while something is fetched. */
  readonly trust: TrustOptions
  /** Nobody else is asked: then it is worth to wait for machines that may still come. */
  readonly alone: boolean
}

/** @param nodeOf undefined where this machine belongs to no fleet; asked before each question */
export function peersSupply(nodeOf: () => Promise<FleetNode | undefined>, place: PeersPlace): OrderedEntry {
  let missed: { readonly name: CatalogName; readonly atMs: number } | undefined
  const nodeFor = async (name: CatalogName): Promise<FleetNode> => {
    const node = await nodeOf()
    if (node === undefined) throw noFleet(name)
    return node
  }
  return {
    label: 'peers',
    wan: place.alone ? 'waits' : 'never',
    budgetMs: () => PEERS_BUDGET_MS,
    silenceMs: PEERS_SILENCE_MS,
    // Who is silent now may be found next time: peers come and go.
    wasSlow: () => {},
    refresh: () => {},
    condition: () => undefined,
    find: async (name, local, trust, signal) => {
      try {
        const node = await nodeFor(name)
        return await node.find(name, local, await offerJudge(place.machine, trust), signal)
      } catch (error) {
        missed = { name, atMs: systemClock.nowMs() }
        throw error
      }
    },
    fetch: async ({ catalog, totals, onProgress, lend }, signal) => {
      const node = await nodeFor(catalog.name)
      const justMissed = missed?.name === catalog.name && systemClock.nowMs() - missed.atMs < PEERS_MISS_MS
      const isHeld = node.isHeld(catalog.sha256)
      // Where the catalog came from the library, nobody was asked yet: this waits for holders.
      const waits = !isHeld && (place.alone || !justMissed)
      const nowhere = waits ? await whyNowhere(node, catalog, place, signal) : undefined
      if (place.alone || isHeld || node.isHeld(catalog.sha256)) {
        return fetchHeld(node, catalog, { ...place, nowhere, lend }, totals, onProgress, signal)
      }
      await shareWith(node, catalog, place.library, totals, onProgress, signal)
      throw nowhere ?? nobodyHolds(catalog)
    },
    [Symbol.asyncDispose]: async () => {},
  }
}

interface HeldPlace extends PeersPlace, Pick<EntryFetch, 'lend'> {
  /** Why nobody holds it, where nobody does. */
  readonly nowhere: HoloError | undefined
}

async function fetchHeld(
  node: FleetNode,
  catalog: VerifiedCatalog,
  { machine, library, nowhere, lend }: HeldPlace,
  totals: FetchTotals,
  onProgress: FetchProgress,
  signal: AbortSignal,
): Promise<void> {
  const place = {
    library,
    stateDirectory: machine.state.directory,
    sourcesFor: (digests: readonly Digest[]) => node.sourcesFor(catalog.sha256, digests),
    exchange: node.exchange,
    lend,
  }
  try {
    await fetchEnvironment(place, catalog, totals, onProgress, signal)
  } catch (error) {
    signal.throwIfAborted()
    // Those who hold other environments share some of its blobs, but not all.
    throw nowhere !== undefined && error instanceof HoloError && error.blame === 'missing' ? nowhere : error
  }
}

async function shareWith(
  node: FleetNode,
  { catalog, sha256 }: VerifiedCatalog,
  library: Library,
  totals: FetchTotals,
  onProgress: FetchProgress,
  signal: AbortSignal,
): Promise<void> {
  const missing = await library.missing(catalog, signal)
  const sources = node.sourcesFor(
    sha256,
    missing.map(({ digest }) => digest),
  )
  const told = (moment: FetchTotals) => onProgress(moment, missing.length)
  try {
    await fetchShared(missing, { store: library, sources, totals, onProgress: told }, signal)
  } finally {
    library.notes.flush()
  }
}

/** @returns why nobody holds it, undefined where somebody does */
async function whyNowhere(
  node: FleetNode,
  { name, sha256 }: VerifiedCatalog,
  { machine, trust, alone }: PeersPlace,
  signal: AbortSignal,
): Promise<HoloError | undefined> {
  try {
    await node.find(name, sha256, await offerJudge(machine, trust), signal)
    return undefined
  } catch (error) {
    const isMiss = error instanceof HoloError && (error.code === 'environment-nowhere' || !alone)
    if (!isMiss || error.blame !== 'missing') throw error
    return error
  }
}

function nobodyHolds({ name }: VerifiedCatalog): HoloError {
  return new HoloError(`No machine of the fleet holds all of ${name}`, {
    code: 'environment-nowhere',
    blame: 'missing',
    hint: 'let rcc build it on one machine that runs `holo-peer daemon`; the others then get it from there',
  })
}
