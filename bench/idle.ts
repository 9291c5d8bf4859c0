/**
 * What an idle daemon costs among 8 peers: `bun bench/idle.ts [settle seconds] [measured seconds]`.
 *
 * Nine hosts as in test/netns (root and iproute2 needed), the compiled binary, empty libraries, found by multicast. Prints
 * the share of a core, UDP packets a minute per peer (both directions, multicast included), resident memory.
 */
import * as fs from 'node:fs'
import { FleetHost, hostObstacle } from '../test/support/fleet-hosts.ts'
import { Lan } from '../test/support/lan.ts'

const obstacle = hostObstacle()
if (obstacle !== undefined) {
  console.log(`This benchmark cannot run here: ${obstacle}.`)
  process.exit(1)
}
const [settleSeconds = 300, seconds = 120] = process.argv.slice(2).map(Number)
const PEERS = 8
const TICKS_PER_SECOND = 100

/** The process of the daemon itself: what was spawned execs into it. */
function figuresOf(pid: number): { cpuSeconds: number; residentBytes: number; wakeups: number } {
  const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const status = fs.readFileSync(`/proc/${pid}/status`, 'utf8')
  const number = (name: string) => Number(new RegExp(`^${name}:\\s*(\\d+)`, 'm').exec(status)?.[1])
  return {
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND,
    residentBytes: number('VmRSS') * 1024,
    wakeups: number('voluntary_ctxt_switches'),
  }
}

/** UDP only: what ARP adds is the kernel's. */
const COUNTERS = `table inet count {
  chain in { type filter hook input priority 0; iifname "eth0" meta l4proto udp counter; }
  chain out { type filter hook output priority 0; oifname "eth0" meta l4proto udp counter; }
}`

async function packetsOf(host: FleetHost): Promise<number> {
  const { stdout } = await host.host.run(['nft', 'list', 'ruleset'])
  return [...stdout.matchAll(/counter packets (\d+)/g)].reduce((sum, [, packets]) => sum + Number(packets), 0)
}

await using lan = new Lan()
const hosts = Array.from({ length: PEERS + 1 }, () => FleetHost.on(lan))
const [first, ...others] = hosts
if (first === undefined) throw new Error('no host')
const { invite } = await first.report('fleet', 'create', 'bench')
for (const other of others) await other.join({ invite })
first.host.nft(COUNTERS)
const { process: daemon } = await first.startDaemon()
for (const other of others) await other.startDaemon()
const met = await first.connectedWith(...others.map(({ host }) => host.address))
console.log(`${PEERS} peers connected ${Math.round(met)} ms after the last was ready`)

await Bun.sleep(settleSeconds * 1000)
const [before, packetsBefore] = [figuresOf(daemon.pid), await packetsOf(first)]
await Bun.sleep(seconds * 1000)
const [after, packetsAfter] = [figuresOf(daemon.pid), await packetsOf(first)]
const share = ((after.cpuSeconds - before.cpuSeconds) / seconds) * 100
const packets = ((packetsAfter - packetsBefore) / seconds) * 60
console.log(`an idle daemon among ${PEERS} peers, ${seconds} s after ${settleSeconds} s`)
console.log(`  processor           ${share.toFixed(2)} % of a core`)
console.log(`  packets             ${(packets / PEERS).toFixed(1)} a minute per peer, both directions together`)
console.log(`  resident memory     ${(after.residentBytes / 1e6).toFixed(0)} MB`)
console.log(`  main thread wakes   ${((after.wakeups - before.wakeups) / seconds).toFixed(1)} times a second`)
