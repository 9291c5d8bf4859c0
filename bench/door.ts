/**
 * `bun bench/door.ts [PAIRS]`: rcc's door against the real rccremote, pair by pair, on loopback.
 *
 * Replayed are the requests that a real rcc makes for an environment that it lacks altogether: those of golden/protocol,
 * and the same for the golden environment v1. Both servers are started anew for each pair: the first answer of
 * rccremote is one that it has to pack, its second comes from the zip that it keeps. Ours makes every answer anew; as a
 * daemon runs for days, some unmeasured ones come first, and its very first has a row of its own. RCCREMOTE_BIN names
 * rccremote; with RCC_BIN an unmodified rcc then pulls v1 into an empty home. Needs root, for an /opt of rccremote's own.
 * Packs have no counterpart there; theirs are milliseconds alone. `TMPDIR` decides on which file system all this happens.
 */
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { distinctBlobs } from '../src/catalog/walk.ts'
import { Library } from '../src/store/library.ts'
import { recordedFile, recordedLibrary } from '../test/support/door-of.ts'
import { fleetObstacle, goldenEnvironment } from '../test/support/fleet-hosts.ts'
import { environmentRoots, environmentVersion, rootsIn, smallCold } from '../test/support/golden.ts'
import { rccBinary } from '../test/support/rcc-hosts.ts'
import {
  freePort,
  type LocalServer,
  listening,
  rccremoteBinary,
  sharedHolotree,
  startRccremote,
  WITH_OWN_OPT,
} from '../test/support/rccremote.ts'
import { HOLO_PEER, ROBOT_ENVIRONMENT } from './restore/holo-peer.ts'
import { must } from './restore/process.ts'

const obstacle = fleetObstacle() ?? (rccremoteBinary === undefined ? 'RCCREMOTE_BIN names no rccremote' : undefined)
if (obstacle !== undefined) {
  console.log(`This benchmark cannot run here: ${obstacle}.`)
  process.exit(1)
}
const pairs = Number(process.argv[2] ?? 5)
/** Until the engine has compiled what answers. */
const WARM_ROUNDS = 10
const folder = fs.mkdtempSync(join(tmpdir(), 'holo-door-'))

/** What is asked for: a catalog, and the list that a client without any blob sends. */
interface Wanted {
  readonly name: string
  readonly list: string
}

/** @param home ROBOCORP_HOME with a library */
async function startDaemon(home: string): Promise<LocalServer> {
  const port = await freePort()
  const env = {
    ...ROBOT_ENVIRONMENT,
    ROBOCORP_HOME: home,
    HOLO_PEER_DOOR_PORT: `${port}`,
    HOLO_PEER_MULTICAST: 'false',
  }
  const silent = { stdin: 'ignore', stdout: 'ignore', stderr: 'ignore' } as const
  return listening(Bun.spawn([HOLO_PEER, 'daemon', '--quiet'], { ...silent, env }), port)
}

/** Both requests, one after the other. @returns milliseconds to the first byte of the zip, and to its last */
async function replay(origin: string, { name, list }: Wanted): Promise<{ first: number; last: number }> {
  const startedMs = performance.now()
  const parts = await (await fetch(`${origin}/parts/${name}`)).text()
  if (parts.split('\n').length !== list.split('\n').length) throw new Error(`${origin} lists other parts`)
  const askedMs = performance.now()
  const response = await fetch(`${origin}/delta/${name}`, { method: 'POST', body: list })
  if (response.status !== 200 || response.body === null) throw new Error(`${origin} answers ${response.status}`)
  let first: number | undefined
  for await (const _chunk of response.body) first ??= performance.now() - askedMs
  return { first: first ?? Number.NaN, last: performance.now() - startedMs }
}

/** A GET, read away. @returns milliseconds to its first byte, and to its last */
async function get(
  url: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<{ first: number; last: number }> {
  const startedMs = performance.now()
  const response = await fetch(url, { headers })
  if (!response.ok || response.body === null) throw new Error(`${url} answers ${response.status}`)
  let first: number | undefined
  for await (const _chunk of response.body) first ??= performance.now() - startedMs
  return { first: first ?? Number.NaN, last: performance.now() - startedMs }
}

/** The pack of an environment: of a daemon that has just started, and of one that has made its frames. */
async function packs(home: string, name: string): Promise<void> {
  const rows: Record<'index' | 'first' | 'last' | 'preparedFirst' | 'preparedLast', number[]> = {
    index: [],
    first: [],
    last: [],
    preparedFirst: [],
    preparedLast: [],
  }
  const sizeOf = async (url: string) => Number((await fetch(url, { method: 'HEAD' })).headers.get('content-length'))
  for (let pair = 0; pair < pairs; pair++) {
    fs.rmSync(join(home, 'holo-peer', 'pieces'), { recursive: true, force: true })
    await using daemon = await startDaemon(home)
    const url = `${daemon.origin}/pack/${name}`
    const index = await get(url, { range: 'bytes=0-9999' })
    rows.first.push(index.first)
    rows.index.push(index.last)
    rows.last.push((await get(url)).last)
  }
  await using daemon = await startDaemon(home)
  const url = `${daemon.origin}/pack/${name}`
  const rawBytes = await sizeOf(url)
  // Frames are made in the background, and packs remembered for a while: wait until the size stays.
  let bytes = rawBytes
  for (let before = 0; bytes === rawBytes || before !== bytes; before = bytes, bytes = await sizeOf(url)) {
    await Bun.sleep(15_000)
  }
  for (let pair = 0; pair < pairs; pair++) {
    const whole = await get(url)
    rows.preparedFirst.push(whole.first)
    rows.preparedLast.push(whole.last)
  }
  const mb = (count: number) => `${(count / 1e6).toFixed(0)} MB`
  const line = (label: string, values: readonly number[]) =>
    console.log(`  ${label.padEnd(58)} ${median(values).toFixed(1).padStart(8)}`)
  line('pack of v1, just started, nothing prepared: first byte', rows.first)
  line('the same, its index, hashes computed', rows.index)
  line(`the same, then all of it (${mb(rawBytes)})`, rows.last)
  line('pack of v1, prepared: first byte', rows.preparedFirst)
  line(`the same, all of it (${mb(bytes)})`, rows.preparedLast)
}

/** An rcc with nothing at home pulls v1. @returns milliseconds of the whole process */
function pull(origin: string, rcc: string): number {
  const home = fs.mkdtempSync(join(folder, 'home-'))
  const opt = fs.mkdtempSync(join(folder, 'opt-'))
  const robot = join(goldenEnvironment, 'v1', 'robot.yaml')
  const command = [
    'unshare',
    '--mount',
    'sh',
    '-c',
    WITH_OWN_OPT,
    opt,
    rcc,
    'holotree',
    'pull',
    '-o',
    origin,
    '-r',
    robot,
  ]
  const { ms } = must(command, { ...ROBOT_ENVIRONMENT, ROBOCORP_HOME: home, TMPDIR: home })
  if (!fs.existsSync(join(home, 'hololib', 'catalog', environmentVersion(1).name)))
    throw new Error('nothing was pulled')
  fs.rmSync(home, { recursive: true })
  return ms
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

interface Row {
  readonly ours: number
  readonly reference: number
}

function print(label: string, rows: readonly Row[]): void {
  const ours = median(rows.map((row) => row.ours))
  const reference = median(rows.map((row) => row.reference))
  const ratio = median(rows.map((row) => row.ours / row.reference)).toFixed(2)
  console.log(
    `  ${label.padEnd(58)} ${ours.toFixed(1).padStart(8)} ${reference.toFixed(1).padStart(9)} ${ratio.padStart(6)}`,
  )
}

async function compare(label: string, home: string, opt: string, wanted: Wanted): Promise<void> {
  const rows: Record<'firstByte' | 'packed' | 'started' | 'kept', Row[]> = {
    firstByte: [],
    packed: [],
    started: [],
    kept: [],
  }
  for (let pair = 0; pair < pairs; pair++) {
    await using daemon = await startDaemon(home)
    await using reference = await startRccremote(opt, folder)
    const started = await replay(daemon.origin, wanted)
    const packed = await replay(reference.origin, wanted)
    for (let round = 0; round < WARM_ROUNDS; round++) await replay(daemon.origin, wanted)
    const ours = await replay(daemon.origin, wanted)
    const kept = await replay(reference.origin, wanted)
    rows.firstByte.push({ ours: ours.first, reference: packed.first })
    rows.packed.push({ ours: ours.last, reference: packed.last })
    rows.started.push({ ours: started.last, reference: packed.last })
    rows.kept.push({ ours: ours.last, reference: kept.last })
  }
  print(`${label}, both requests, rccremote packs`, rows.packed)
  print(`${label}, the same, our daemon has just started`, rows.started)
  print(`${label}, the same, rccremote has kept its zip`, rows.kept)
  print(`${label}, first byte of the zip, rccremote packs`, rows.firstByte)
}

async function comparePulls(home: string, opt: string, rcc: string): Promise<void> {
  const rows: Record<'packed' | 'kept', Row[]> = { packed: [], kept: [] }
  for (let pair = 0; pair < pairs; pair++) {
    await using daemon = await startDaemon(home)
    const ours = pull(daemon.origin, rcc)
    await using reference = await startRccremote(opt, folder)
    rows.packed.push({ ours, reference: pull(reference.origin, rcc) })
    rows.kept.push({ ours: pull(daemon.origin, rcc), reference: pull(reference.origin, rcc) })
  }
  print('rcc pulls v1, rccremote packs', rows.packed)
  print('rcc pulls v1, rccremote has kept its zip', rows.kept)
}

try {
  const small = join(folder, 'small')
  recordedLibrary(small)
  const home = join(folder, 'env')
  fs.cpSync(environmentRoots().hololib, join(home, 'hololib'), { recursive: true })
  const { name } = environmentVersion(1)
  const found = new Library(rootsIn(home)).catalog(name)
  if (found === undefined) throw new Error('the golden library has no v1')
  const list = distinctBlobs(found.catalog).map(({ digest }) => digest)
  console.log(`${pairs} pairs, medians, ms${' '.repeat(48)} ours rccremote  ratio`)
  const recorded = { name: smallCold('gzip', 1).name, list: recordedFile('parts-v1.txt').toString() }
  await compare('golden/protocol (402 blobs)', small, sharedHolotree(join(small, 'hololib'), folder), recorded)
  const opt = sharedHolotree(join(home, 'hololib'), folder)
  await compare(`env v1 (${list.length} blobs)`, home, opt, { name, list: list.sort().join('\n') })
  await packs(home, name)
  if (rccBinary === undefined) console.log('  RCC_BIN names no rcc: its pulls are left out')
  else await comparePulls(home, opt, rccBinary)
} finally {
  fs.rmSync(folder, { recursive: true })
}
