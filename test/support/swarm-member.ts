/**
 * A member of a fleet as a process, for tests on several hosts:
 * `bun swarm-member.ts daemon|client PORT PEERS [multicast] [BOOTSTRAP…]`. Prints a line of JSON when it is up, and one when it is
 * connected with PEERS others; a client then finds the catalog, prints a third and leaves.
 */
import { never, systemClock } from '../../src/base/clock.ts'
import { parseHostPort } from '../../src/base/host-port.ts'
import { systemRandom } from '../../src/base/random.ts'
import { startHyperswarm } from '../../src/discovery/hyperswarm.ts'
import { keyPairFrom, randomSecret } from '../../src/trust/keys.ts'
import { ownWord } from '../../src/trust/publication.ts'
import { CATALOG, connectedSwarm, emptyCatalog, until } from './members.ts'

// A wall clock that is wrong, for everything that looks at it.
const wrongMs = Number(process.env.CLOCK_WRONG_MS ?? 0)
const now = Date.now
Date.now = () => now() + wrongMs

const SECRET = new Uint8Array(32).fill(1)
const [mode, port = '0', peers = '0', ...bootstraps] = process.argv.slice(2)
const tell = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`)

const discovery = await startHyperswarm(
  {
    keyPair: keyPairFrom(randomSecret()),
    mode: mode === 'client' ? 'client' : 'daemon',
    bootstraps: bootstraps.map(parseHostPort).filter((each) => each !== undefined),
    port: Number(port),
    dht: 'private',
    delegation: undefined,
    secrets: () => [SECRET],
    multicast: bootstraps.includes('multicast'),
    refuses: () => false,
    clock: systemClock,
    random: systemRandom,
  },
  never,
)
const { swarm, library } = connectedSwarm(SECRET, mode === 'client' ? 'client' : 'daemon', discovery)
library.hold(emptyCatalog())
const joined = discovery.join(new Uint8Array(32).fill(2))
if (mode !== 'client') await joined.flushed(never)
tell({ up: discovery.bootstrapAddresses.map(({ host }) => host) })
await until(swarm, () => swarm.peers().length >= Number(peers))
tell({
  peers: swarm
    .peers()
    .map(({ address }) => address.split(':')[0])
    .sort(),
})
if (mode === 'client') {
  const found = await swarm.find(
    CATALOG,
    { waitMs: 5_000, judge: () => ownWord, settled: (inner) => discovery.settled(inner) },
    never,
  )
  tell({ found: found?.catalog.name })
  await swarm[Symbol.asyncDispose]()
  await discovery[Symbol.asyncDispose]()
  process.exit(0)
}
