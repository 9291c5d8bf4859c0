/**
 * More daemons in one process than anybody has connections, each with an environment that nobody else has; then a command
 * that looks for all of them: `bun rare-crowd.ts COUNT`. Prints a line of JSON when it has.
 */
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FleetNode } from '../../src/app/fleet-node.ts'
import { type Machine, thisMachine } from '../../src/app/machine.ts'
import { never } from '../../src/base/clock.ts'
import { PEERS_WANTED, RARE_LOOK_MS } from '../../src/base/limits.ts'
import { parseCatalogName } from '../../src/catalog/names.ts'
import type { CatalogName } from '../../src/catalog/tree.ts'
import { DEFAULT_SETTINGS, type Settings } from '../../src/config/settings.ts'
import { createFleet } from '../../src/trust/fleet.ts'
import { ownWord } from '../../src/trust/publication.ts'
import { emptyCatalog, MemoryLibrary } from './members.ts'

const count = Number(process.argv[2])
const folder = fs.mkdtempSync(join(tmpdir(), 'rare-crowd-'))
const fleets = [createFleet('crowd', new Uint8Array(32).fill(1))]
const nameOf = (index: number) =>
  parseCatalogName(`${index.toString(16).padStart(16, '0')}v12.linux_amd64`) as CatalogName

function machine(index: number): Machine {
  const home = join(folder, String(index))
  fs.mkdirSync(home)
  return thisMachine({ HOME: home, ROBOCORP_HOME: home })
}

function settings(index: number): Settings {
  const { discovery, lane } = DEFAULT_SETTINGS
  const bootstrap = index === 0 ? [] : ['127.0.0.1:20000']
  return {
    ...DEFAULT_SETTINGS,
    discovery: { ...discovery, port: 20_000 + index, bootstrap, multicast: false },
    lane: { ...lane, port: 21_000 + index },
  }
}

const nodes: FleetNode[] = []
for (let index = 0; index < count; index++) {
  const served = new MemoryLibrary()
  served.hold(emptyCatalog('v18.18.1', nameOf(index)))
  const own = { machine: machine(index), settings: settings(index), fleets }
  const options = { ...own, mode: 'daemon', served, passing: undefined } as const
  nodes.push(await FleetNode.start(options, never))
}
// Until then a machine may hope that everybody is its neighbour, and announces nothing.
const least = () => Math.min(...nodes.map((node) => node.peers().length))
while (least() < Math.min(PEERS_WANTED, count - 1)) await Bun.sleep(100)
// Then each looks, at the latest, and what it announces is stored.
await Bun.sleep(2 * RARE_LOOK_MS)

const options = {
  machine: machine(count),
  settings: settings(count),
  fleets,
  served: new MemoryLibrary(),
  passing: undefined,
}
const command = await FleetNode.start({ ...options, mode: 'client' }, never)
let mostPeers = 0
async function look(wanted: readonly number[]): Promise<number[]> {
  const missed: number[] = []
  for (const index of wanted) {
    const found = await command.find(nameOf(index), undefined, () => ownWord, never).catch(() => undefined)
    if (found === undefined) missed.push(index)
    mostPeers = Math.max(mostPeers, command.peers().length)
  }
  return missed
}
const first = await look(Array.from({ length: count }, (_, index) => index))
// 72 daemons in one process may take longer to connect than a command waits, on a busy machine.
let missed = first
for (let again = 0; again < 3 && missed.length > 0; again++) missed = await look(missed)
const degrees = nodes.map((node) => node.peers().length)
const most = Math.max(...degrees)
process.stdout.write(
  `${JSON.stringify({ count, missed: missed.length, atFirst: first.length, mostPeers, least: least(), most })}\n`,
)
fs.rmSync(folder, { recursive: true, force: true })
process.exit(0)
