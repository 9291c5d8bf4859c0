/**
 * Decoded catalogs, kept in our state folder in their packed form, so that the next command need not decode them.
 *
 * A file is named by the SHA-256 of the bytes that its catalog was decoded from, so none is ever out of date. The folder
 * is bounded and may be removed at any time. Whatever goes wrong with it (a full disk, a file that is torn or that others
 * could have written) costs the time of decoding, and is no error.
 */
import * as fs from 'node:fs'
import { dirname, join } from 'node:path'
import { PACKED_CATALOG_BYTES_MAX, PACKED_CATALOGS_BYTES_MAX, PACKED_CATALOGS_MAX } from '../base/limits.ts'
import type { Sha256Digest } from '../blob/digest.ts'
import { STATE_DIRECTORY_MODE, type StatePaths } from '../catalog/layout.ts'
import { packCatalog } from '../catalog/pack-catalog.ts'
import type { PackedCatalog, PackedCatalogs } from '../catalog/packed-form.ts'
import { unpackCatalog } from '../catalog/unpack-catalog.ts'
import { removeQuietly, writeAll } from './library-files.ts'
import { readOwn } from './read-own.ts'
import { temporaryIn } from './temporary.ts'

const FILE_MODE = 0o600

export interface PackedCatalogOptions {
  /** Nothing is written: for a command that promises so. */
  readonly readOnly: boolean
}

export class PackedCatalogFolder implements PackedCatalogs {
  readonly #directory: string
  /** What this process has put here. */
  readonly #added = new Set<Sha256Digest>()

  constructor(
    private readonly state: Pick<StatePaths, 'directory' | 'packedCatalogs'>,
    private readonly options: PackedCatalogOptions,
  ) {
    this.#directory = state.packedCatalogs
  }

  find(stored: Sha256Digest): PackedCatalog | undefined {
    const bytes = readOwn(join(this.#directory, stored), PACKED_CATALOG_BYTES_MAX)
    const found = bytes === undefined ? undefined : unpackCatalog(bytes, stored)
    // What is of no use is put here anew.
    if (found === undefined) this.#added.delete(stored)
    return found
  }

  add(stored: Sha256Digest, packed: PackedCatalog): void {
    if (this.options.readOnly) return
    const path = join(this.#directory, stored)
    if (this.#added.has(stored) && fs.existsSync(path)) return
    const bytes = packCatalog(stored, packed)
    if (bytes.byteLength > PACKED_CATALOG_BYTES_MAX) return
    const temporary = temporaryIn(this.#directory)
    try {
      fs.mkdirSync(dirname(this.state.directory), { recursive: true })
      for (const directory of [this.state.directory, this.#directory]) {
        fs.mkdirSync(directory, { recursive: true, mode: STATE_DIRECTORY_MODE })
      }
      write(temporary, bytes)
      fs.renameSync(temporary, path)
      this.#added.add(stored)
      this.#prune()
    } catch {
      removeQuietly(temporary)
    }
  }

  /** Remove the oldest beyond the bounds, and what killed runs left. */
  #prune(): void {
    const found = fs.readdirSync(this.#directory).flatMap((name) => {
      const status = fs.lstatSync(join(this.#directory, name), { throwIfNoEntry: false })
      return status === undefined ? [] : [{ name, bytes: status.size, mtimeMs: status.mtimeMs }]
    })
    found.sort((left, right) => right.mtimeMs - left.mtimeMs)
    let kept = 0
    let bytes = 0
    for (const file of found) {
      bytes += file.bytes
      kept++
      if (kept <= PACKED_CATALOGS_MAX && bytes <= PACKED_CATALOGS_BYTES_MAX) continue
      // A temporary of a process that is writing now is among the newest.
      fs.rmSync(join(this.#directory, file.name), { force: true })
    }
  }
}

function write(path: string, bytes: Uint8Array): void {
  const descriptor = fs.openSync(path, 'wx', FILE_MODE)
  try {
    writeAll(descriptor, bytes, path)
  } finally {
    fs.closeSync(descriptor)
  }
}
