/**
 * Hosts of a LAN that run the compiled binary, alone in a directory of its own, on the golden environment.
 */
import * as fs from 'node:fs'
import { join, resolve } from 'node:path'
import { environmentRoots, goldenEnvironmentReason, hasGoldenEnvironment } from './golden.ts'
import { type Finished, type Host, type Lan, lanObstacle } from './lan.ts'

const root = resolve(import.meta.dir, '../..')
const built = join(root, 'dist', 'holo-peer')
const goldenEnvironment = resolve(root, '../shared/golden/env')

/** Spaces that rcc made its listings of; the names take part in relocated files. */
export const SPACES = { v1: 'cold-v1', v2: 'cold-v2' } as const
export type Version = keyof typeof SPACES

/** Why fleets of hosts cannot be tested here, or undefined where they can. */
export function fleetObstacle(): string | undefined {
  const unbuilt = fs.existsSync(built) ? undefined : 'dist/holo-peer is not built'
  return lanObstacle() ?? (hasGoldenEnvironment ? undefined : goldenEnvironmentReason) ?? unbuilt
}

/** What `--json` printed, and the status beside it. */
// biome-ignore lint/suspicious/noExplicitAny: the tests read and compare single fields of a report
export type Report = any

export class FleetHost {
  readonly binary: string

  constructor(readonly host: Host) {
    const folder = join(host.folder, 'bin')
    fs.mkdirSync(folder)
    this.binary = join(folder, 'holo-peer')
    fs.copyFileSync(built, this.binary)
    for (const version of Object.keys(SPACES))
      fs.cpSync(join(goldenEnvironment, version), join(host.folder, version), { recursive: true })
  }

  static on(lan: Lan): FleetHost {
    return new FleetHost(lan.host())
  }

  /** A host that holds both versions of the golden environment. */
  static withLibrary(lan: Lan): FleetHost {
    const host = FleetHost.on(lan)
    fs.cpSync(environmentRoots().hololib, join(host.host.home, 'hololib'), { recursive: true })
    return host
  }

  run(...args: string[]): Promise<Finished> {
    return this.host.run([this.binary, ...args])
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
    return this.report('restore', join(this.host.folder, version, 'robot.yaml'), '--space', SPACES[version], ...args)
  }

  /** Start a daemon. @returns its process and the address of its bootstrap node, once it is ready */
  async startDaemon(...args: string[]): Promise<{ process: Bun.Subprocess; address: string }> {
    const daemon = this.host.spawn([this.binary, 'daemon', '--json', '--quiet', ...args])
    const decoder = new TextDecoder()
    let text = ''
    for await (const chunk of daemon.stdout) {
      text += decoder.decode(chunk, { stream: true })
      if (text.includes('\n')) {
        const { port } = JSON.parse(text.split('\n')[0] ?? '')
        return { process: daemon, address: `${this.host.address}:${port}` }
      }
    }
    throw new Error(`the daemon ended: ${await new Response(daemon.stderr).text()}`)
  }
}
