/** Run a command to its end, timed from its start to its exit. */

export interface Run {
  /** Wall time, in milliseconds. */
  readonly ms: number
  /** Time on processors, in milliseconds: what others do disturbs it less. */
  readonly cpuMs: number
  readonly stdout: string
}

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
