/**
 * `bun bench/substituters.ts [PAIRS]`: a whole environment from a web server, against `curl` of one zip and `unzip`; and what
 * leaves an S3 bucket when eight peers start together.
 *
 * Hosts on a bridge (root, iproute2, nginx, moto_server, curl, zip and unzip needed), the golden environment, nothing shaped, nginx
 * with one process. The baseline verifies nothing and restores nothing. Homes lie in TMPDIR, /dev/shm by default.
 */
import * as fs from 'node:fs'
import { join } from 'node:path'
import { blobEntryName, catalogEntryName } from '../src/catalog/layout.ts'
import { distinctBlobs } from '../src/catalog/walk.ts'
import { Library } from '../src/store/library.ts'
import { FleetHost, fleetObstacle, type Report } from '../test/support/fleet-hosts.ts'
import { environmentRoots, environmentVersion } from '../test/support/golden.ts'
import { Lan } from '../test/support/lan.ts'
import { wanCrowd } from './wan-crowd.ts'

const missing = ['nginx', 'moto_server', 'curl', 'zip', 'unzip'].find(
  (name) => Bun.which(name, { PATH: `${process.env.PATH}:/usr/sbin` }) === null,
)
const obstacle = fleetObstacle() ?? (missing === undefined ? undefined : `${missing} is not installed`)
if (obstacle !== undefined) {
  console.log(`This benchmark cannot run here: ${obstacle}.`)
  process.exit(1)
}
const pairs = Number(process.argv[2] ?? 5)
const PORT = 8080
/** Nobody answers there: the bridge leads nowhere else. */
const GONE = 'http://192.0.2.1:8080/'

function median(values: readonly number[]): number {
  return [...values].sort((left, right) => left - right)[Math.floor(values.length / 2)] ?? Number.NaN
}

const servers: Bun.Subprocess[] = []

/** Start nginx on a host. @returns its URL */
async function serve(host: FleetHost, tree: string, port: number): Promise<string> {
  const at = (name: string) => join(host.host.folder, `${name}-${port}`)
  const places = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${at(name)};`)
  fs.writeFileSync(
    at('nginx.conf'),
    // One process altogether: a worker would outlive a master that is killed, and hold its pipe open.
    `user root; master_process off; daemon off; pid ${at('pid')}; error_log ${at('error.log')};
     events {} http { access_log ${at('access.log')}; ${places.join(' ')} sendfile on;
     server { listen ${port}; root ${tree}; } }`,
  )
  servers.push(host.host.spawn(['nginx', '-c', at('nginx.conf'), '-e', at('error.log')]))
  const url = `http://${host.host.address}:${port}/`
  for (let attempt = 0; attempt < 100; attempt++) {
    if ((await host.host.run(['curl', '-s', '-o', '/dev/null', url])).exitCode === 0) return url
    await Bun.sleep(50)
  }
  throw new Error('nginx does not answer')
}

function requests(host: FleetHost): number {
  return fs.readFileSync(join(host.host.folder, `access.log-${PORT}`), 'utf8').split('\n').length - 1
}

/** One zip of what v1 needs, stored, as the library has it. */
function zipLibrary(hololib: string, target: string): void {
  const { name } = environmentVersion(1)
  const found = new Library(environmentRoots()).catalog(name)
  if (found === undefined) throw new Error('the golden library has no v1')
  const names = [...distinctBlobs(found.catalog).map(({ digest }) => blobEntryName(digest)), catalogEntryName(name)]
  const { exitCode, stderr } = Bun.spawnSync(['zip', '-q', '-0', target, '-@'], {
    cwd: hololib,
    stdin: Buffer.from(names.join('\n')),
  })
  if (exitCode !== 0) throw new Error(stderr.toString())
}

async function curlMs(host: FleetHost, url: string): Promise<number> {
  const folder = join(host.host.folder, 'unzipped')
  fs.mkdirSync(folder)
  const startedMs = performance.now()
  const { exitCode, stderr } = await host.host.run([
    'sh',
    '-c',
    `curl -sf -o ${folder}/one.zip ${url}one.zip && cd ${folder} && unzip -q one.zip`,
  ])
  const ms = performance.now() - startedMs
  if (exitCode !== 0) throw new Error(stderr)
  fs.rmSync(folder, { recursive: true })
  return ms
}

function forget(host: FleetHost): void {
  fs.rmSync(join(host.host.home, 'hololib'), { recursive: true, force: true })
  fs.rmSync(join(host.host.golden, 'holotree'), { recursive: true, force: true })
}

async function restoreMs(
  host: FleetHost,
  urls: readonly string[],
  version: 'v1' | 'v2' = 'v1',
): Promise<{ ms: number; report: Report }> {
  host.settings({ substituters: urls.map((url) => ({ url, trusted: true })) })
  const startedMs = performance.now()
  const report = await host.restore(version)
  const ms = performance.now() - startedMs
  if (report.exitCode !== 0) throw new Error(JSON.stringify(report.error))
  return { ms, report }
}

await using lan = new Lan(88, process.env.TMPDIR ?? '/dev/shm')
const server = FleetHost.withLibrary(lan)
const client = FleetHost.on(lan)
const tree = join(server.host.folder, 'tree')
fs.mkdirSync(tree)
await server.run('push', `file://${tree}`)
zipLibrary(join(server.host.home, 'hololib'), join(tree, 'one.zip'))
const url = await serve(server, tree, PORT)
const rubbishTree = join(server.host.folder, 'rubbish')
fs.mkdirSync(join(rubbishTree, 'catalog'), { recursive: true })
for (const version of [1, 2] as const)
  fs.writeFileSync(join(rubbishTree, 'catalog', environmentVersion(version).name), 'rubbish')
const rubbish = await serve(server, rubbishTree, PORT + 1)

await restoreMs(client, [url])
forget(client)
const before = requests(server)
await restoreMs(client, [url])
const whole = requests(server) - before
const second = await restoreMs(client, [url], 'v2')
const next = requests(server) - before - whole

const rows: { readonly curl: number; readonly ours: number; readonly fetch: number; readonly hampered: number }[] = []
for (let pair = 0; pair < pairs; pair++) {
  const curl = await curlMs(client, url)
  forget(client)
  const { ms: ours, report } = await restoreMs(client, [url])
  forget(client)
  const { ms: hampered } = await restoreMs(client, [GONE, rubbish, url])
  rows.push({ curl, ours, fetch: report.ms.find + report.ms.fetch, hampered })
}

const column = (values: readonly number[]) => median(values).toFixed(0).padStart(6)
const told = (label: string, value: string, target: string) => console.log(`  ${label.padEnd(62)}${value}   ${target}`)
console.log(`golden environment v1 from nginx, medians of ${pairs} pairs, whole processes, ms`)
console.log(`  curl of one stored zip of gzip blobs, unzip                   ${column(rows.map(({ curl }) => curl))}`)
console.log(`  holo-peer restore from packs, start to exit                   ${column(rows.map(({ ours }) => ours))}`)
console.log(`    of these: find and fetch, verified                          ${column(rows.map(({ fetch }) => fetch))}`)
told(
  'restore / curl and unzip',
  median(rows.map(({ ours, curl }) => ours / curl))
    .toFixed(2)
    .padStart(6),
  'target 1.3',
)
told(
  'a dead source and one that sends rubbish first: extra',
  column(rows.map(({ hampered, ours }) => hampered - ours)),
  'target 1000',
)
told(`requests for v1 whole`, String(whole).padStart(6), 'target 20')
told(
  `requests for v2 after v1 (${second.report.fetched.blobs} blobs, ${(second.report.fetched.wireBytes / 1e6).toFixed(1)} MB)`,
  String(next).padStart(6),
  'target 10',
)
const PEERS = 8
const { together, alone } = await wanCrowd(lan, FleetHost.withLibrary(lan), PEERS)
told(
  `bytes from S3 when ${PEERS} peers start together / one alone (${(together.bytes / 1e6).toFixed(1)} and ${(alone.bytes / 1e6).toFixed(1)} MB)`,
  (together.bytes / alone.bytes).toFixed(2).padStart(6),
  'target 1.1',
)
told(`  the last of them is through after, one alone after`, `${column([together.ms])}${column([alone.ms])}`, '')
// In order, or its workers would outlive this process.
for (const server of servers) {
  server.kill('SIGTERM')
  await server.exited
}
