/**
 * Hosts that run the real rcc beside the compiled holo-peer, for the tests of test/rcc.
 *
 * RCC_BIN names the rcc; nothing here builds or fetches one. It runs in the host's network namespace, which leads
 * nowhere, and with an /opt of the host's own, where it makes its shared holotree at every start.
 */
import * as fs from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { pidsDirectory, spacePaths } from '../../src/catalog/layout.ts'
import { tryFlock } from '../../src/store/flock.ts'
import { FleetHost, hostObstacle, type Report } from './fleet-hosts.ts'
import { listTree, rootsIn, type SmallKind, unpackSmall } from './golden.ts'
import type { Finished, Host, Lan } from './lan.ts'
import { skipForgivenUnless, skipUnless } from './skip.ts'

/** The rcc under test, or undefined where none is named. */
export const rccBinary = process.env.RCC_BIN === undefined ? undefined : resolve(process.env.RCC_BIN)

const obstacle = hostObstacle()
/** `test` where RCC_BIN names an rcc: without one it is skipped even where nothing else may be. */
export const rccTest =
  rccBinary === undefined
    ? skipForgivenUnless(false, 'RCC_BIN names no rcc')
    : skipUnless(obstacle === undefined, obstacle ?? '')
/** Whether hosts can be made at all: `beforeAll` runs for skipped tests too. */
export const hasRccHosts = rccBinary !== undefined && obstacle === undefined

/** An rcc restore of a robot, and how much of the space it had to change: 0 is pristine, 100 is all of it. */
export interface RccRestore extends Finished {
  readonly dirtyness: number
}

export class RccHost {
  readonly fleet: FleetHost
  readonly #rcc: string

  constructor(readonly host: Host) {
    if (rccBinary === undefined) throw new Error('RCC_BIN names no rcc')
    this.fleet = new FleetHost(host)
    this.#rcc = join(host.folder, 'bin', 'rcc')
    fs.copyFileSync(rccBinary, this.#rcc)
    fs.mkdirSync(join(host.folder, 'opt'))
  }

  static on(lan: Lan): RccHost {
    return new RccHost(lan.host())
  }

  /** A host whose library holds the three versions of a small golden set. */
  static withSmallLibrary(lan: Lan, kind: SmallKind): RccHost {
    const host = RccHost.on(lan)
    unpackSmall(kind, host.host.home)
    return host
  }

  /** Start rcc. The process is rcc itself: everything before it replaces itself by the next. */
  spawn(...args: string[]): Bun.Subprocess<'ignore', 'pipe', 'pipe'> {
    return this.host.spawn(this.#command(args))
  }

  rcc(...args: string[]): Promise<Finished> {
    return this.host.run(this.#command(args))
  }

  /** The same with more variables: `RCC_REMOTE_ORIGIN` … */
  rccIn(env: Readonly<Record<string, string>>, ...args: string[]): Promise<Finished> {
    return this.host.run(this.#command(args), { env })
  }

  #command(args: readonly string[]): string[] {
    const ownOpt = 'mount --bind "$0" /opt && exec "$@"'
    return ['sh', '-c', ownOpt, join(this.host.folder, 'opt'), this.#rcc, ...args]
  }

  /** Let rcc restore a robot from its library, as `rcc run` would. */
  async restore(robotFile: string, space: string, env: Readonly<Record<string, string>> = {}): Promise<RccRestore> {
    const finished = await this.rccIn(env, ...restoreArguments(robotFile, space))
    return { ...finished, dirtyness: this.#dirtyness(space) }
  }

  /** Let holo-peer restore a robot from what lies on the host. */
  holoRestore(robotFile: string, space: string): Promise<Report> {
    return this.fleet.report('restore', robotFile, '--space', space, '--offline')
  }

  /** What rcc noted of its last restore of `space`. */
  #dirtyness(space: string): number {
    const journals = join(this.host.home, 'journals')
    const stats = fs.readdirSync(journals).filter((name) => name.startsWith('stats_'))
    const events = stats
      .flatMap((name) => fs.readFileSync(join(journals, name), 'utf8').trimEnd().split('\n'))
      .map((line) => JSON.parse(line) as { space: string; dirtyness: number })
    const last = events.findLast((event) => event.space === space)
    if (last === undefined) throw new Error(`rcc noted no restore of ${space}`)
    return last.dirtyness
  }

  /** Decoded `.meta` and `.meta.info`, as texts. */
  notes(spacePath: string): { meta: string; metaInfo: string; uses: number } {
    const paths = spacePaths(this.host.outside(spacePath))
    return {
      meta: gunzipSync(fs.readFileSync(paths.meta)).toString(),
      metaInfo: fs.readFileSync(paths.metaInfo, 'utf8'),
      uses: fs.statSync(paths.use).size,
    }
  }

  /**
   * Every file and link of a space with what any write to it would change. Directories are left out: rcc sets their
   * times at each restore, also of a space of its own.
   */
  filesOf(spacePath: string): string[] {
    return filesBelow(this.host.outside(spacePath))
  }

  /** The same for the library's blobs. */
  blobs(): string[] {
    return filesBelow(join(this.host.home, 'hololib', 'library'))
  }

  /**
   * Wait until a process has the lock of a space, has left its note on it and has begun to write, and stop it there
   * until the end of the scope.
   */
  async stopInside(child: Bun.Subprocess, spacePath: string): Promise<Stopped> {
    const { lock, directory } = spacePaths(this.host.outside(spacePath))
    const notes = pidsDirectory(rootsIn(this.host.home))
    const noteOf = () =>
      fs.readdirSync(notes).find((name) => name.includes(`___${child.pid}___`) && name.endsWith(basename(lock)))
    while (!fs.existsSync(directory) || !isLocked(lock) || noteOf() === undefined) {
      if (child.exitCode !== null) throw new Error(`process ${child.pid} ended before it could be stopped`)
      await Bun.sleep(1)
    }
    child.kill('SIGSTOP')
    const note = noteOf()
    if (!isLocked(lock) || note === undefined) {
      child.kill('SIGKILL')
      throw new Error(`process ${child.pid} released ${basename(lock)} before it was stopped`)
    }
    return {
      note,
      resume: () => child.kill('SIGCONT'),
      [Symbol.asyncDispose]: async () => {
        child.kill('SIGKILL')
        await child.exited
      },
    }
  }
}

/** A process that stands still; it is killed at the end of the scope. */
export interface Stopped extends AsyncDisposable {
  /** Name of its note in rcc's `pids/`. */
  readonly note: string
  resume(): void
}

export function restoreArguments(robotFile: string, space: string): string[] {
  return ['holotree', 'variables', '--robot', robotFile, '--space', space, '--json', '--no-build']
}

/** Whether somebody holds the lock. */
export function isLocked(path: string): boolean {
  if (!fs.existsSync(path)) return false
  const descriptor = fs.openSync(path, 'r')
  try {
    return !tryFlock(descriptor)
  } finally {
    fs.closeSync(descriptor)
  }
}

function filesBelow(root: string): string[] {
  return listTree(root)
    .filter(({ type }) => type !== 'dir')
    .map((entry) => {
      const { ino, mode, size, mtimeMs, ctimeMs } = fs.lstatSync(join(root, entry.path))
      return `${entry.path} ${ino} ${mode.toString(8)} ${size} ${mtimeMs} ${ctimeMs}`
    })
}
