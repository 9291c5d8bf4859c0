/**
 * The few file operations that a library does for each of thousands of blobs: by system calls where `base/libc` has
 * them, else by `node:fs`. Failures are errors with a `code`, as those of `node:fs`, but for those that are expected.
 */
import * as fs from 'node:fs'
import { type FileStamp, STAMP_LENGTH, stampOf } from '../base/file-stamp.ts'
import {
  AT_FDCWD,
  type CString,
  cString,
  EEXIST,
  ENOENT,
  errnoError,
  libc,
  O_CLOEXEC,
  O_CREAT,
  O_EXCL,
  O_WRONLY,
  Status,
} from '../base/libc.ts'

export interface FileCalls {
  /** Whether a regular file stands at `path`, which is not followed where it is a link. */
  isFile(path: string): boolean
  /** @returns what came of it; `absent` where the parent lacks */
  makeDirectory(path: string, mode: number): 'made' | 'exists' | 'absent'
  /**
   * Write `bytes` to the new file `temporary`, and rename it to `path`; on failure nothing is left of it.
   *
   * @param exactMode set the mode whatever the umask says
   * @returns the stamp, taken by the descriptor once the file was named
   */
  writeNamed(temporary: string, path: string, bytes: Uint8Array, mode: number, exactMode: boolean): FileStamp
}

/** Those of this platform. */
export function fileCalls(): FileCalls {
  return process.platform === 'linux' ? new NativeCalls() : portableCalls
}

/** Those of Linux, also below a directory descriptor and with names that are C strings already. */
export class NativeCalls implements FileCalls {
  readonly #libc = libc()
  readonly #status = new Status()

  isFile(path: string): boolean {
    return this.#status.at(AT_FDCWD, cString(path)) && this.#status.isFile
  }

  makeDirectory(path: string, mode: number): 'made' | 'exists' | 'absent' {
    return this.makeDirectoryAt(AT_FDCWD, cString(path), mode)
  }

  makeDirectoryAt(directory: number, name: CString, mode: number): 'made' | 'exists' | 'absent' {
    if (this.#libc.mkdirat(directory, name, mode) === 0) return 'made'
    const errno = this.#libc.errno()
    if (errno === EEXIST) return 'exists'
    if (errno === ENOENT) return 'absent'
    throw errnoError(errno)
  }

  writeNamed(temporary: string, path: string, bytes: Uint8Array, mode: number, exactMode: boolean): FileStamp {
    return this.writeNamedAt(AT_FDCWD, cString(temporary), cString(path), bytes, mode, exactMode)
  }

  writeNamedAt(
    directory: number,
    from: CString,
    to: CString,
    bytes: Uint8Array,
    mode: number,
    exactMode: boolean,
  ): FileStamp {
    const flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC
    const descriptor = this.#libc.openat(directory, from, flags, mode)
    if (descriptor < 0) throw errnoError(this.#libc.errno())
    try {
      if (exactMode) this.#checked(this.#libc.fchmod(descriptor, mode))
      this.#write(descriptor, bytes)
      this.#checked(this.#libc.renameat(directory, from, directory, to))
      this.#checked(this.#status.of(descriptor) ? 0 : -1)
      const stamp = new Uint32Array(STAMP_LENGTH)
      this.#status.copyStamp(stamp, 0)
      return stamp
    } catch (error) {
      this.#libc.unlinkat(directory, from, 0)
      throw error
    } finally {
      this.#libc.close(descriptor)
    }
  }

  #write(descriptor: number, bytes: Uint8Array): void {
    for (let at = 0; at < bytes.byteLength; ) {
      const rest = at === 0 ? bytes : bytes.subarray(at)
      const written = Number(this.#libc.pwrite(descriptor, rest, rest.byteLength, at))
      if (written < 0) throw errnoError(this.#libc.errno())
      at += written
    }
  }

  #checked(result: number): void {
    if (result < 0) throw errnoError(this.#libc.errno())
  }
}

const portableCalls: FileCalls = {
  isFile(path) {
    return fs.lstatSync(path, { throwIfNoEntry: false })?.isFile() ?? false
  },

  makeDirectory(path, mode) {
    try {
      fs.mkdirSync(path, { mode })
      return 'made'
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code
      if (code === 'EEXIST') return 'exists'
      if (code === 'ENOENT') return 'absent'
      throw error
    }
  },

  writeNamed(temporary, path, bytes, mode, exactMode) {
    const descriptor = fs.openSync(temporary, 'wx', mode)
    try {
      if (exactMode) fs.fchmodSync(descriptor, mode)
      for (let at = 0; at < bytes.byteLength; ) at += fs.writeSync(descriptor, bytes, at, bytes.byteLength - at)
      fs.renameSync(temporary, path)
      return stampOf(fs.fstatSync(descriptor, { bigint: true }))
    } catch (error) {
      fs.rmSync(temporary, { force: true })
      throw error
    } finally {
      fs.closeSync(descriptor)
    }
  },
}
