/**
 * packages/udx beside the real udx-native on Node: throughput and request-response latency over the paths of
 * bench/udx-paths.ts, two processes, one stream, no encryption.
 *
 * `bun bench/udx.ts [ROUNDS] [MEGABYTES] [PATH]`. Every round measures all four pairs one after the other, and each ratio is
 * taken to the native pair of the same round, so that a busy machine spoils both; the table gives medians over the
 * rounds. `PATH` keeps to paths whose name contains it. `ip`, `nft` and root are needed for the LAN.
 */
import { Peer, type PeerReport } from '../test/udx/support/peer.ts'
import { lan, loopback, relayed, type UdxPath } from './udx-paths.ts'

const rounds = Number(process.argv[2] ?? 5)
const megabytes = Number(process.argv[3] ?? 200)
const wanted = process.argv[4] ?? ''
const PINGS = 2100

type Runtime = 'bun' | 'node'
const COMMANDS: Record<Runtime, string> = { bun: process.execPath, node: 'node' }
const PAIRS = ['node to node', 'bun to bun', 'node to bun', 'bun to node'] as const
type Pair = (typeof PAIRS)[number]

interface Measured {
  rate: number
  meanMs: number
  p99Ms: number
}

async function once(path: UdxPath, pair: Pair, seed: number, options: { bytes?: number; pings?: number }) {
  const [sender, receiver] = pair.split(' to ') as [Runtime, Runtime]
  const [left, right] = path.ends
  const common = { hash: false, ...options }
  const active = new Peer([...left.prefix, COMMANDS[sender]], {
    ...common,
    ...{ id: 1, remoteId: 2, role: 'active', listen: left.address, host: right.address },
  })
  const passive = new Peer([...right.prefix, COMMANDS[receiver]], {
    ...common,
    ...{ id: 2, remoteId: 1, role: 'passive', listen: right.address, bytes: 0, expect: options.bytes ?? 0 },
  })
  const between = await path.between(await active.port(), await passive.port(), seed)
  passive.meet(between.right)
  active.meet(between.left)
  const reports: [PeerReport, PeerReport] = [await active.report(), await passive.report()]
  await between.done()
  return reports
}

async function measure(path: UdxPath, pair: Pair, seed: number): Promise<Measured> {
  const [, received] = await once(path, pair, seed, { bytes: megabytes * 1e6 })
  const rate = received.received / 1000 / received.ms
  if (path.name.includes('lost')) return { rate, meanMs: Number.NaN, p99Ms: Number.NaN }
  const [{ latencyMs, latencyP99Ms }] = await once(path, pair, seed, { pings: PINGS })
  return { rate, meanMs: latencyMs, p99Ms: latencyP99Ms }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

/** The median of `figure`, and of its ratio to the native pair. */
function cell(results: Map<Pair, Measured[]>, pair: Pair, figure: keyof Measured, digits: number): string {
  const own = (results.get(pair) ?? []).map((measured) => measured[figure])
  const native = (results.get('node to node') ?? []).map((measured) => measured[figure])
  if (own.some(Number.isNaN)) return ''.padStart(15)
  const ratio = median(own.map((value, round) => value / (native[round] ?? Number.NaN)))
  return `${median(own).toFixed(digits).padStart(8)} ${`×${ratio.toFixed(2)}`.padStart(6)}`
}

const paths = [
  ...[loopback(), lan(0), lan(1), relayed({ roundTripMs: 20, jitterMs: 2, loss: 0.01 })],
  relayed({ roundTripMs: 20, jitterMs: 2, loss: 0.05 }),
].filter((path) => path !== undefined)

for (const path of paths) {
  if (!path.name.includes(wanted)) continue
  const results = new Map<Pair, Measured[]>(PAIRS.map((pair) => [pair, []]))
  for (let round = 0; round < rounds; round++)
    for (const pair of PAIRS) results.get(pair)?.push(await measure(path, pair, round + 1))
  console.log(`\n${path.name}: ${megabytes} MB and ${PINGS - 100} pings, medians of ${rounds} rounds`)
  console.log(
    `${'sender to receiver'.padEnd(20)}${['MB/s', 'mean ms', 'p99 ms'].map((name) => name.padStart(15)).join('')}`,
  )
  for (const pair of PAIRS) {
    const cells = [cell(results, pair, 'rate', 0), cell(results, pair, 'meanMs', 3), cell(results, pair, 'p99Ms', 3)]
    console.log(`${pair.padEnd(20)}${cells.join('')}`)
  }
}
for (const path of paths) await path[Symbol.asyncDispose]()
