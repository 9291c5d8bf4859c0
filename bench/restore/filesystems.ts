/**
 * File systems to restore on: made in image files, mounted by loop devices, inside the mount namespace of the caller.
 *
 * Nothing has to be cleaned up for certain: a mount ends with its namespace, and a loop device with its mount. Hence no
 * file system is mounted below the one that its image lies on: the two would hold each other for ever.
 */
import * as fs from 'node:fs'
import { join } from 'node:path'
import type { BenchFolders } from './namespace.ts'
import { must } from './process.ts'

export const fileSystemKinds = ['xfs', 'btrfs', 'ext4', 'tmpfs'] as const
export type FileSystemKind = (typeof fileSystemKinds)[number]

/** Library, reflinked and whole copies of the large environment, with room to spare; images are sparse. */
const IMAGE_BYTES = 8 * 2 ** 30

/** ext4 writes its inode tables now, not in the background while we measure. */
const MAKE: Readonly<Record<Exclude<FileSystemKind, 'tmpfs'>, readonly string[]>> = {
  xfs: ['mkfs.xfs', '-q', '-m', 'reflink=1'],
  btrfs: ['mkfs.btrfs', '-q'],
  ext4: ['mkfs.ext4', '-q', '-F', '-E', 'lazy_itable_init=0,lazy_journal_init=0'],
}

/** What is missing here for loop mounts of all kinds, as the end of a sentence; undefined where nothing is. */
export function fileSystemObstacle(): string | undefined {
  const tools = [...Object.values(MAKE).map(([tool]) => tool ?? ''), 'xfs_spaceman']
  const absent = tools.filter((tool) => toolPath(tool) === null)
  return absent.length === 0 ? undefined : `${absent.join(', ')} not installed`
}

export class FileSystem implements Disposable {
  /** Its root. */
  readonly path: string
  readonly #image: string

  constructor(
    readonly kind: FileSystemKind,
    { mounts, images }: BenchFolders,
  ) {
    this.path = join(mounts, kind)
    this.#image = join(images, kind)
    fs.mkdirSync(this.path)
    if (kind === 'tmpfs') {
      must(['mount', '-t', 'tmpfs', '-o', `size=${IMAGE_BYTES}`, 'bench', this.path])
      return
    }
    const [tool = '', ...options] = MAKE[kind]
    fs.writeFileSync(this.#image, '')
    fs.truncateSync(this.#image, IMAGE_BYTES)
    must([toolPath(tool) ?? tool, ...options, this.#image])
    must(['mount', '-o', 'loop', this.#image, this.path])
  }

  /**
   * Wait until nothing of earlier work is left to be done: dirty pages, and inodes that XFS frees in the background,
   * which only its own ioctl waits for. (Freezing would do all that, but a file system that is frozen when we are
   * killed stays for ever.)
   */
  settle(): void {
    if (this.kind === 'xfs') must([toolPath('xfs_spaceman') ?? '', '-c', 'prealloc -s', this.path])
    must(['sync', '--file-system', this.path])
  }

  [Symbol.dispose](): void {
    must(['umount', this.path])
    fs.rmdirSync(this.path)
    fs.rmSync(this.#image, { force: true })
  }
}

/** Administrators' tools are not in everybody's PATH. */
function toolPath(tool: string): string | null {
  return Bun.which(tool, { PATH: `${process.env.PATH}:/usr/sbin:/sbin` })
}
