/**
 * Many daemons in one process, found by multicast: `bun crowd.ts COUNT [stay]`. Prints a line of JSON when they are one graph in
 * which each has `PEERS_WANTED` links at least (or all others), with the milliseconds that it took, and those until nobody was
 * alone any more.
 */
import { never, systemClock } from '../../src/base/clock.ts'
import { PEERS_WANTED } from '../../src/base/limits.ts'
import { systemRandom } from '../../src/base/random.ts'
import { startHyperswarm } from '../../src/discovery/hyperswarm.ts'
import type { FleetSwarm } from '../../src/peer/fleet-swarm.ts'
import { keyPairFrom, randomSecret } from '../../src/trust/keys.ts'
import { connectedSwarm } from './members.ts'

const count = Number(process.argv[2])
const stays = process.argv[3] === 'stay'
const secret = new Uint8Array(32).fill(1)
const startedMs = performance.now()
const swarms = new Map<string, FleetSwarm>()
let noneAloneMs: number | undefined
const hex = (key: Uint8Array) => Buffer.from(key).toString('hex')

function isWhole(): boolean {
  const neighbours = new Map(
    [...swarms].map(([key, swarm]) => [key, swarm.peers().map((peer) => hex(peer.machineKey))]),
  )
  const wanted = Math.min(PEERS_WANTED, count - 1)
  if (neighbours.size < count || [...neighbours.values()].some((keys) => keys.length < wanted)) return false
  const reached = new Set([...swarms.keys()].slice(0, 1))
  for (const key of reached) for (const other of neighbours.get(key) ?? []) reached.add(other)
  return reached.size === count
}

for (let index = 0; index < count; index++) {
  const keyPair = keyPairFrom(randomSecret())
  const discovery = await startHyperswarm(
    {
      keyPair,
      mode: 'daemon',
      bootstraps: [],
      port: 40_000 + index,
      dht: 'private',
      delegation: undefined,
      secrets: () => [secret],
      multicast: true,
      refuses: () => false,
      clock: systemClock,
      random: systemRandom,
    },
    never,
  )
  const { swarm } = connectedSwarm(secret, 'daemon', discovery)
  swarms.set(hex(keyPair.publicKey), swarm)
  swarm.subscribe(() => {
    const least = Math.min(...[...swarms.values()].map((each) => each.peers().length))
    if (swarms.size === count && least > 0) noneAloneMs ??= Math.round(performance.now() - startedMs)
    if (!isWhole()) return
    const degrees = [...swarms.values()].map((each) => each.peers().length)
    const ms = Math.round(performance.now() - startedMs)
    const rssMB = Math.round(process.memoryUsage.rss() / 1e6)
    process.stdout.write(
      `${JSON.stringify({ ms, noneAloneMs, least: Math.min(...degrees), most: Math.max(...degrees), rssMB })}\n`,
    )
    if (!stays) process.exit(0)
  })
  discovery.join(new Uint8Array(32).fill(2))
}
