/** Run a command to its end, timed from its start to its exit. */
import * as fs from 'node:fs'
import { setPriority } from 'node:os'

export interface Run {
  /** Wall time, in milliseconds. */
  readonly ms: number
  /** Time on processors, in milliseconds: what others do disturbs it less. */
  readonly cpuMs: number
  readonly stdout: string
}

/** Before all others who want the processors, but for the kernel itself. */
const MEASURED_NICE = -15
/** Where the kernel groups processes by session, niceness counts inside a group only, and the group has its own. */
const AUTOGROUP = '/proc/self/autogroup'

/** @throws {Error} it failed; the message has the end of what it printed */
export function must(command: readonly string[], environment: NodeJS.ProcessEnv = process.env): Run {
  const startedMs = performance.now()
  const child = Bun.spawnSync([...command], { env: environment, stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' })
  const ms = performance.now() - startedMs
  const stdout = child.stdout.toString()
  const cpuMs = Number(child.resourceUsage.cpuTime.total) / 1000
  if (child.exitCode === 0) return { ms, cpuMs, stdout }
  const said = (child.stderr.toString().trim() || stdout).slice(-2_000)
  throw new Error(`${command.join(' ')} ended with ${child.exitCode ?? child.signalCode}:\n${said}`)
}

/** The same, with precedence over everybody else on this machine: for what is measured. @throws as `must` */
export function measured(command: readonly string[], environment?: NodeJS.ProcessEnv): Run {
  setNice(MEASURED_NICE)
  try {
    return must(command, environment)
  } finally {
    setNice(0)
  }
}

/** Give this process, and those that it starts from now on, the same precedence: where what is measured is many. */
export function precede(): void {
  setNice(MEASURED_NICE)
}

function setNice(nice: number): void {
  setPriority(nice)
  if (fs.existsSync(AUTOGROUP)) fs.writeFileSync(AUTOGROUP, String(nice))
}
