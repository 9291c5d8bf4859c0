/**
 * Where thousands of small blobs get their places in a library, one after the other: directories, a temporary, its name.
 *
 * On Linux by system calls below one descriptor, with names written into the same bytes again and again: a blob then
 * costs little more than what the kernel takes. Each has temporaries in a directory of its own: threads that share one wait
 * for each other there (two Workers that verify and write took 10 % longer on xfs, 3 % on ext4). Elsewhere by
 * `LibraryFiles`. What is written was verified by the caller.
 */
import { hostError, systemCodeOf } from '../base/errors.ts'
import type { FileStamp } from '../base/file-stamp.ts'
import {
  AT_FDCWD,
  AT_REMOVEDIR,
  cString,
  ENOENT,
  errnoError,
  libc,
  O_CLOEXEC,
  O_DIRECTORY,
  Status,
} from '../base/libc.ts'
import type { Sha256Digest } from '../blob/digest.ts'
import { blobPath, libraryDirectory, type Roots } from '../catalog/layout.ts'
import { NativeCalls } from './file-calls.ts'
import { directoryMode, fileMode, type LibraryFiles } from './library-files.ts'
import { temporaryName } from './temporary.ts'

const SLASH = 0x2f
/** `aa/bb/cc/`, before the digest: what rcc makes of its first six digits (formats.md §1). */
const HEAD_BYTES = 9
/** Where the names of the three levels end. */
const LEVEL_ENDS = [2, 5, 8] as const
const NAME_BYTES_MAX = 128

export class BlobPlaces implements Disposable {
  readonly #native: NativePlaces | undefined

  /** @throws {HoloError} blame `host`: the library cannot be made */
  constructor(
    private readonly roots: Roots,
    private readonly files: LibraryFiles,
  ) {
    files.ensureDirectory(libraryDirectory(roots))
    if (process.platform === 'linux') this.#native = new NativePlaces(libraryDirectory(roots), roots.shared)
  }

  /**
   * Make a file of a blob, unless a regular file stands at its place.
   *
   * @param atRest asked for the bytes of the file only where it is made
   * @returns its stamp, taken by its descriptor once it was named; undefined where it was there
   * @throws {HoloError} blame `host`: writing failed, and nothing is left behind
   */
  add(digest: Sha256Digest, atRest: () => Uint8Array): FileStamp | undefined {
    const native = this.#native
    if (native === undefined) {
      const path = blobPath(this.roots, digest)
      return this.files.isFile(path) ? undefined : this.files.write(path, atRest(), libraryDirectory(this.roots)).stamp
    }
    try {
      return native.add(digest, atRest)
    } catch (error) {
      if (systemCodeOf(error) !== 'ENOENT') throw hostError(`write ${blobPath(this.roots, digest)}`, error)
    }
    // rcc's check removes empty directories at any time, the library's own among them.
    try {
      this.files.forget()
      this.files.ensureDirectory(libraryDirectory(this.roots))
      native.reopen()
      return native.add(digest, atRest)
    } catch (error) {
      throw hostError(`write ${blobPath(this.roots, digest)}`, error)
    }
  }

  [Symbol.dispose](): void {
    this.#native?.[Symbol.dispose]()
  }
}

/** Errors are as those of `node:fs`, with a `code`. */
class NativePlaces implements Disposable {
  readonly #libc = libc()
  readonly #calls = new NativeCalls()
  readonly #status = new Status()
  // With buffers of their own: others are moved when somebody asks for them.
  readonly #name = Buffer.from(new ArrayBuffer(NAME_BYTES_MAX))
  /** The directory of our temporaries, a slash, and the name of the one that is being written. */
  readonly #temporary = Buffer.from(new ArrayBuffer(NAME_BYTES_MAX))
  /** Where that name begins; 0 until the directory was made. */
  #temporaryAt = 0
  #temporaries = 0
  /** Directories that are known to exist, each as the digits of its levels. */
  readonly #made = new Set<string>()
  #directory: number

  constructor(
    private readonly path: string,
    private readonly shared: boolean,
  ) {
    this.#directory = this.#open()
    this.#name[2] = SLASH
    this.#name[5] = SLASH
    this.#name[8] = SLASH
  }

  reopen(): void {
    this.#close()
    this.#made.clear()
    this.#directory = this.#open()
  }

  add(digest: Sha256Digest, atRest: () => Uint8Array): FileStamp | undefined {
    const name = this.#name
    name.write(digest, HEAD_BYTES, 'latin1')
    for (let level = 0; level < LEVEL_ENDS.length; level++) {
      name[3 * level] = name[HEAD_BYTES + 2 * level] ?? 0
      name[3 * level + 1] = name[HEAD_BYTES + 2 * level + 1] ?? 0
    }
    const isNew = this.#ensureLevels(digest)
    if (!isNew && this.#status.at(this.#directory, name) && this.#status.isFile) return undefined
    return this.#write(atRest())
  }

  /** @returns whether the last level was made now: nothing stands in it */
  #ensureLevels(digest: Sha256Digest): boolean {
    let isNew = false
    for (let level = 0; level < LEVEL_ENDS.length; level++) {
      const digits = digest.slice(0, 2 * (level + 1))
      isNew = false
      if (this.#made.has(digits)) continue
      const end = LEVEL_ENDS[level] ?? 0
      this.#name[end] = 0
      isNew = this.#makeDirectory(this.#name)
      this.#name[end] = SLASH
      this.#made.add(digits)
    }
    return isNew
  }

  /** @returns whether it was not there */
  #makeDirectory(name: Uint8Array): boolean {
    const mode = directoryMode(this.shared)
    const result = this.#calls.makeDirectoryAt(this.#directory, name, mode)
    if (result === 'absent') throw errnoError(ENOENT)
    // mkdir subtracts the umask, which other users of a shared library must not suffer from.
    if (result === 'made' && this.shared) this.#checked(this.#libc.fchmodat(this.#directory, name, mode, 0))
    return result === 'made'
  }

  #write(bytes: Uint8Array): FileStamp {
    const temporary = this.#temporary
    if (this.#temporaryAt === 0) this.#temporaryAt = this.#makeTemporaries()
    temporary[this.#temporaryAt + temporary.write(`${this.#temporaries++}`, this.#temporaryAt)] = 0
    return this.#calls.writeNamedAt(this.#directory, temporary, this.#name, bytes, fileMode(this.shared), this.shared)
  }

  /** @returns where in `#temporary` their names begin */
  #makeTemporaries(): number {
    for (;;) {
      const end = this.#temporary.write(temporaryName())
      this.#temporary[end] = 0
      // One that stands there is of a process that had our number, and is left to the sweep.
      if (!this.#makeDirectory(this.#temporary)) continue
      this.#temporary[end] = SLASH
      return end + 1
    }
  }

  #open(): number {
    return this.#checked(this.#libc.openat(AT_FDCWD, cString(this.path), O_DIRECTORY | O_CLOEXEC, 0))
  }

  #checked(result: number): number {
    if (result < 0) throw errnoError(this.#libc.errno())
    return result
  }

  #close(): void {
    if (this.#temporaryAt > 0) {
      this.#temporary[this.#temporaryAt - 1] = 0
      // Where it cannot be removed, a sweep does it.
      this.#libc.unlinkat(this.#directory, this.#temporary, AT_REMOVEDIR)
      this.#temporaryAt = 0
    }
    this.#libc.close(this.#directory)
  }

  [Symbol.dispose](): void {
    this.#close()
  }
}
