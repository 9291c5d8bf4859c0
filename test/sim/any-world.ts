/**
 * Any small crowd, with anything that may go wrong in one, from a seed.
 *
 * One seed of it is honest, stays up, and is linked with everybody; whatever else there is may lie, be silent, be slow,
 * vanish, or be cut off for a while. So every fetch must end.
 */
import { type Random, seededRandom } from '../../src/base/random.ts'
import type { Behaviour } from './transfer-host.ts'
import { fullMesh, type HostPlan, type Partition, somePieces, type WorldOptions } from './transfer-world.ts'

const MIB = 1024 * 1024
/** 100 Mbit/s. */
const USUAL = 12_500_000
const BAD: readonly Behaviour[] = ['liar', 'liar', 'mute', 'refuser', 'trickler']

export function anyWorld(seed: number): WorldOptions {
  const random = seededRandom(seed)
  const chance = (share: number) => random.next() < share
  const between = (least: number, most: number) => least + Math.floor(random.next() * (most - least + 1))
  const count = between(1, 40)
  const hostCount = between(2, 9)
  const badShare = chance(0.5) ? 0 : 0.6 * random.next()
  const hosts = Array.from({ length: hostCount }, (_, id): HostPlan => {
    const isBad = id > 1 && chance(badShare)
    const rates = {
      upBytesPerSecond: USUAL * (chance(0.2) ? 0.01 + random.next() : 1),
      downBytesPerSecond: USUAL * (chance(0.1) ? 0.1 + random.next() : 1),
    }
    const startMs = chance(0.7) ? 0 : between(0, 3000)
    const plan = {
      ...rates,
      startMs,
      isSeed: id === 0 || chance(0.1),
      behaviour: isBad ? pick(BAD, random) : ('honest' as const),
    }
    if (id === 0 || !chance(0.2)) return plan
    const vanishMs = startMs + between(1, 2000)
    return chance(0.5) ? { ...plan, vanishMs } : { ...plan, vanishMs, returnMs: vanishMs + between(1, 5000) }
  })
  const partitions = chance(0.25) ? [anyPartition(hostCount, random)] : []
  const hasTable = chance(0.5)
  return {
    seed,
    ...somePieces(count, chance(0.8) ? MIB / 4 : MIB, random),
    blobOf: anyBlobs(count, random),
    hasTable,
    hosts,
    links: fullMesh(hostCount),
    partitions,
    latencyMs: chance(0.8) ? 0.25 : between(1, 40),
    announceMs: 100,
    slots: chance(0.7) ? 16 : between(1, 4),
    inFlightBytesMax: chance(0.7) ? 64 * MIB : between(1, 4) * MIB,
    sendsRests: seed % 4 > 0,
  }
}

function anyPartition(hostCount: number, random: Random): Partition {
  const fromMs = random.next() * 1500
  const hosts = new Set<number>()
  for (let id = 0; id < hostCount; id++) if (random.next() < 0.5) hosts.add(id)
  return { fromMs, toMs: fromMs + random.next() * 15_000, hosts }
}

/** The first pieces are groups of whole blobs, the others ranges of blobs of up to seven. */
function anyBlobs(count: number, random: Random): WorldOptions['blobOf'] {
  const blobs: (readonly number[] | undefined)[] = []
  const groups = Math.floor(random.next() * count)
  while (blobs.length < groups) blobs.push(undefined)
  while (blobs.length < count) {
    const length = Math.min(count - blobs.length, 2 + Math.floor(random.next() * 6))
    const ranges = Array.from({ length }, (_, index) => blobs.length + index)
    for (let index = 0; index < length; index++) blobs.push(ranges)
  }
  return (piece) => blobs[piece]
}

function pick(behaviours: readonly Behaviour[], random: Random): Behaviour {
  return behaviours[Math.floor(random.next() * behaviours.length)] ?? 'honest'
}
