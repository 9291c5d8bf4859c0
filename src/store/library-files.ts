/**
 * Files and directories of rcc's library, made as rcc makes them (formats.md §1): directories 0750, or 0777 when
 * shared; files 0644, or 0666 when shared.
 *
 * Everything appears by rename. Nothing is flushed to the disk one by one: fdatasync for each of 10^4 blobs takes
 * seconds (limits.md §5), and a blob that a power cut damaged is found by its digest when it is used.
 */
import * as fs from 'node:fs'
import { dirname } from 'node:path'
import { hostError, systemCodeOf } from '../base/errors.ts'
import { type FileStamp, stampOf } from '../base/file-stamp.ts'
import { PRIVATE_DIRECTORY_MODE, SHARED_DIRECTORY_MODE } from '../catalog/layout.ts'
import { fileCalls } from './file-calls.ts'
import { temporaryIn } from './temporary.ts'

const PRIVATE_FILE_MODE = 0o644
const SHARED_FILE_MODE = 0o666

export function directoryMode(shared: boolean): number {
  return shared ? SHARED_DIRECTORY_MODE : PRIVATE_DIRECTORY_MODE
}

export function fileMode(shared: boolean): number {
  return shared ? SHARED_FILE_MODE : PRIVATE_FILE_MODE
}

/** A file under its final name. */
export interface WrittenFile {
  readonly bytes: number
  /** Taken by its descriptor once it was named: whoever replaces the file after that is not taken for it. */
  readonly stamp: FileStamp
}

export class LibraryFiles {
  /** Directories known to exist: three levels of them dominate the writing of small blobs (limits.md §5). */
  readonly #made = new Set<string>()

  readonly #calls = fileCalls()

  constructor(private readonly shared: boolean) {}

  /** Whether a regular file stands there: what else may stand at a blob's place counts as nothing. */
  isFile(path: string): boolean {
    return this.#calls.isFile(path)
  }

  /** Make `directory` and its parents once. @throws {HoloError} blame `host` */
  ensureDirectory(directory: string): void {
    if (this.#made.has(directory)) return
    try {
      this.#make(directory)
    } catch (error) {
      throw hostError(`make the directory ${directory}`, error)
    }
  }

  /** Believe no more that directories exist which did. */
  forget(): void {
    this.#made.clear()
  }

  /** @param again whether a parent that has gone, though it was made, is made anew */
  #make(directory: string, again = true): void {
    if (this.#made.has(directory)) return
    const mode = directoryMode(this.shared)
    const result = this.#calls.makeDirectory(directory, mode)
    if (result === 'absent') {
      const parent = dirname(directory)
      if (parent === directory || !again) throw new Error('its parent has gone')
      this.#made.delete(parent)
      this.#make(parent)
      this.#make(directory, false)
      return
    }
    // mkdir subtracts the umask, which other users of a shared library must not suffer from.
    if (result === 'made' && this.shared) fs.chmodSync(directory, mode)
    if (result === 'exists' && !fs.statSync(directory).isDirectory()) throw new Error('something else stands there')
    this.#made.add(directory)
  }

  /**
   * Write the whole of `path` at once, replacing what stands there.
   *
   * @param temporaries directory of the temporary, on the same disk
   * @throws {HoloError} blame `host`: writing failed, and nothing is left behind
   */
  write(path: string, bytes: Uint8Array, temporaries: string): WrittenFile {
    const mode = fileMode(this.shared)
    const temporary = temporaryIn(temporaries)
    const stamp = this.#retried(path, () => this.#calls.writeNamed(temporary, path, bytes, mode, this.shared))
    return { bytes: bytes.byteLength, stamp }
  }

  /** The same chunk by chunk. @throws also whatever `chunks` throws, unchanged */
  async writeChunks(path: string, chunks: AsyncIterable<Uint8Array>, temporaries: string): Promise<WrittenFile> {
    const temporary = temporaryIn(temporaries)
    const descriptor = this.create(temporary)
    let total = 0
    try {
      for await (const chunk of chunks) {
        writeAll(descriptor, chunk, path)
        total += chunk.byteLength
      }
      return this.named(descriptor, temporary, path, total)
    } catch (error) {
      removeQuietly(temporary)
      throw error
    } finally {
      fs.closeSync(descriptor)
    }
  }

  /**
   * Give a temporary of `create` its name, once all of it is written; the caller closes the descriptor.
   *
   * @throws {HoloError} blame `host`: the temporary still stands then
   */
  named(descriptor: number, temporary: string, path: string, bytes: number): WrittenFile {
    this.#retried(path, () => fs.renameSync(temporary, path))
    return { bytes, stamp: stampOf(fs.fstatSync(descriptor, { bigint: true })) }
  }

  /** Make a new file for reading and writing. @returns its descriptor @throws {HoloError} blame `host` */
  create(path: string): number {
    return this.#retried(path, () => {
      const mode = fileMode(this.shared)
      const descriptor = fs.openSync(path, 'wx+', mode)
      if (this.shared) fs.fchmodSync(descriptor, mode)
      return descriptor
    })
  }

  /** Run `work` with the directory of `path` there; rcc's check removes empty directories at any time. */
  #retried<Result>(path: string, work: () => Result): Result {
    const directory = dirname(path)
    this.ensureDirectory(directory)
    try {
      return work()
    } catch (error) {
      if (systemCodeOf(error) !== 'ENOENT') throw hostError(`write ${path}`, error)
    }
    this.forget()
    this.ensureDirectory(directory)
    try {
      return work()
    } catch (error) {
      throw hostError(`write ${path}`, error)
    }
  }
}

/** Write all of `bytes` at the place where the descriptor stands. @throws {HoloError} blame `host` */
export function writeAll(descriptor: number, bytes: Uint8Array, path: string): void {
  try {
    for (let at = 0; at < bytes.byteLength; ) at += fs.writeSync(descriptor, bytes, at, bytes.byteLength - at)
  } catch (error) {
    throw hostError(`write ${path}`, error)
  }
}

/** Remove a file if it is there; used where another error is already on its way. */
export function removeQuietly(path: string): void {
  try {
    fs.unlinkSync(path)
  } catch {
    // Never made, or renamed away.
  }
}
