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

/** What a benchmark has for itself. */
export interface BenchFolders {
  /** For mount points. */
  readonly mounts: string
  /** For images and other large files; in memory, where there is enough. */
  readonly images: string
}

/**
 * Run this very script again, inside.
 *
 * @returns its exit status; then nothing of it is left
 */
export async function runInside(): Promise<number> {
  const folder = fs.mkdtempSync(join(tmpdir(), 'holo-peer-bench-'))
  for (const name of ['mounts', 'images']) fs.mkdirSync(join(folder, name))
  const inside = ['--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child', '--mount-proc']
  const child = Bun.spawn(['unshare', ...inside, process.execPath, ...process.argv.slice(1)], {
    env: { ...process.env, [FOLDER]: folder },
    stdio: ['ignore', 'inherit', 'inherit'],
    // A session of its own: Ctrl-C reaches us alone, and what is measured can have precedence without all of the shell.
    detached: true,
  })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill('SIGKILL'))
  const status = await child.exited
  fs.rmSync(folder, { recursive: true, force: true })
  return status
}

/**
 * The folders of this benchmark, to be asked for once: images lie in memory where there is enough, since a loop device
 * on a disk waits for that disk's other users.
 *
 * @returns undefined outside of the namespaces
 */
export function benchFolders(): (BenchFolders & { readonly inMemory: boolean }) | undefined {
  const folder = process.env[FOLDER]
  if (folder === undefined) return undefined
  const images = join(folder, 'images')
  const available = /MemAvailable:\s+(\d+) kB/.exec(fs.readFileSync('/proc/meminfo', 'utf8'))?.[1]
  const inMemory = Number(available) * 1024 >= MEMORY_BYTES_MIN
  // A mount of its own in either case: a loop device keeps the mount that its image lies on, with all that is below.
  must(inMemory ? ['mount', '-t', 'tmpfs', '-o', 'size=100%', 'bench', images] : ['mount', '--bind', images, images])
  return { mounts: join(folder, 'mounts'), images, inMemory }
}
