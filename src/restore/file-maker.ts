/**
 * One file of a space by system calls: made, filled, relocated, given mode and time, named. One value per thread.
 *
 * In a directory that this run made, a file whose bytes are right as they come is made under its own name: until it
 * bears rcc's fixed time, which comes last, the next run takes it for unfinished. Any other is made under a temporary
 * name and renamed, so that rcc, which goes by size and mode, never takes half of one for the whole. Exclusive
 * creation below a directory's descriptor: nothing is written through a link. Knows nothing of blobs.
 */
import { ptr } from 'bun:ffi'
import { constants as os } from 'node:os'
import { hostError } from '../base/errors.ts'
import {
  type CString,
  cString,
  EEXIST,
  errnoError,
  FICLONE,
  libc,
  O_CLOEXEC,
  O_CREAT,
  O_EXCL,
  O_NOFOLLOW,
  O_WRONLY,
  Status,
} from '../base/libc.ts'
import { RESTORED_TIME_S } from './file-mode.ts'
import type { PlacementTexts, SharedPlacements } from './placements.ts'
import { spaceError } from './space-changed.ts'
import { temporaryName } from './temporary-name.ts'

const CREATE_FLAGS = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC
/** Most one call may copy or write; the kernel ends at 2 GiB. */
const STEP_BYTES = 2 ** 30
const PERMISSION_BITS = 0o777
const { EINVAL, EIO, ENOSPC, EDQUOT } = os.errno

export class FileMaker {
  readonly #libc = libc()
  readonly #status = new Status()
  /** Access and modification time, as two `struct timespec`. */
  readonly #times = new BigInt64Array([BigInt(RESTORED_TIME_S), 0n, BigInt(RESTORED_TIME_S), 0n])
  readonly times = ptr(this.#times)
  readonly #spaceName: Uint8Array
  #directory = -1
  #directoryPath = ''
  #fresh = false
  /** Whether files of this directory that are made with a mode get it; a default ACL would change some. */
  readonly #keepsMode = new Map<number, boolean>()
  #descriptor = -1
  #temporary: Uint8Array | undefined

  /** @param threadName tells this thread's temporary files from those of another @param umask of this process */
  constructor(
    private readonly placements: SharedPlacements,
    private readonly texts: PlacementTexts,
    spaceName: string,
    private readonly threadName: string,
    private readonly umask: number,
  ) {
    this.#spaceName = Buffer.from(spaceName)
  }

  /** The files that follow go here. @param fresh it was made by this run */
  enter(directory: number, path: string, fresh: boolean): void {
    this.#directory = directory
    this.#directoryPath = path
    this.#fresh = fresh
    this.#keepsMode.clear()
  }

  /** For errors. */
  pathOf(file: number): string {
    return `${this.#directoryPath}/${this.texts.string(this.placements.fileName[file] ?? 0)}`
  }

  /**
   * Begin the file: to be followed by one of the ways of filling it, then `finish` or `abandon`.
   *
   * @param proved all that will be written is known to be right; else it gets its name only by `finish`
   */
  create(file: number, proved = true): void {
    const mode = (this.placements.fileMode[file] ?? 0) & PERMISSION_BITS
    // rcc goes by size and mode: one that is still to be relocated would be right for it if we were killed now.
    if (this.#fresh && proved && !this.#isRelocated(file)) {
      this.#temporary = undefined
      this.#descriptor = this.#libc.openat(this.#directory, this.#name(file), CREATE_FLAGS, mode)
      if (this.#descriptor >= 0) return
      if (this.#libc.errno() !== EEXIST) throw this.#failed(file)
      // Something stands here in spite of all: then as in any other directory.
    }
    do {
      // Another name where a killed process that had our number left one, or the environment has such a name.
      this.#temporary = this.#freshName()
      this.#descriptor = this.#libc.openat(this.#directory, this.#temporary, CREATE_FLAGS, 0o600)
    } while (this.#descriptor < 0 && this.#libc.errno() === EEXIST)
    if (this.#descriptor < 0) throw this.#failed(file)
  }

  /** Share the blocks of `source`. @returns 0, or the errno that it was refused with */
  share(source: number): number {
    return this.#libc.ioctl(this.#descriptor, FICLONE, source) === 0 ? 0 : this.#libc.errno()
  }

  /** Copy `source`, which was not read yet, within the kernel. @returns 0, or the errno of a refusal before any byte */
  copyWithin(source: number, file: number): number {
    const sizeBytes = this.placements.fileSize[file] ?? 0
    for (let done = 0; done < sizeBytes; ) {
      const step = Math.min(STEP_BYTES, sizeBytes - done)
      const count = Number(this.#libc.copy_file_range(source, null, this.#descriptor, null, step, 0))
      if (count > 0) {
        done += count
        continue
      }
      const errno = count < 0 ? this.#libc.errno() : 0
      if (done > 0 || errno === ENOSPC || errno === EDQUOT || errno === EIO) {
        throw hostError(`write ${this.pathOf(file)}`, errnoError(errno === 0 ? EIO : errno))
      }
      // Some file systems answer with nothing at all: a refusal, too.
      return errno === 0 ? EINVAL : errno
    }
    return 0
  }

  /** Write bytes at a place. @throws {HoloError} blame `host` */
  write(bytes: Uint8Array, at: number, file: number): void {
    for (let done = 0; done < bytes.byteLength; ) {
      const rest = done === 0 ? bytes : bytes.subarray(done)
      const count = Number(this.#libc.pwrite(this.#descriptor, rest, Math.min(STEP_BYTES, rest.byteLength), at + done))
      if (count <= 0) throw this.#failed(file)
      done += count
    }
  }

  /** Relocate, set mode and time, give the file its name. @throws {HoloError} blame `host` */
  finish(file: number): void {
    const { rewriteEnd, rewrites, fileMode } = this.placements
    for (let index = this.#firstRewrite(file); index < (rewriteEnd[file] ?? 0); index++) {
      this.write(this.#spaceName, rewrites[index] ?? 0, file)
    }
    const mode = fileMode[file] ?? 0
    // After the last write, which would clear setuid and set the time.
    const right = this.#temporary === undefined && this.#isKept(mode)
    if (!right && this.#libc.fchmod(this.#descriptor, mode) !== 0) throw this.#failed(file)
    if (this.#libc.futimens(this.#descriptor, this.times) !== 0) throw this.#failed(file)
    this.#close()
    if (this.#temporary !== undefined) this.#rename(file, this.#temporary)
  }

  /** Remove an unfinished file. */
  abandon(file: number): void {
    this.#close()
    this.#libc.unlinkat(this.#directory, this.#temporary ?? this.#name(file), 0)
    this.#temporary = undefined
  }

  /**
   * Let the file be a hard link to `name` below `from`.
   *
   * @param isRight looks at the link before it gets the file's name @returns 0, or the errno that it was refused with:
   *   ESTALE where `isRight` says no
   */
  link(from: number, name: CString, file: number, isRight: (status: Status) => boolean): number {
    return this.#named(file, (target) => {
      if (this.#libc.linkat(from, name, this.#directory, target, 0) !== 0) return this.#libc.errno()
      if (this.#status.at(this.#directory, target) && isRight(this.#status)) return 0
      this.#libc.unlinkat(this.#directory, target, 0)
      return os.errno.ESTALE
    })
  }

  /** Let the file be a symbolic link. @returns 0, or the errno that it was refused with */
  symlink(target: string, file: number): number {
    const text = cString(target)
    return this.#named(file, (name) =>
      this.#libc.symlinkat(text, this.#directory, name) === 0 ? 0 : this.#libc.errno(),
    )
  }

  #named(file: number, make: (name: CString) => number): number {
    if (this.#fresh) {
      const refusal = make(this.#name(file))
      if (refusal !== EEXIST) return refusal
    }
    let temporary = this.#freshName()
    let refusal = make(temporary)
    while (refusal === EEXIST) {
      temporary = this.#freshName()
      refusal = make(temporary)
    }
    if (refusal !== 0) return refusal
    this.#rename(file, temporary)
    // Renaming one link of an inode onto another does nothing at all, and leaves both.
    this.#libc.unlinkat(this.#directory, temporary, 0)
    return 0
  }

  #rename(file: number, temporary: Uint8Array): void {
    if (this.#libc.renameat(this.#directory, temporary, this.#directory, this.#name(file)) === 0) return
    const failure = this.#failed(file)
    this.#libc.unlinkat(this.#directory, temporary, 0)
    throw failure
  }

  #firstRewrite(file: number): number {
    return file === 0 ? 0 : (this.placements.rewriteEnd[file - 1] ?? 0)
  }

  #isRelocated(file: number): boolean {
    return this.#firstRewrite(file) < (this.placements.rewriteEnd[file] ?? 0)
  }

  #isKept(mode: number): boolean {
    if (mode > PERMISSION_BITS || (mode & this.umask) !== 0) return false
    const known = this.#keepsMode.get(mode)
    if (known !== undefined) return known
    const kept = this.#status.of(this.#descriptor) && this.#status.mode === mode
    this.#keepsMode.set(mode, kept)
    return kept
  }

  #close(): void {
    if (this.#descriptor >= 0) this.#libc.close(this.#descriptor)
    this.#descriptor = -1
  }

  #freshName(): Uint8Array {
    return cString(temporaryName(this.threadName))
  }

  #name(file: number): CString {
    return this.texts.pointer(this.placements.fileName[file] ?? 0)
  }

  #failed(file: number): Error {
    return spaceError(`write ${this.pathOf(file)}`, errnoError(this.#libc.errno()))
  }
}
