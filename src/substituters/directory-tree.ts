/** A static tree in a directory: a mounted share, a USB stick. */
import { chmod, copyFile, type FileHandle, mkdir, open, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { mapBounded } from '../base/concurrency.ts'
import { messageOf, systemCodeOf } from '../base/errors.ts'
import { CHUNK_BYTES } from '../base/limits.ts'
import type { RateLimit } from '../base/rate-limit.ts'
import { SUBSTITUTER_REQUESTS_MAX } from '../base/substituter-limits.ts'
import { TEMPORARY_PREFIX } from '../catalog/layout.ts'
import type { TreeName } from '../catalog/tree-names.ts'
import { SourceFailedError } from './source-failed-error.ts'
import type { ReadOptions, TreeContent, TreeObject, TreeStore } from './tree-store.ts'

export class DirectoryTree implements TreeStore {
  constructor(
    readonly name: string,
    private readonly directory: string,
    private readonly rate: RateLimit,
  ) {}

  async has(names: readonly TreeName[], signal: AbortSignal): Promise<ReadonlySet<TreeName>> {
    const held = await mapBounded(names, SUBSTITUTER_REQUESTS_MAX, (name) => this.#holds(name), signal)
    return new Set(names.filter((_name, index) => held[index]))
  }

  async #holds(name: TreeName): Promise<boolean> {
    try {
      return (await stat(join(this.directory, name))).isFile()
    } catch (error) {
      if (await this.#isAbsent(error)) return false
      throw this.#failed(name, error)
    }
  }

  async read(name: TreeName, { range }: ReadOptions, signal: AbortSignal): Promise<TreeObject | undefined> {
    signal.throwIfAborted()
    let file: FileHandle | undefined
    try {
      // Before it is opened: opening a pipe would wait for its writer.
      if (!(await stat(join(this.directory, name))).isFile()) throw new Error('it is no regular file')
      file = await open(join(this.directory, name), 'r')
      const { size } = await file.stat()
      const { offset, bytes } = range ?? { offset: 0, bytes: size }
      if (offset + bytes > size) {
        throw new SourceFailedError(`${name} of ${this.name} is shorter than it has to be`, { code: 'source-short' })
      }
      return { encoding: 'identity', bytes: this.#bytes(name, file, offset, bytes, signal) }
    } catch (error) {
      await file?.close()
      if (await this.#isAbsent(error)) return undefined
      throw this.#failed(name, error)
    }
  }

  async *#bytes(
    name: TreeName,
    file: FileHandle,
    offset: number,
    bytes: number,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    try {
      for (let at = offset; at < offset + bytes; ) {
        signal.throwIfAborted()
        const chunk = new Uint8Array(Math.min(CHUNK_BYTES, offset + bytes - at))
        const { bytesRead } = await file.read(chunk, 0, chunk.byteLength, at)
        if (bytesRead === 0) throw new Error(`it ends after ${at} bytes`)
        at += bytesRead
        await this.rate.pass(bytesRead, signal)
        yield chunk.subarray(0, bytesRead)
      }
    } catch (error) {
      signal.throwIfAborted()
      throw this.#failed(name, error)
    } finally {
      await file.close()
    }
  }

  async write(name: TreeName, content: TreeContent, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const target = join(this.directory, name)
    const temporary = join(dirname(target), `${TEMPORARY_PREFIX}${process.pid}-${crypto.randomUUID()}`)
    try {
      // Only below a directory that is there: else a share that is not mounted would fill the disk under it.
      if (!(await stat(this.directory)).isDirectory()) throw new Error('it is no directory')
      await mkdir(dirname(target), { recursive: true })
      if (content.kind === 'bytes') await writeFile(temporary, content.bytes)
      else await copyFile(content.path, temporary)
      // What was put together is this user's alone, and what lies here is for all who read the share.
      await chmod(temporary, 0o644)
      await rename(temporary, target)
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => {})
      throw new SourceFailedError(`${name} could not be written to ${this.name}: ${messageOf(error)}`, {
        code: 'source-read-only',
        hint: 'make that directory, and let this user write there; look whether it has room',
        cause: error,
      })
    }
  }

  /** A stick that is not plugged in is no answer about what it holds. */
  async #isAbsent(error: unknown): Promise<boolean> {
    if (!['ENOENT', 'ENOTDIR'].includes(systemCodeOf(error) ?? '')) return false
    try {
      return (await stat(this.directory)).isDirectory()
    } catch {
      return false
    }
  }

  #failed(name: TreeName, error: unknown): SourceFailedError {
    if (error instanceof SourceFailedError) return error
    return new SourceFailedError(`${name} of ${this.name} cannot be read: ${messageOf(error)}`, {
      code: 'source-unreachable',
      hint: 'look whether that share or stick is mounted, and readable for this user',
      cause: error,
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
