/**
 * Look at a space: what stands there of what the catalog wants, and who vouches for it.
 *
 * Follows no link and changes nothing. The digest of a file that looks right comes from `.meta` where that can be
 * trusted; after an interrupted restore, or without `.meta`, from the content itself. So a same-size file of another
 * version is never taken for the wanted one, as rcc would (formats.md §9).
 */
import * as fs from 'node:fs'
import { join } from 'node:path'
import { nextTurn } from '../base/clock.ts'
import { systemCodeOf } from '../base/errors.ts'
import { CHUNK_BYTES } from '../base/limits.ts'
import type { Digest } from '../blob/digest.ts'
import { hasherFor } from '../catalog/hasher.ts'
import { spacePaths } from '../catalog/layout.ts'
import { chunkRewriter } from '../catalog/relocation.ts'
import type { Catalog, CatalogDirectory, CatalogFile } from '../catalog/tree.ts'
import { RESTORED_TIME_MS, unixMode } from './file-mode.ts'
import type { NotedSpace } from './read-note.ts'
import { spaceError } from './space-changed.ts'
import { type EntryStatus, entryStatus, openSpace, type SpaceReader } from './space-reader.ts'
import type { PresentDirectory, PresentEntry, PresentFile, SpaceState } from './space-state.ts'

const OWNER_ALL = 0o700
/** The event loop gets its turn after so many directories. */
const DIRECTORIES_PER_TURN = 64

export interface InspectOptions {
  /** Hash every file that looks right, whatever vouches for it. */
  readonly deep?: boolean
}

/**
 * @param spacePath absolute, from `spaceTarget`
 * @param catalog what will be restored there
 * @param noted from `readNote`, of the same space
 * @throws {HoloError} blame `host` when something cannot be read; `signal.reason` once `signal` aborts
 */
export async function inspectSpace(
  spacePath: string,
  catalog: Catalog,
  { meta, metaInfo, deep = false }: NotedSpace & InspectOptions,
  signal: AbortSignal,
): Promise<SpaceState> {
  const interrupted = fs.lstatSync(spacePaths(spacePath).restoring, { throwIfNoEntry: false }) !== undefined
  const rootStatus = entryStatus(spacePath)
  if (rootStatus === undefined || !isUsable(rootStatus)) {
    const root = rootStatus === undefined ? 'absent' : 'obstacle'
    return { root, directories: new Map(), meta, metaInfo, interrupted }
  }
  const trusted = !interrupted && meta?.path === spacePath ? meta.tree : undefined
  using reader = openSpace(spacePath)
  const walk = new SpaceWalk(spacePath, reader, catalog.identity, deep)
  await walk.run(catalog.tree, trusted, rootStatus.mtimeMs, signal)
  return { root: 'directory', directories: walk.directories, meta, metaInfo, interrupted }
}

interface PendingDirectory {
  readonly path: string
  readonly wanted: CatalogDirectory
  /** The same directory in a `.meta` that can be trusted. */
  readonly noted: CatalogDirectory | undefined
  readonly mtimeMs: number
}

class SpaceWalk {
  readonly directories = new Map<string, PresentDirectory>()
  readonly #pending: PendingDirectory[] = []

  constructor(
    private readonly spacePath: string,
    private readonly reader: SpaceReader,
    private readonly stageIdentity: string,
    private readonly deep: boolean,
  ) {}

  async run(
    tree: CatalogDirectory,
    noted: CatalogDirectory | undefined,
    mtimeMs: number,
    signal: AbortSignal,
  ): Promise<void> {
    this.#pending.push({ path: '', wanted: tree, noted, mtimeMs })
    let seen = 0
    for (let next = this.#pending.pop(); next !== undefined; next = this.#pending.pop()) {
      signal.throwIfAborted()
      this.directories.set(next.path, this.#look(next))
      if (++seen % DIRECTORIES_PER_TURN === 0) await nextTurn()
    }
  }

  #look({ path, wanted, noted, mtimeMs }: PendingDirectory): PresentDirectory {
    const entries = new Map<string, PresentEntry>()
    const { entries: listed, hasUndecodable } = this.reader.read(path)
    for (const [name, status] of listed) {
      const child = path === '' ? name : `${path}/${name}`
      const subdir = wanted.subdirs.get(name)
      const file = wanted.files.get(name)
      if (status.kind === 'link' && (file !== undefined || subdir?.symlink !== undefined)) {
        entries.set(name, this.#link(join(this.spacePath, child), file))
      } else if (isUsable(status) && subdir !== undefined && subdir.symlink === undefined && !subdir.shadow) {
        entries.set(name, { kind: 'directory' })
        this.#pending.push({ path: child, wanted: subdir, noted: realSubdir(noted, name), mtimeMs: status.mtimeMs })
      } else if (status.kind === 'file' && file !== undefined && file.symlink === undefined) {
        entries.set(name, { kind: 'file', file: this.#file(child, status, file, noted?.files.get(name)) })
      } else {
        entries.set(name, { kind: 'other' })
      }
    }
    return { mtimeMs, entries, hasUndecodable }
  }

  #link(path: string, file: CatalogFile | undefined): PresentEntry {
    const dead = file !== undefined && file.symlink === undefined && !leadsTo(path, file)
    return dead ? { kind: 'other' } : { kind: 'link', target: readLink(path) }
  }

  #file(path: string, status: EntryStatus, wanted: CatalogFile, noted: CatalogFile | undefined): PresentFile {
    const { sizeBytes, mode, mtimeMs, links } = status
    const present = { sizeBytes, mode, mtimeMs, links }
    const vouched = !this.deep && noted !== undefined && noted.symlink === undefined
    if (vouched) return { ...present, digest: noted.digest }
    const looksRight =
      sizeBytes === wanted.sizeBytes && mode === unixMode(wanted.goMode) && mtimeMs === RESTORED_TIME_MS
    return { ...present, digest: looksRight ? this.#digestOf(join(this.spacePath, path), wanted) : undefined }
  }

  /** Digest of the blob that a placed file came from: relocation undone, as far as it was done where wanted. */
  #digestOf(path: string, wanted: CatalogFile): Digest | undefined {
    const hasher = hasherFor(wanted.digest)
    const spaceName = Buffer.from(this.spacePath.slice(-this.stageIdentity.length))
    const undo = chunkRewriter(wanted.rewrite, this.stageIdentity)
    try {
      const descriptor = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW)
      try {
        const name = new Uint8Array(spaceName.byteLength)
        for (const offset of wanted.rewrite) {
          if (fs.readSync(descriptor, name, 0, name.byteLength, offset) !== name.byteLength) return undefined
          if (!spaceName.equals(name)) return undefined
        }
        const chunk = new Uint8Array(Math.min(CHUNK_BYTES, wanted.sizeBytes))
        for (let at = 0; at < wanted.sizeBytes; ) {
          const count = fs.readSync(descriptor, chunk, 0, chunk.byteLength, at)
          if (count === 0) return undefined
          const read = chunk.subarray(0, count)
          undo(read)
          hasher.update(read)
          at += count
        }
      } finally {
        fs.closeSync(descriptor)
      }
    } catch {
      // Unreadable, or swapped for a link just now: then nobody vouches for it, and it is replaced.
      return undefined
    }
    return hasher.digest()
  }
}

function realSubdir(noted: CatalogDirectory | undefined, name: string): CatalogDirectory | undefined {
  const subdir = noted?.subdirs.get(name)
  return subdir === undefined || subdir.shadow || subdir.symlink !== undefined ? undefined : subdir
}

/** A directory that its owner cannot list, enter or write is replaced: nothing could be restored in it. */
function isUsable({ kind, mode }: EntryStatus): boolean {
  return kind === 'directory' && (mode & OWNER_ALL) === OWNER_ALL
}

/** Whether a link in place of a file, as strategy `symlink` makes them, leads to a file of its size. */
function leadsTo(path: string, { sizeBytes }: CatalogFile): boolean {
  try {
    const status = fs.statSync(path)
    return status.isFile() && status.size === sizeBytes
  } catch {
    // Nowhere, in a circle, or where we may not look.
    return false
  }
}

function readLink(path: string): string {
  try {
    return fs.readlinkSync(path)
  } catch (error) {
    // No link any more: no link's text is empty, so whatever stands there now is replaced.
    if (systemCodeOf(error) === 'EINVAL') return ''
    throw spaceError(`read the link ${path}`, error)
  }
}
