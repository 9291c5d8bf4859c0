/**
 * The shape of large fleets, what is found in them, and what their announcements cost: `bun bench/graph.ts [seed]`.
 *
 * Degree and diameter come from the model of test/sim; the traffic of one announcement is counted in a real DHT of some
 * nodes in this process, and multiplied by how often a daemon announces.
 */
import HyperDHT from 'hyperdht'
import { RARE_CATALOGS_MAX } from '../src/base/limits.ts'
import { seededRandom } from '../src/base/random.ts'
import { growFleet, seekEnvironment, shapeOf } from '../test/sim/fleet-graph.ts'

const seed = Number(process.argv[2] ?? Date.now() % 2 ** 31)
console.log(`seed ${seed}`)
console.log('machines  arrival      dead   one graph  degree least/mean/most  diameter  with room  calls that part two')
for (const machines of [1_000, 10_000])
  for (const arrival of ['one by one', 'all at once'] as const)
    for (const dying of [0, 0.33]) {
      const random = seededRandom(seed)
      const graph = growFleet({ machines, arrival, dying, random })
      const shape = shapeOf(graph, 20, random)
      const { least, mean, most } = shape.degree
      const columns = [
        String(machines).padEnd(8),
        arrival.padEnd(11),
        `${Math.round(dying * 100)} %`.padEnd(5),
        (shape.connected === shape.up ? 'yes' : `${shape.connected} of ${shape.up}`).padEnd(9),
        `${least} / ${mean.toFixed(1)} / ${most}`.padEnd(22),
        String(shape.diameter).padEnd(8),
        `${Math.round(shape.withRoom * 100)} %`.padEnd(9),
        `${((graph.parted / graph.calls) * 100).toFixed(1)} %`,
      ]
      console.log(columns.join('  '))
    }

console.log('machines  hold it  announce it  missed by 1,000 seekers: by neighbours alone  with announcements')
for (const machines of [1_000, 10_000]) {
  const random = seededRandom(seed)
  const graph = growFleet({ machines, arrival: 'one by one', dying: 0, random })
  for (const holders of [1, 3, 10, 30, 100, 300, 1_000]) {
    const { announcing, missed, missedBefore } = seekEnvironment(graph, Math.min(holders, machines), 1_000, random)
    const columns = [String(machines).padEnd(8), String(holders).padEnd(7), String(announcing).padEnd(11)]
    console.log([...columns, String(missedBefore).padEnd(44), missed].join('  '))
  }
}

/** A daemon announces this often once it is settled: Pace's longest wait, and the server's own record. */
const ANNOUNCEMENTS_PER_HOUR = 12 + 12
/** A catalog that few hold: every ten to twelve minutes. */
const RARE_ANNOUNCEMENTS_PER_HOUR = 60 / 11
for (const nodes of [9, 40, 120]) {
  const first = HyperDHT.bootstrapper(20_100, '127.0.0.1', { host: '127.0.0.1' })
  await first.fullyBootstrapped()
  const bootstrap = [{ host: '127.0.0.1', port: 20_100 }]
  const others: HyperDHT[] = []
  for (let node = 1; node < nodes; node++) {
    const other = HyperDHT.bootstrapper(20_100 + node, '127.0.0.1', { host: '127.0.0.1', bootstrap })
    await other.fullyBootstrapped()
    others.push(other)
  }
  const announcing = new HyperDHT({ bootstrap, port: [0, 1], ephemeral: true, firewalled: false })
  await announcing.fullyBootstrapped()
  const before = announcing.stats.requests.total
  const topic = Buffer.alloc(32, nodes)
  await announcing.announce(topic, announcing.defaultKeyPair).finished()
  const requests = announcing.stats.requests.total - before
  const perHour = requests * 2 * ANNOUNCEMENTS_PER_HOUR
  const beforeLookup = announcing.stats.requests.total
  for await (const _answer of announcing.lookup(topic));
  const lookup = (announcing.stats.requests.total - beforeLookup) * 2
  const rarePerHour = Math.round(requests * 2 * RARE_ANNOUNCEMENTS_PER_HOUR)
  console.log(`a DHT of ${nodes} nodes: ${requests} requests an announcement, ${perHour} packets an hour and daemon`)
  console.log(
    `  a rare catalog ${rarePerHour} packets an hour, ${RARE_CATALOGS_MAX} of them ${rarePerHour * RARE_CATALOGS_MAX}; a look-up ${lookup} packets`,
  )
  await Promise.all([announcing, ...others, first].map((each) => each.destroy({ force: true })))
}
process.exit(0)
