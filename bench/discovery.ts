/**
 * How soon a machine that starts has its first peer: `bun bench/discovery.ts [runs]`.
 *
 * Two hosts as in test/netns (root and iproute2 needed), the compiled binary; one daemon is up, the other is started anew
 * for every run, by turns told nothing (multicast) and told one address. From process start until it says that a peer
 * has joined; and from process start to the end of a restore's look-up, without a daemon.
 */
import * as fs from 'node:fs'
import { join } from 'node:path'
import { FleetHost, hostObstacle } from '../test/support/fleet-hosts.ts'
import { Lan } from '../test/support/lan.ts'

const obstacle = hostObstacle()
if (obstacle !== undefined) {
  console.log(`This benchmark cannot run here: ${obstacle}.`)
  process.exit(1)
}
const runs = Number(process.argv[2] ?? 20)

await using lan = new Lan()
const [a, b] = [FleetHost.withSmallLibrary(lan), FleetHost.on(lan)]
const { invite } = await a.report('fleet', 'create', 'bench')
await b.join({ invite })
const { address } = await a.startDaemon()

/** Milliseconds until the daemon says that a peer has joined. */
async function firstPeerMs(): Promise<number> {
  const startedMs = performance.now()
  const daemon = b.host.spawn([b.binary, 'daemon'])
  let log = ''
  for await (const text of daemon.stderr.pipeThrough(new TextDecoderStream())) {
    log += text
    if (log.includes(' joined (')) break
  }
  const ms = performance.now() - startedMs
  daemon.kill('SIGTERM')
  await daemon.exited
  return ms
}

async function lookUpMs(): Promise<number> {
  fs.rmSync(join(b.host.home, 'hololib'), { recursive: true, force: true })
  return (await b.restoreSmall(1, '--dry-run')).ms.find
}

function tell(what: string, values: number[]): void {
  const sorted = values.sort((left, right) => left - right)
  const at = (share: number) => sorted[Math.floor((sorted.length - 1) * share)]?.toFixed(0)
  console.log(`${what.padEnd(46)} p50 ${at(0.5)} ms, p90 ${at(0.9)} ms, most ${at(1)} ms`)
}

const times = { multicast: [] as number[], address: [] as number[], lookUp: [] as number[] }
for (let run = 0; run < runs; run++) {
  b.settings({})
  times.multicast.push(await firstPeerMs())
  times.lookUp.push(await lookUpMs())
  b.settings({ discovery: { multicast: false, bootstrap: [address] } })
  times.address.push(await firstPeerMs())
}
console.log(`${runs} runs`)
tell('daemon, first peer, told nothing', times.multicast)
tell('daemon, first peer, told one address', times.address)
tell('restore without a daemon, found by multicast', times.lookUp)
