/**
 * Hosts of a LAN that run the compiled binary, alone in a directory of its own, on the golden environment.
 */
import * as fs from 'node:fs'
import { join, resolve } from 'node:path'
import {
  differences,
  environmentRoots,
  goldenEnvironmentReason,
  hasGoldenEnvironment,
  type SmallVersion,
  smallCold,
  unpackSmall,
} from './golden.ts'
import { type Finished, type Host, type HostOptions, type Lan, lanObstacle } from './lan.ts'

const root = resolve(import.meta.dir, '../..')
const built = join(root, 'dist', 'holo-peer')
export const goldenEnvironment = resolve(root, '../shared/golden/env')

/** Spaces that rcc made its listings of; the names take part in relocated files. */
export const SPACES = { v1: 'cold-v1', v2: 'cold-v2' } as const
export type Version = keyof typeof SPACES

/** Why hosts that run the binary cannot be tested here, or undefined where they can. */
export function hostObstacle(): string | undefined {
  return lanObstacle() ?? (fs.existsSync(built) ? undefined : 'dist/holo-peer is not built')
}

/** The same where the large golden environment is needed too. */
export function fleetObstacle(): string | undefined {
  return hostObstacle() ?? (hasGoldenEnvironment ? undefined : goldenEnvironmentReason)
}

export function smallRobot(version: SmallVersion): string {
  return join(root, 'test/golden/small/gzip', `robot${version}`, 'robot.yaml')
}

/** What `--json` printed, and the status beside it. */
// biome-ignore lint/suspicious/noExplicitAny: the tests read and compare single fields of a report
export type Report = any

export class FleetHost {
  readonly binary: string
  #daemon: Bun.Subprocess | undefined
  /** What starts the binary: nothing, or a command that its arguments follow. */
  #before: readonly string[] = []

  constructor(readonly host: Host) {
    const folder = join(host.folder, 'bin')
    fs.mkdirSync(folder)
    this.binary = join(folder, 'holo-peer')
    fs.copyFileSync(built, this.binary)
  }

  static on(lan: Lan, options: HostOptions = {}): FleetHost {
    return new FleetHost(lan.host(options))
  }

  /** A host that holds the three versions of the small golden environment. */
  static withSmallLibrary(lan: Lan, options: HostOptions = {}): FleetHost {
    const host = FleetHost.on(lan, options)
    unpackSmall('gzip', host.host.home)
    return host
  }

  /** A host that holds both versions of the golden environment. */
  static withLibrary(lan: Lan): FleetHost {
    const host = FleetHost.on(lan)
    fs.cpSync(environmentRoots().hololib, join(host.host.home, 'hololib'), { recursive: true })
    return host
  }

  /** Let the clock of what is started from now on be wrong by this much: `+1h`, by libfaketime. */
  setClock(library: string, offset: string): void {
    this.#before = ['env', `LD_PRELOAD=${library}`, `FAKETIME=${offset}`]
  }

  run(...args: string[]): Promise<Finished> {
    return this.host.run([...this.#before, this.binary, ...args])
  }

  /** Run a command with `--json`. @returns its document, with `exitCode` beside it */
  async report(...args: string[]): Promise<Report> {
    const finished = await this.run(...args, '--json')
    try {
      return { ...JSON.parse(finished.stdout), exitCode: finished.exitCode }
    } catch {
      throw new Error(`no JSON from ${args.join(' ')}: ${JSON.stringify(finished)}`)
    }
  }

  restore(version: Version, ...args: string[]): Promise<Report> {
    const robot = join(goldenEnvironment, version, 'robot.yaml')
    return this.report('restore', robot, '--space', SPACES[version], ...args)
  }

  /** Restore a small version into the space of rcc's cold listing. */
  restoreSmall(version: SmallVersion, ...args: string[]): Promise<Report> {
    return this.report('restore', smallRobot(version), '--space', `cold${version}`, ...args)
  }

  /** How the space of `restoreSmall` differs from rcc's listing; empty where it does not. */
  differencesFromSmall(version: SmallVersion): string[] {
    const { spacePath, listing } = smallCold('gzip', version)
    return differences(this.host.outside(spacePath), listing, { directoryTimes: 'ignored' })
  }

  /** Make the fleet `factory` and start the daemon. @returns what other hosts need to join */
  async lead(): Promise<{ invite: string; address: string; process: Bun.Subprocess }> {
    const { invite } = await this.report('fleet', 'create', 'factory')
    return { invite, ...(await this.startDaemon()) }
  }

  join({ invite, address }: { invite: string; address?: string }): Promise<Report> {
    return this.report('fleet', 'join', invite, ...(address === undefined ? [] : ['--bootstrap', address]))
  }

  /** Write the section `holo-peer:` of settings.yaml. */
  settings(section: object): void {
    fs.writeFileSync(join(this.host.home, 'settings.yaml'), JSON.stringify({ 'holo-peer': section }))
  }

  /** The addresses of the daemons that this host's daemon is connected with, sorted, without ports. */
  async peers(): Promise<string[]> {
    const { peers, error } = await this.report('peers')
    if (peers === undefined) throw new Error(JSON.stringify(error))
    return peers.map(({ address }: { address: string }) => address.slice(0, address.lastIndexOf(':'))).sort()
  }

  /** Resolve once this host's daemon is connected with exactly these hosts. @returns milliseconds that it took */
  async connectedWith(...addresses: readonly string[]): Promise<number> {
    const startedMs = performance.now()
    const wanted = JSON.stringify([...addresses].sort())
    for (;;) {
      const peers = JSON.stringify(await this.peers())
      if (peers === wanted) return performance.now() - startedMs
      if (performance.now() - startedMs > 60_000) throw new Error(`connected with ${peers}, not with ${wanted}`)
      await Bun.sleep(100)
    }
  }

  /** End the daemon that was started last, in order. */
  async stopDaemon(): Promise<void> {
    this.#daemon?.kill('SIGTERM')
    await this.#daemon?.exited
  }

  /** Kill the daemon that was started last. */
  async killDaemon(): Promise<void> {
    this.#daemon?.kill('SIGKILL')
    await this.#daemon?.exited
  }

  /** Start a daemon. @returns its process and the address of its bootstrap node, once it is ready */
  async startDaemon(...args: string[]): Promise<{ process: Bun.Subprocess; address: string }> {
    const daemon = this.host.spawn([...this.#before, this.binary, 'daemon', '--json', '--quiet', ...args])
    this.#daemon = daemon
    const decoder = new TextDecoder()
    let text = ''
    for await (const chunk of daemon.stdout) {
      text += decoder.decode(chunk, { stream: true })
      if (text.includes('\n')) {
        const { port } = JSON.parse(text.split('\n')[0] ?? '')
        const { address } = this.host
        return { process: daemon, address: address.includes(':') ? `[${address}]:${port}` : `${address}:${port}` }
      }
    }
    throw new Error(`the daemon ended: ${await new Response(daemon.stderr).text()}`)
  }
}
