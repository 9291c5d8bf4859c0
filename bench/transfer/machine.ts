/**
 * A machine of the fleet: a host that runs the binary, with or without a daemon, on a library that can be emptied.
 *
 * A fetch is a whole process, from its start to its exit: `holo-peer fetch` where the binary has it, else `restore`, from
 * whose time that of placing is taken off. One binary serves all machines, as one page cache would on each.
 */
import * as fs from 'node:fs'
import { join } from 'node:path'
import { PREPARE_QUIET_MS } from '../../src/base/limits.ts'
import { statePaths } from '../../src/catalog/layout.ts'
import { rootsIn } from '../../test/support/golden.ts'
import type { Host } from '../../test/support/lan.ts'
import { processorSeconds } from './processors.ts'

/** One fetch that went well. */
export interface Fetched {
  /** Process start to exit, less the placing where there was any. */
  readonly ms: number
  /** Of the fetch stage alone, where the report tells it; else `ms`. */
  readonly stageMs: number
  /** From process start, where the report tells it. */
  readonly firstByteMs: number | undefined
  /** Sources that were dropped for what they sent, by name. */
  readonly dropped: readonly string[]
}

/** What is read of a report; of later reports, what they still have. */
interface Report {
  readonly error?: { readonly code: string; readonly message: string }
  readonly firstByteMs?: number | null
  readonly ms?: { readonly fetch?: number }
  readonly timeline?: readonly { readonly stage: string; readonly untilMs: number }[]
  readonly fetched?: { readonly firstByteMs?: number | null; readonly dropped?: readonly { readonly source: string }[] }
  readonly peers?: readonly { readonly address: string }[]
}

/** How a binary is asked for an environment. */
export type FetchCommand = 'fetch' | 'restore'

/** A daemon at rest uses less than this share of a core; and it is given so long to come to rest. */
const AT_REST = 0.03
const REST_WAIT_MS = 300_000
const CONNECT_WAIT_MS = 30_000
const STOP_WAIT_MS = 3_000

export interface Binary {
  readonly path: string
  readonly command: FetchCommand
}

/** @throws {Error} it cannot be run */
export function binaryAt(path: string): Binary {
  const help = Bun.spawnSync([path, '--help'])
  if (help.exitCode !== 0) throw new Error(`${path} --help fails: ${help.stderr.toString()}`)
  return { path, command: /^\s+fetch\b/m.test(help.stdout.toString()) ? 'fetch' : 'restore' }
}

export class Machine {
  #daemon: Bun.Subprocess | undefined

  /** @param home its ROBOCORP_HOME, an existing directory */
  constructor(
    readonly host: Host,
    private readonly binary: Binary,
    readonly home = host.home,
  ) {}

  get daemonPid(): number | undefined {
    return this.#daemon?.pid
  }

  /** Make a fleet. @returns its invite */
  async createFleet(): Promise<string> {
    const { stdout } = await this.#succeed('fleet', 'create', 'bench')
    return (JSON.parse(stdout) as { readonly invite: string }).invite
  }

  async join(invite: string, bootstrap: string): Promise<void> {
    await this.#succeed('fleet', 'join', invite, '--bootstrap', bootstrap)
  }

  /** Start the daemon and wait until it serves. @throws {Error} it ended instead */
  async start(): Promise<void> {
    const daemon = this.host.spawn([this.binary.path, 'daemon', '--json', '--quiet'], this.#options)
    this.#daemon = daemon
    // Read to its end, or the daemon would wait for somebody who does.
    const complaints = new Response(daemon.stderr).text()
    let text = ''
    for await (const chunk of daemon.stdout.pipeThrough(new TextDecoderStream())) {
      text += chunk
      if (text.includes('\n')) return
    }
    throw new Error(`the daemon of ${this.host.address} ended: ${await complaints}`)
  }

  /** Let the daemon leave in order, or kill it where it does not; nothing where none runs. */
  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    const daemon = this.#daemon
    if (daemon === undefined) return
    daemon.kill(signal)
    const late = setTimeout(() => daemon.kill('SIGKILL'), STOP_WAIT_MS)
    await daemon.exited
    clearTimeout(late)
    this.#daemon = undefined
  }

  /** Wait until this daemon is connected with `count` others. */
  async connected(count: number): Promise<void> {
    const startedMs = performance.now()
    for (;;) {
      const { stdout } = await this.#succeed('peers')
      const found = (JSON.parse(stdout) as Report).peers?.length ?? 0
      if (found >= count) return
      if (performance.now() - startedMs > CONNECT_WAIT_MS)
        throw new Error(`the daemon of ${this.host.address} has ${found} peers, not ${count}`)
      await Bun.sleep(50)
    }
  }

  /** Wait until the daemon has made ready what it holds, which it begins only after a while in which nothing came. */
  async prepared(): Promise<void> {
    await Bun.sleep(PREPARE_QUIET_MS + 1_000)
    await this.settled()
  }

  /** Wait until the daemon is at rest, for now. */
  async settled(): Promise<void> {
    const pid = this.#daemon?.pid
    if (pid === undefined) return
    const startedMs = performance.now()
    for (let before = processorSeconds(pid); performance.now() - startedMs < REST_WAIT_MS; ) {
      await Bun.sleep(1_000)
      const after = processorSeconds(pid)
      if (after - before <= AT_REST) return
      before = after
    }
  }

  /** Peak resident memory of the daemon since it started, in bytes. */
  peakBytes(): number {
    const status = fs.readFileSync(`/proc/${this.#daemon?.pid}/status`, 'utf8')
    return Number(/^VmHWM:\s*(\d+)/m.exec(status)?.[1]) * 1024
  }

  /** Be as a machine that has just joined: no library, no spaces, no state but the key and the fleets. */
  empty(): void {
    this.removeSpaces()
    fs.rmSync(rootsIn(this.home).hololib, { recursive: true, force: true })
    const { directory, machineKey, fleets } = statePaths(rootsIn(this.home))
    const kept = [machineKey, fleets]
    for (const name of fs.existsSync(directory) ? fs.readdirSync(directory) : []) {
      const path = join(directory, name)
      if (!kept.includes(path)) fs.rmSync(path, { recursive: true, force: true })
    }
  }

  removeSpaces(): void {
    for (const name of fs.readdirSync(this.host.golden))
      fs.rmSync(join(this.host.golden, name), { recursive: true, force: true })
  }

  /** Forget what was prepared for the wire; the daemon must not be running. */
  removePieces(): void {
    fs.rmSync(join(statePaths(rootsIn(this.home)).directory, 'pieces'), { recursive: true, force: true })
  }

  /**
   * Fetch the environment of a robot into the library.
   *
   * @throws {Error} it failed, or took longer than `limitMs`
   * @throws `signal.reason` once `signal` aborts; the process is killed
   */
  async fetch(robotFile: string, limitMs: number, signal: AbortSignal): Promise<Fetched> {
    return this.#timed([this.binary.command, robotFile], limitMs, signal)
  }

  /** Restore it into a space of its own. @returns milliseconds from process start to exit. @throws as `fetch` */
  async restore(robotFile: string, limitMs: number, signal: AbortSignal): Promise<number> {
    return (await this.#timed(['restore', robotFile, '--space', 'bench'], limitMs, signal)).wholeMs
  }

  async #timed(
    words: readonly string[],
    limitMs: number,
    signal: AbortSignal,
  ): Promise<Fetched & { readonly wholeMs: number }> {
    const startedMs = performance.now()
    const child = this.host.spawn([this.binary.path, ...words, '--json'], this.#options)
    const kill = () => child.kill('SIGKILL')
    const late = setTimeout(kill, limitMs)
    signal.addEventListener('abort', kill)
    const [stdout, stderr, exitCode] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
      child.exited,
    ])
    const wholeMs = performance.now() - startedMs
    clearTimeout(late)
    signal.removeEventListener('abort', kill)
    signal.throwIfAborted()
    const who = `${words[0]} on ${this.host.address}`
    if (child.signalCode !== null) throw new Error(`${who} took more than ${(limitMs / 1000).toFixed(0)} s`)
    const report = reportIn(stdout)
    if (exitCode !== 0) throw new Error(`${who} ended with ${exitCode}: ${report?.error?.message ?? stderr}`)
    return { wholeMs, ...figuresOf(report ?? {}, wholeMs) }
  }

  async #succeed(...words: string[]): Promise<{ stdout: string }> {
    const { exitCode, stdout, stderr } = await this.host.run([this.binary.path, ...words, '--json'], this.#options)
    if (exitCode !== 0) throw new Error(`${words.join(' ')} on ${this.host.address}: ${stdout} ${stderr}`)
    return { stdout }
  }

  get #options() {
    return { env: { ROBOCORP_HOME: this.home } }
  }
}

function reportIn(stdout: string): Report | undefined {
  try {
    return JSON.parse(stdout) as Report
  } catch {
    return undefined
  }
}

function figuresOf(report: Report, wholeMs: number): Fetched {
  const { timeline = [], fetched } = report
  const fetchedMs = timeline.findLast(({ stage }) => stage === 'fetch')?.untilMs
  const placingMs = fetchedMs === undefined ? 0 : (timeline.at(-1)?.untilMs ?? fetchedMs) - fetchedMs
  const ms = wholeMs - placingMs
  return {
    ms,
    stageMs: report.ms?.fetch ?? ms,
    firstByteMs: report.firstByteMs ?? fetched?.firstByteMs ?? undefined,
    dropped: (fetched?.dropped ?? []).map(({ source }) => source),
  }
}
