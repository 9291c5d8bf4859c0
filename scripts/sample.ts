/**
 * The main job on this one machine, for a newcomer: two processes of dist/holo-peer, each with a library of its own,
 * find each other over a private DHT, and the second restores a real rcc environment from the first.
 *
 * Writes to a temporary folder and to the place that the sample's catalog was recorded for, and removes both.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'

const root = resolve(import.meta.dir, '..')
const binary = join(root, 'dist', 'holo-peer')
if (process.platform !== 'linux' || process.arch !== 'x64') {
  console.log(`The sample environment was recorded on linux-x64; this is ${process.platform}-${process.arch}.`)
  process.exit(1)
}

const golden = join(root, 'test', 'golden', 'small', 'gzip')
const folder = mkdtempSync(join(tmpdir(), 'holo-peer-sample-'))

function environmentOf(machine: string): Record<string, string | undefined> {
  return {
    ...process.env,
    ROBOCORP_HOME: join(folder, machine),
    HOLO_PEER_FLEET_SECRET: undefined,
    HOLO_PEER_BOOTSTRAP: undefined,
  }
}

function run(machine: string, args: readonly string[]): string {
  const { exitCode, stdout } = Bun.spawnSync([binary, ...args], {
    env: environmentOf(machine),
    stderr: 'inherit',
  })
  if (exitCode !== 0) throw new Error(`holo-peer ${args.join(' ')} ended with status ${exitCode}`)
  return stdout.toString()
}

function say(text: string): void {
  console.log(`\n── ${text}`)
}

/** Start the daemon of one machine. @returns the process, and the UDP port of its DHT bootstrap node */
async function startDaemon(machine: string): Promise<{ process: Bun.Subprocess; port: number }> {
  const daemon = Bun.spawn([binary, 'daemon', '--json', '--quiet'], {
    env: environmentOf(machine),
    stdout: 'pipe',
    stderr: 'inherit',
  })
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of daemon.stdout) {
    text += decoder.decode(chunk, { stream: true })
    if (text.includes('\n')) return { process: daemon, port: JSON.parse(text).port }
  }
  throw new Error('the daemon ended before it was ready')
}

/** Remove a space with its siblings, then the directories above it that it leaves empty. */
function removeSpace(path: string): void {
  const holotree = dirname(path)
  for (const name of readdirSync(holotree))
    if (name.startsWith(basename(path))) rmSync(join(holotree, name), { recursive: true, force: true })
  try {
    for (const directory of [holotree, dirname(holotree), dirname(dirname(holotree))]) rmdirSync(directory)
  } catch {
    // Something else stands there: it stays.
  }
}

let daemon: Bun.Subprocess | undefined
let spacePath: string | undefined
try {
  say(`Machine A gets rcc's library (three versions of a small environment), machine B gets nothing: ${folder}`)
  for (const machine of ['a', 'b']) mkdirSync(join(folder, machine))
  const unpacked = Bun.spawnSync(['tar', '-xzf', join(golden, 'hololib.tar.gz'), '-C', join(folder, 'a')], {
    stderr: 'inherit',
  })
  if (unpacked.exitCode !== 0) throw new Error('the sample library could not be unpacked')

  say('A creates a fleet and starts its daemon')
  const { invite } = JSON.parse(run('a', ['fleet', 'create', 'sample', '--json']))
  const started = await startDaemon('a')
  daemon = started.process
  console.log(`daemon ${daemon.pid}: DHT bootstrap node on UDP port ${started.port}`)

  say('B joins the fleet by the invite')
  process.stdout.write(run('b', ['fleet', 'join', invite, '--bootstrap', `127.0.0.1:${started.port}`]))

  const robot = (version: number) => join(golden, `robot${version}`, 'robot.yaml')
  const space = ['--space', 'holo-peer-sample']
  const planned = JSON.parse(run('b', ['restore', robot(1), ...space, '--dry-run', '--json']))
  spacePath = planned.space.path
  say(`B restores from A, into the base that the environment was recorded for: ${spacePath}`)
  process.stdout.write(run('b', ['restore', robot(1), ...space]))

  say('B restores again: nothing to fetch, nothing to write')
  process.stdout.write(run('b', ['restore', robot(1), ...space]))

  say('B switches the space to the next version: only what differs travels')
  process.stdout.write(run('b', ['restore', robot(2), ...space]))
} finally {
  daemon?.kill('SIGTERM')
  await daemon?.exited
  rmSync(folder, { recursive: true, force: true })
  if (spacePath !== undefined) removeSpace(spacePath)
  say(`Cleaned up: ${folder} and ${spacePath ?? 'the space'} are gone`)
}
