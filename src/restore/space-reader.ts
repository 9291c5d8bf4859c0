/**
 * The entries of a space's directories, looked at without following links: by system calls below a descriptor where
 * that is possible, which takes a third of the time, else by `node:fs`.
 *
 * A look at a pristine space is nothing but this. Knows nothing of what is wanted there.
 */
import * as fs from 'node:fs'
import { join } from 'node:path'
import { hostError, systemCodeOf } from '../base/errors.ts'
import { ENOENT, errnoError, libc, Status } from '../base/libc.ts'
import { DirectoryCursor } from './directory-cursor.ts'
import { spaceError } from './space-changed.ts'

const REPLACEMENT = '\ufffd'
/** A name is 255 bytes at the most; with NUL. */
const NAME_BYTES = 256

export interface EntryStatus {
  readonly kind: 'file' | 'directory' | 'link' | 'other'
  readonly sizeBytes: number
  /** The twelve bits of chmod(2). */
  readonly mode: number
  readonly mtimeMs: number
  /** Hard links to its inode. */
  readonly links: number
}

export interface DirectoryEntries {
  readonly entries: ReadonlyMap<string, EntryStatus>
  /** It has names that are not UTF-8, which are left out of `entries`. */
  readonly hasUndecodable: boolean
}

export interface SpaceReader extends Disposable {
  /**
   * @param path relative to the space, with `/`; '' is the space itself
   * @throws {HoloError} blame `host`: it cannot be listed, or its entries not be looked at; code `space-changed`
   */
  read(path: string): DirectoryEntries
}

/** @param space absolute path of a real directory @throws {HoloError} as `read` */
export function openSpace(space: string): SpaceReader {
  return process.platform === 'linux' ? new NativeReader(space) : new PortableReader(space)
}

class NativeReader implements SpaceReader {
  readonly #libc = libc()
  readonly #status = new Status()
  readonly #name = Buffer.alloc(NAME_BYTES)
  readonly #cursor: DirectoryCursor

  constructor(private readonly space: string) {
    this.#cursor = new DirectoryCursor(space)
  }

  read(path: string): DirectoryEntries {
    const directory = path === '' ? this.space : `${this.space}/${path}`
    const descriptor = this.#cursor.enter(path)
    return readNames(directory, (name) => this.#look(descriptor, directory, name))
  }

  #look(descriptor: number, directory: string, name: string): EntryStatus | undefined {
    const length = this.#name.write(name)
    this.#name[length] = 0
    const status = this.#status
    if (!status.at(descriptor, this.#name)) {
      if (this.#libc.errno() === ENOENT) return undefined
      throw spaceError(`look at ${directory}/${name}`, errnoError(this.#libc.errno()))
    }
    const kind = status.isFile ? 'file' : status.isDirectory ? 'directory' : status.isLink ? 'link' : 'other'
    const { sizeBytes, mode, mtimeMs, links } = status
    return { kind, sizeBytes, mode, mtimeMs, links }
  }

  [Symbol.dispose](): void {
    this.#cursor[Symbol.dispose]()
  }
}

class PortableReader implements SpaceReader {
  constructor(private readonly space: string) {}

  read(path: string): DirectoryEntries {
    const directory = join(this.space, path)
    return readNames(directory, (name) => entryStatus(join(directory, name)))
  }

  [Symbol.dispose](): void {}
}

/** lstat(2). @returns undefined where nothing stands there @throws {HoloError} blame `host` */
export function entryStatus(path: string): EntryStatus | undefined {
  try {
    const status = fs.lstatSync(path, { throwIfNoEntry: false })
    if (status === undefined) return undefined
    const { size: sizeBytes, mtimeMs, nlink: links } = status
    return { kind: kindOf(status), sizeBytes, mode: status.mode & 0o7777, mtimeMs, links }
  } catch (error) {
    if (systemCodeOf(error) === 'ENOTDIR') return undefined
    throw hostError(`look at ${path}`, error)
  }
}

function kindOf(status: fs.Stats): EntryStatus['kind'] {
  if (status.isFile()) return 'file'
  if (status.isDirectory()) return 'directory'
  return status.isSymbolicLink() ? 'link' : 'other'
}

function readNames(directory: string, look: (name: string) => EntryStatus | undefined): DirectoryEntries {
  const entries = new Map<string, EntryStatus>()
  let hasUndecodable = false
  try {
    const names = fs.readdirSync(directory)
    // Bytes that are no UTF-8 read as this character, which a name may also have: only the bytes tell them apart.
    const doubtful = names.some((name) => name.includes(REPLACEMENT))
    const listed = doubtful ? decodable(directory) : names
    hasUndecodable = listed.length < names.length
    for (const name of listed) {
      const status = look(name)
      // One that vanished meanwhile is as good as never there.
      if (status !== undefined) entries.set(name, status)
    }
  } catch (error) {
    throw spaceError(`list ${directory}`, error)
  }
  return { entries, hasUndecodable }
}

function decodable(directory: string): string[] {
  return fs
    .readdirSync(directory, { encoding: 'buffer' })
    .map((bytes) => ({ bytes, name: bytes.toString('utf8') }))
    .filter(({ bytes, name }) => Buffer.from(name).equals(bytes))
    .map(({ name }) => name)
}
