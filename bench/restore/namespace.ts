/**
 * A place for a benchmark that mounts things: namespaces of its own for mounts and processes, and a folder.
 *
 * Whatever ends the benchmark, Ctrl-C included, the kernel ends its processes, its mounts and so its loop devices.
 */
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { must } from './process.ts'

const FOLDER = 'HOLO_PEER_BENCH_FOLDER'
/** Images of a benchmark hold 6 GB at most; the rest is for page caches and others. */
const MEMORY_BYTES_MIN = 12 * 2 ** 30

/** Why there can be no such place here, or undefined where there can. */
export function namespaceObstacle(): string | undefined {
  if (process.platform !== 'linux') return 'loop mounts need Linux'
  if (process.getuid?.() !== 0) return 'loop mounts need root'
  return Bun.which('unshare') === null ? 'unshare is not installed' : undefined
}

/** The folder inside the namespaces; undefined outside of them. */
export function benchFolder(): string | undefined {
  return process.env[FOLDER]
}

/**
 * Run this very script again, inside.
 *
 * @returns its exit status; then nothing of it is left
 */
export async function runInside(): Promise<number> {
  const folder = fs.mkdtempSync(join(tmpdir(), 'holo-peer-bench-'))
  const inside = ['--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child', '--mount-proc']
  const child = Bun.spawn(['unshare', ...inside, process.execPath, ...process.argv.slice(1)], {
    env: { ...process.env, [FOLDER]: folder },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill('SIGKILL'))
  const status = await child.exited
  fs.rmSync(folder, { recursive: true, force: true })
  return status
}

/**
 * Lay the folder in memory where there is enough: a loop device on a disk waits for that disk's other users.
 *
 * @returns what it lies on, for people
 */
export function layFolder(folder: string): string {
  const available = /MemAvailable:\s+(\d+) kB/.exec(fs.readFileSync('/proc/meminfo', 'utf8'))?.[1]
  if (Number(available) * 1024 < MEMORY_BYTES_MIN) return 'the disk of the temporary folder'
  must(['mount', '-t', 'tmpfs', '-o', 'size=100%', 'bench', folder])
  return 'memory'
}
