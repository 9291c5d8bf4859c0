/** Real file systems for tests: images mounted by the loop device, or a tmpfs. Needs root on Linux and the formatters. */
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export const FILE_SYSTEMS = ['xfs', 'btrfs', 'ext4', 'tmpfs'] as const
export type FileSystem = (typeof FILE_SYSTEMS)[number]

/** Sparse: only what is written takes room. */
const IMAGE_BYTES = 1 << 30
const PATH = `${process.env.PATH}:/usr/sbin:/sbin`

function formatter(kind: FileSystem): string | null {
  const named = process.env[`MKFS_${kind.toUpperCase()}`]
  return named ?? Bun.which(`mkfs.${kind}`, { PATH })
}

/** Why `kind` cannot be mounted here; undefined where it can. */
export function mountObstacle(kind: FileSystem): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'only root on Linux can mount file systems'
  if (kind !== 'tmpfs' && formatter(kind) === null) return `mkfs.${kind} is not installed`
  return undefined
}

/** One mounted file system, empty; unmounted when it is disposed. */
export class Mounted implements Disposable {
  readonly #folder = fs.mkdtempSync(join(tmpdir(), 'holo-peer-mount-'))
  readonly path = join(this.#folder, 'mounted')

  constructor(readonly kind: FileSystem) {
    fs.mkdirSync(this.path)
    if (kind === 'tmpfs') run(['mount', '-t', 'tmpfs', 'tmpfs', this.path])
    else {
      const image = join(this.#folder, 'image')
      fs.writeFileSync(image, '')
      fs.truncateSync(image, IMAGE_BYTES)
      run([formatter(kind) ?? '', '-q', image])
      run(['mount', '-o', 'loop', image, this.path])
    }
  }

  [Symbol.dispose](): void {
    // Lazily: a test that failed may have left something open.
    Bun.spawnSync(['umount', '-l', this.path])
    fs.rmSync(this.#folder, { recursive: true, force: true })
  }
}

function run(command: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(command)
  if (exitCode !== 0) throw new Error(`${command.join(' ')}: ${stderr.toString()}`)
}
