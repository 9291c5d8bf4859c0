/**
 * Throughput and latency of packages/udx on loopback, beside udx-native on Node in the same minute: two processes, one
 * stream, no encryption. `bun bench/udx.ts [megabytes]`.
 */
import { Peer, type PeerReport } from '../test/udx/support/peer.ts'

const megabytes = Number(process.argv[2] ?? 300)
type Runtime = 'bun' | 'node'

const commands: Record<Runtime, string> = { bun: process.execPath, node: 'node' }

async function run(sender: Runtime, receiver: Runtime, options: { bytes?: number; pings?: number }) {
  const active = new Peer(commands[sender], { id: 1, remoteId: 2, role: 'active', hash: false, ...options })
  const expect = options.bytes ?? 0
  const passive = new Peer(commands[receiver], {
    ...options,
    id: 2,
    remoteId: 1,
    role: 'passive',
    hash: false,
    bytes: 0,
    expect,
  })
  const [here, there] = [await active.port(), await passive.port()]
  passive.meet(here)
  active.meet(there)
  const reports: [PeerReport, PeerReport] = [await active.report(), await passive.report()]
  return reports
}

const pairs: [Runtime, Runtime][] = [
  ['node', 'node'],
  ['bun', 'bun'],
  ['node', 'bun'],
  ['bun', 'node'],
]
for (const [sender, receiver] of pairs) {
  const [sent, received] = await run(sender, receiver, { bytes: megabytes * 1e6 })
  const rate = received.received / 1000 / received.ms
  const [pinged] = await run(sender, receiver, { pings: 2100 })
  console.log(
    `${sender} to ${receiver}: ${rate.toFixed(0)} MB/s, ${sent.retransmits} retransmits;`,
    `round trip ${pinged.latencyMs.toFixed(3)} ms`,
  )
}
