/**
 * Crowds to measure: an environment, hosts with links of one speed, and figures as the benches of real transfers have.
 */
import { FETCH_IN_FLIGHT_BYTES_MAX } from '../../src/base/limits.ts'
import { seededRandom } from '../../src/base/random.ts'
import { UPLOAD_SLOTS } from '../../src/base/upload-limits.ts'
import { growFleet } from './fleet-graph.ts'
import { fullMesh, type HostPlan, somePieces, World, type WorldOptions } from './transfer-world.ts'

const MIB = 1024 * 1024
/** 100 Mbit/s each way. */
export const LINK_BYTES_PER_SECOND = 12_500_000
/** Up to here everybody knows everybody. */
const MESH_MAX = 25
/** Simulated time after which a run counts as failed. */
const RUN_MS_MAX = 7_200_000

export interface CrowdPlan {
  readonly seed: number
  /** Seeds, and those that fetch. */
  readonly hosts: readonly HostPlan[]
  readonly pieceCount: number
  readonly options?: Partial<WorldOptions>
}

export function host(plan: Partial<HostPlan> = {}): HostPlan {
  return {
    upBytesPerSecond: LINK_BYTES_PER_SECOND,
    downBytesPerSecond: LINK_BYTES_PER_SECOND,
    isSeed: false,
    behaviour: 'honest',
    startMs: 0,
    ...plan,
  }
}

/** `seeds` seeds, and `others` that fetch. */
export function hosts(seeds: number, others: number): HostPlan[] {
  return Array.from({ length: seeds + others }, (_, id) => host({ isSeed: id < seeds }))
}

export interface CrowdFigures {
  /** When each honest host that fetched was done, ms, ascending. */
  readonly doneMs: readonly number[]
  readonly lastMs: number
  readonly medianMs: number
  /** What the first host sent, per environment on the wire. */
  readonly seedShare: number
  /** What all sent, per environment on the wire and host that fetched. */
  readonly allShare: number
}

/** Everybody linked with everybody, or a fleet as it grows. */
export function crowdWorld({ seed, hosts: plans, pieceCount, options }: CrowdPlan): World {
  const random = seededRandom(seed)
  const pieces = somePieces(pieceCount, MIB, random)
  const links: readonly ReadonlySet<number>[] =
    plans.length <= MESH_MAX
      ? fullMesh(plans.length)
      : growFleet({ machines: plans.length, arrival: 'one by one', dying: 0, random }).links.map(
          (own) => own ?? new Set<number>(),
        )
  return new World({
    seed,
    ...pieces,
    blobOf: () => undefined,
    hasTable: true,
    hosts: plans,
    links,
    partitions: [],
    latencyMs: 0.25,
    announceMs: 100,
    slots: UPLOAD_SLOTS,
    inFlightBytesMax: FETCH_IN_FLIGHT_BYTES_MAX,
    ...options,
  })
}

/** @throws {Error} where somebody was not done in time */
export function runCrowd(plan: CrowdPlan): CrowdFigures {
  const { seed } = plan
  const world = crowdWorld(plan)
  if (!world.run(RUN_MS_MAX)) throw new Error(`seed ${seed}: not done after ${RUN_MS_MAX / 1000} simulated seconds`)
  const doneMs = world.hosts.flatMap((each) => each.doneMs ?? []).sort((left, right) => left - right)
  const environment = world.options.wireBytes.reduce((sum, bytes) => sum + bytes, 0)
  const sent = world.hosts.map(({ id }) => world.network.sentBytes(id))
  return {
    doneMs,
    lastMs: doneMs.at(-1) ?? 0,
    medianMs: doneMs[Math.floor(doneMs.length / 2)] ?? 0,
    seedShare: (sent[0] ?? 0) / environment,
    allShare: sent.reduce((sum, bytes) => sum + bytes, 0) / environment / doneMs.length,
  }
}
