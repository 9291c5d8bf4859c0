/**
 * `bun bench/transfer.ts [PAIRS] [--only ROW,…] [--env golden|large] [--form gzip|raw] [--receivers N] [--binary FILE]`:
 * how fast an environment gets from one machine to another, alone and in a crowd, against `tar` over a socket and rcc.
 *
 * Root on Linux, iproute2 with tc, nft, perl and dist/holo-peer. Hosts are network and mount namespaces on one bridge,
 * their homes on tmpfs; rates are set by token buckets on both ends of each link, and counted as frames on the bridge.
 * Every fetched library is held against the source, file by file. Pairs are measured in turn, and medians told; all of it
 * has precedence over whatever else runs on the machine. RCC_BIN and RCCREMOTE_BIN add the rows on the real rcc. `--form`
 * is that of the seed's library, `--binary` another build. Whatever ends the benchmark, the kernel ends its processes,
 * mounts and networks.
 */
import * as fs from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { never } from '../src/base/clock.ts'
import { lanObstacle } from '../test/support/lan.ts'
import { type Environment, goldenV2, pythonEnvironment } from './restore/environment.ts'
import { HOLO_PEER } from './restore/holo-peer.ts'
import type { Form } from './restore/home.ts'
import { benchFolders, namespaceObstacle, runInside } from './restore/namespace.ts'
import { must, precede } from './restore/process.ts'
import { crowdRows, killedRows, liarRows, pairRows, slowRows } from './transfer/crowd-rows.ts'
import { firstRows, gigabitRows, hundredRows, rccRows, smallRows, unshapedRows, wireRows } from './transfer/lone.ts'
import { binaryAt } from './transfer/machine.ts'
import type { Measuring } from './transfer/measuring.ts'
import { memoryRows } from './transfer/memory.ts'
import { localRows, unreachableRows } from './transfer/restores.ts'
import { type Row, tableHead, tableLine } from './transfer/row.ts'
import { Site } from './transfer/site.ts'
import { equalBlobs, Stock } from './transfer/stock.ts'

/** Rows by the name that `--only` picks them by; a text in place of rows says why there are none. */
const ROWS: Readonly<Record<string, (measuring: Measuring) => Promise<Row[] | string>>> = {
  wire: wireRows,
  unshaped: unshapedRows,
  rcc: rccRows,
  gigabit: gigabitRows,
  hundred: hundredRows,
  first: firstRows,
  pair: pairRows,
  crowd: crowdRows,
  slow: slowRows,
  killed: killedRows,
  liar: liarRows,
  local: localRows,
  unreachable: unreachableRows,
  memory: memoryRows,
}
/** On an environment of its own. */
const SMALL = 'small'
const ENVIRONMENTS = { golden: goldenV2, large: pythonEnvironment } as const

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: 'string' },
    env: { type: 'string' },
    form: { type: 'string' },
    receivers: { type: 'string', default: '8' },
    binary: { type: 'string', default: HOLO_PEER },
  },
})
const pairs = positiveNumber(positionals[0] ?? '3', 'PAIRS')
const receivers = positiveNumber(values.receivers, '--receivers')
const names = values.only?.split(',') ?? [...Object.keys(ROWS), SMALL]
const unknown = names.filter((name) => !(name in ROWS) && name !== SMALL)
if (unknown.length > 0)
  refuse(`no row is named ${unknown.join(', ')}: there are ${Object.keys(ROWS).join(', ')}, ${SMALL}`)
const form = formOf(values.form)
const makers = Object.entries(ENVIRONMENTS).filter(([name]) => values.env === undefined || name === values.env)
if (makers.length === 0) refuse(`--env is ${Object.keys(ENVIRONMENTS).join(' or ')}`)

const folders = benchFolders()
if (folders === undefined) {
  const tools = ['tc', 'perl', 'tar', 'bash'].filter((tool) => Bun.which(tool) === null)
  const missing = tools.length === 0 ? undefined : `${tools.join(', ')} is not installed`
  const obstacle = namespaceObstacle() ?? lanObstacle() ?? missing
  if (obstacle !== undefined) refuse(`this benchmark cannot run here: ${obstacle}`)
  process.exit(await runInside())
}
if (!fs.existsSync(values.binary)) refuse(`${values.binary} is not built`)
// Names of networks are mounts: here they end with us, and meet nobody else's.
const NAMES = '/var/run/netns'
fs.mkdirSync(NAMES, { recursive: true })
must(['mount', '-t', 'tmpfs', 'names', fs.realpathSync(NAMES)])

precede()
const binary = binaryAt(resolve(values.binary))
const signal = never
console.log(`medians of ${pairs} pairs; homes ${folders.inMemory ? 'on tmpfs' : 'on disk'}; ${receivers} receivers;`)
console.log(`fetched by holo-peer ${binary.command}${binary.command === 'fetch' ? '' : ', its placing taken off'}`)
let failed = 0
let wrongBlobs = 0

/** @throws what making hosts throws; a row that fails only says so */
async function measure(environment: Environment, forms: readonly Form[], hosts: number, rows: readonly string[]) {
  const stock = new Stock(environment)
  const folder = folders?.images ?? ''
  await using site = await Site.open({ stock, binary, receivers: hosts, folder, forms })
  console.log(`\n${stock.name}: ${stock.blobs.length} blobs, ${(stock.rawBytes / 1e6).toFixed(0)} MB raw`)
  console.log(tableHead())
  for (const name of rows) {
    try {
      const measured = await (name === SMALL ? smallRows : ROWS[name])?.({ site, pairs, form, signal })
      if (typeof measured === 'string') console.log(`${name}: not run: ${measured}`)
      else for (const row of measured ?? []) console.log(tableLine(row))
    } catch (error) {
      failed++
      console.log(`${name}: FAILED: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  wrongBlobs += site.wrongBlobs
}

for (const [name, make] of makers) {
  const rows = names.filter((each) => each !== SMALL)
  if (rows.length === 0) continue
  const environment = make()
  if (typeof environment === 'string') console.log(`${name}: not run: ${environment}`)
  else await measure(environment, ['raw', 'gzip'], receivers, rows)
}
if (names.includes(SMALL))
  await measure(await equalBlobs(10_000, 4_096, join(folders.images, 'equal')), ['raw'], 1, [SMALL])
console.log(`\n${wrongBlobs} wrong blobs in all libraries; ${failed} rows failed`)
process.exit(failed + wrongBlobs === 0 ? 0 : 1)

function positiveNumber(text: string, what: string): number {
  const number = Number(text)
  if (!Number.isInteger(number) || number < 1) refuse(`${what} is a positive number`)
  return number
}

function formOf(text: string | undefined): Form | undefined {
  if (text === undefined || text === 'gzip' || text === 'raw') return text
  return refuse('--form is gzip or raw')
}

function refuse(why: string): never {
  console.error(why)
  process.exit(2)
}
