/**
 * Which blobs stand in a library: asked thousands of times in a row, so by system calls below one descriptor where that
 * is possible. A blob is a regular file; what else may stand at its place counts as nothing.
 */
import * as fs from 'node:fs'
import { type FileStamp, stampOf } from '../base/file-stamp.ts'
import { AT_FDCWD, cString, ENOENT, libc, O_CLOEXEC, O_DIRECTORY, Status } from '../base/libc.ts'
import type { Digest } from '../blob/digest.ts'
import type { BlobTree } from '../blob/local.ts'

export class BlobPresence implements Disposable {
  readonly #directory: number | undefined
  readonly #status: Status | undefined
  readonly #name = Buffer.alloc(128)
  /** There is no library yet: nobody need be asked ten thousand times. */
  readonly #isAbsent: boolean = false

  constructor(private readonly tree: BlobTree) {
    if (process.platform !== 'linux') return
    const descriptor = libc().openat(AT_FDCWD, cString(tree.directory), O_DIRECTORY | O_CLOEXEC, 0)
    if (descriptor < 0) {
      this.#isAbsent = libc().errno() === ENOENT
      return
    }
    this.#directory = descriptor
    this.#status = new Status()
  }

  holds(digest: Digest): boolean {
    if (this.#isAbsent) return false
    const name = this.tree.nameOf(digest)
    if (this.#directory === undefined || this.#status === undefined) {
      return fs.lstatSync(`${this.tree.directory}/${name}`, { throwIfNoEntry: false })?.isFile() ?? false
    }
    this.#name[this.#name.write(name)] = 0
    return this.#status.at(this.#directory, this.#name) && this.#status.isFile
  }

  /**
   * The size of a blob's file; its stamp goes to `stamps`, from word `at` on.
   *
   * @returns bytes at rest, or NaN where the blob is not held; `stamps` is left alone then
   */
  measure(digest: Digest, stamps: FileStamp, at: number): number {
    const name = this.tree.nameOf(digest)
    if (this.#directory === undefined || this.#status === undefined) {
      const status = fs.lstatSync(`${this.tree.directory}/${name}`, { throwIfNoEntry: false, bigint: true })
      if (status?.isFile() !== true) return Number.NaN
      stamps.set(stampOf(status), at)
      return Number(status.size)
    }
    this.#name[this.#name.write(name)] = 0
    if (!this.#status.at(this.#directory, this.#name) || !this.#status.isFile) return Number.NaN
    this.#status.copyStamp(stamps, at)
    return this.#status.sizeBytes
  }

  [Symbol.dispose](): void {
    if (this.#directory !== undefined) libc().close(this.#directory)
  }
}
