/**
 * `bun bench/restore.ts [PAIRS] [--only TEXT] [--json FILE]`: cold restores against what C and `cp` do on the same file
 * system, the pristine check, memory, and how all this grows with the number of files.
 *
 * Root on Linux, gcc, and dist/holo-peer built. Every process is timed from its start to its exit, on a warm page
 * cache, with the file system at rest; every kind of run is checked once, file by file. `--only` picks the contests
 * whose `environment file-system kind` has the text in it: `python`, `xfs`, `golden ext4 gzip`, `synthetic`.
 * RCC_BIN adds a row on the real rcc.
 */
import * as fs from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type ContestKind, contest, type Round } from './restore/contest.ts'
import { type Environment, goldenV2, pythonEnvironment } from './restore/environment.ts'
import { FileSystem, type FileSystemKind, fileSystemKinds, fileSystemObstacle } from './restore/filesystems.ts'
import { HOLO_PEER, peakBytes } from './restore/holo-peer.ts'
import { type Form, type Home, installed } from './restore/home.ts'
import { LimitProgram } from './restore/limit-program.ts'
import { type BenchFolders, benchFolders, namespaceObstacle, runInside } from './restore/namespace.ts'
import { rccRestores } from './restore/rcc.ts'
import { bounded, compared, contestRows, medians, type Row, tableHead, tableLine } from './restore/rows.ts'
import { scaleRows } from './restore/scale.ts'

const CONTESTS: Readonly<Record<FileSystemKind, readonly ContestKind[]>> = {
  xfs: ['reflink', 'hardlink', 'gzip'],
  btrfs: ['reflink', 'gzip'],
  ext4: ['copy', 'hardlink', 'gzip'],
  tmpfs: ['copy', 'gzip'],
}
const PEAK_BYTES_MAX = 150e6
const RCC_ROUNDS = 2

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { only: { type: 'string', default: '' }, json: { type: 'string' } },
})
const pairs = Number(positionals[0] ?? 5)
const folders = benchFolders()
if (folders === undefined) {
  const obstacle = namespaceObstacle() ?? fileSystemObstacle()
  if (obstacle !== undefined) console.log(`This benchmark cannot run here: ${obstacle}.`)
  process.exit(obstacle === undefined ? await runInside() : 1)
}
if (!fs.existsSync(HOLO_PEER)) throw new Error(`${HOLO_PEER} is not built`)

const rows: Row[] = []
const rounds: Record<string, readonly Round[]> = {}

function wanted(...name: string[]): boolean {
  return name.join(' ').includes(values.only)
}

function tell(...told: Row[]): void {
  for (const row of told) {
    rows.push(row)
    console.log(tableLine(row))
    if (row.note !== undefined) console.log(`          (${row.note})`)
  }
}

/** Where our time went, so that a missed target says it. */
function tellStages(of: readonly Round[]): void {
  const text = (values: Record<string, number>) =>
    Object.entries(values)
      .map(([name, value]) => `${name} ${value.toFixed(0)}`)
      .join(', ')
  const cpu = medians(of.map(({ ours, limitCpuMs }) => ({ ours: ours.cpuMs, C: limitCpuMs })))
  console.log(`          ms: ${text(medians(of.map(({ ours }) => ours.stages)))}; on processors: ${text(cpu)}`)
  console.log(`          files: ${text(medians(of.map(({ ours }) => ours.methods)))}`)
}

function runContests(environment: Environment, kind: FileSystemKind, limit: LimitProgram, folders: BenchFolders): void {
  const contests = CONTESTS[kind].filter((name) => wanted(environment.name, kind, name))
  const homes = new Map<Form, Home>()
  const homeOf = (form: Form, path: string): Home => {
    const home = homes.get(form) ?? installed(environment, form, join(path, form))
    homes.set(form, home)
    return home
  }
  if (contests.length === 0) return
  using fileSystem = new FileSystem(kind, folders)
  for (const name of contests) {
    const home = homeOf(name === 'gzip' ? 'gzip' : 'raw', fileSystem.path)
    const of = contest({ kind: name, home, fileSystem, limit, rounds: pairs })
    rounds[`${environment.name} ${kind} ${name}`] = of
    tell(...contestRows(environment.name, kind, name, of))
    tellStages(of)
    const request = { robocorpHome: home.path, robotFile: home.robotFile, space: 'peak', strategy: 'auto' } as const
    if (kind === 'xfs' && name !== 'hardlink') {
      const peak = peakBytes(request, folders.images)
      if (peak === undefined) console.log('SKIPPED peak memory: GNU time is not installed')
      else {
        const what = `peak memory, ${name}, ${kind}`
        tell(bounded({ environment: environment.name, what, unit: 'MB', target: PEAK_BYTES_MAX / 1e6 }, peak / 1e6))
      }
    }
    if (kind === 'ext4' && name === 'gzip') {
      const rcc = rccRestores(home, RCC_ROUNDS, join(folders.images, 'opt'))
      const ours = of.slice(0, RCC_ROUNDS).map((round) => round.ours.ms)
      if (rcc === undefined) console.log('SKIPPED rcc: RCC_BIN names no rcc')
      else tell(compared({ environment: environment.name, what: 'gzip, ext4 / rcc', target: undefined }, ours, rcc))
    }
  }
}

const limit = LimitProgram.compiled(folders.images)
if (limit === undefined) {
  console.log('This benchmark cannot run here: gcc is not installed.')
  process.exit(1)
}
const environments = [goldenV2, pythonEnvironment].flatMap((make) => {
  const made = make()
  if (typeof made !== 'string') return [made]
  console.log(`SKIPPED an environment: ${made}`)
  return []
})
console.log(
  `medians of ${pairs} pairs, whole processes; images ${folders.inMemory ? 'in memory' : 'on disk'}; limit.c with ${limit.decoder}\n`,
)
console.log(tableHead())
for (const environment of environments)
  for (const kind of fileSystemKinds) runContests(environment, kind, limit, folders)
if (wanted('synthetic', 'xfs', 'scale')) tell(...(await scaleRows(limit, folders, pairs)))
if (values.json !== undefined) fs.writeFileSync(values.json, JSON.stringify({ rows, rounds }, undefined, 2))
