/**
 * `bun bench/lan.ts [PAIRS]`: a whole environment from one LAN peer, against `tar` over a socket, pair by pair.
 *
 * Two hosts as in test/netns (root and iproute2 needed), the golden environment v1, nothing shaped. The baselines move
 * the same blobs by `tar` through a plain TCP connection, gzip as the sender has them and raw as the receiver keeps
 * them; they verify nothing and restore nothing. `TMPDIR` decides on which file system all this happens.
 */
import * as fs from 'node:fs'
import { join } from 'node:path'
import { distinctBlobs } from '../src/catalog/walk.ts'
import { Library } from '../src/store/library.ts'
import { FleetHost, fleetObstacle, SPACES } from '../test/support/fleet-hosts.ts'
import { environmentRoots, environmentVersion } from '../test/support/golden.ts'
import { Lan } from '../test/support/lan.ts'
import { median } from './restore/rows.ts'
import { tarMs } from './transfer/socket-copy.ts'

const obstacle = fleetObstacle()
if (obstacle !== undefined) {
  console.log(`This benchmark cannot run here: ${obstacle}.`)
  process.exit(1)
}
const pairs = Number(process.argv[2] ?? 5)

const found = new Library(environmentRoots()).catalog(environmentVersion(1).name)
if (found === undefined) throw new Error('the golden library has no v1')
const blobs = distinctBlobs(found.catalog)

/** Milliseconds from the start of the receiving tar to its end. */
function tarOf(from: FleetHost, to: FleetHost): Promise<number> {
  return tarMs(from.host, to.host, join(from.host.home, 'hololib'), blobs)
}

async function restoreMs(b: FleetHost): Promise<{ whole: number; fetch: number; firstByte: number }> {
  fs.rmSync(join(b.host.home, 'hololib'), { recursive: true, force: true })
  fs.rmSync(join(b.host.golden, 'holotree'), { recursive: true, force: true })
  const startedMs = performance.now()
  const report = await b.restore('v1')
  const whole = performance.now() - startedMs
  if (report.exitCode !== 0) throw new Error(JSON.stringify(report.error))
  return { whole, fetch: report.ms.find + report.ms.fetch, firstByte: report.firstByteMs }
}

async function versionMs(b: FleetHost): Promise<number> {
  const startedMs = performance.now()
  await b.run('--version')
  return performance.now() - startedMs
}

await using lan = new Lan()
const a = FleetHost.withLibrary(lan)
const b = FleetHost.on(lan)
const { invite } = await a.report('fleet', 'create', 'bench')
const { address } = await a.startDaemon()
await b.report('fleet', 'join', invite, '--bootstrap', address)

const rows: { tar: number; rawTar: number; whole: number; fetch: number; firstByte: number; version: number }[] = []
await restoreMs(b)
for (let pair = 0; pair < pairs; pair++)
  rows.push({
    tar: await tarOf(a, b),
    ...(await restoreMs(b)),
    rawTar: await tarOf(b, a),
    version: await versionMs(b),
  })

const column = (name: keyof (typeof rows)[number]) =>
  median(rows.map((row) => row[name]))
    .toFixed(0)
    .padStart(6)
const ratio = (name: 'tar' | 'rawTar') => median(rows.map((row) => row.whole / row[name])).toFixed(2)
console.log(`golden environment v1 into space ${SPACES.v1}, medians of ${pairs} pairs, whole processes, ms`)
console.log(`  tar over a socket, gzip blobs: unverified, not restored    ${column('tar')}`)
console.log(`  tar over a socket, raw blobs                               ${column('rawTar')}`)
console.log(`  holo-peer restore, start to exit                           ${column('whole')}`)
console.log(`    of these: find and fetch, verified                       ${column('fetch')}`)
console.log(`    process start to the first byte of a blob                ${column('firstByte')}`)
console.log(`  restore / tar of gzip blobs ${ratio('tar')}, of raw blobs ${ratio('rawTar')}`)
console.log(`  holo-peer --version, start to exit (with ip netns exec)    ${column('version')}`)
