/**
 * One contest on one file system: holo-peer, the limit in C, and `cp`, round after round, so that what disturbs one
 * disturbs the others in the same minute.
 */
import * as fs from 'node:fs'
import { join } from 'node:path'
import type { Library } from '../../src/store/library.ts'
import type { FileSystem } from './filesystems.ts'
import { type Restored, removeSpace, restore } from './holo-peer.ts'
import { dressBlobs, type Home } from './home.ts'
import { type LimitProgram, writeList } from './limit-program.ts'
import { checkTree, expectedListing } from './listing.ts'
import { linkedModes, type Method, packedList } from './packed-list.ts'
import { measured, must } from './process.ts'

export type ContestKind = 'reflink' | 'copy' | 'hardlink' | 'gzip'

/** What stands for each kind in C and in `cp`. A gzip library has no raw blobs: the method is that of the rest. */
const METHODS: Readonly<Record<ContestKind, { readonly method: Method; readonly cp: string }>> = {
  reflink: { method: 'clone', cp: '--reflink=always' },
  copy: { method: 'copy', cp: '--reflink=never' },
  hardlink: { method: 'link', cp: '--link' },
  gzip: { method: 'copy', cp: '--reflink=never' },
}

/** One round; milliseconds from process start to exit. */
export interface Round {
  readonly ours: Restored
  /** The same space again: nothing to do. */
  readonly pristineMs: number
  readonly limitMs: number
  readonly limitCpuMs: number
  readonly cpMs: number
}

export interface ContestOptions {
  readonly kind: ContestKind
  readonly home: Home
  readonly fileSystem: FileSystem
  readonly limit: LimitProgram
  readonly rounds: number
}

/** @throws {Error} somebody failed, or left another tree than the catalog's */
export function contest({ kind, home, fileSystem, limit, rounds }: ContestOptions): Round[] {
  const { method, cp } = METHODS[kind]
  const folder = join(fileSystem.path, `contest-${kind}`)
  fs.mkdirSync(folder)
  const spaceName = home.spaceName('limit')
  const library = kind === 'hardlink' ? linkedLibrary(home, folder) : home.library
  const besideLinks = fileSystem.kind === 'ext4' || fileSystem.kind === 'tmpfs' ? 'copy' : 'clone'
  const packed = packedList(home.catalog, library, { method, besideLinks, spaceName })
  const list = writeList(join(folder, 'list'), packed)
  const ours = (space: string) =>
    restore({
      robocorpHome: home.path,
      robotFile: home.robotFile,
      space: `${kind} ${space}`,
      strategy: kind === 'hardlink' ? 'hardlink' : 'auto',
    })
  // cp's source, and the proof that both do the same work.
  const template = join(folder, 'template')
  limit.run(list, library.roots.hololib, template)
  checkTree(template, expectedListing(home.catalog, home.roots, spaceName), 'limit.c')
  const first = ours('first')
  checkTree(first.spacePath, expectedListing(home.catalog, home.roots, home.spaceName(`${kind} first`)), 'holo-peer')

  const done: Round[] = []
  const spaces = [first.spacePath]
  while (done.length < rounds) {
    const space = String(done.length)
    const target = join(folder, `limit-${space}`)
    const copied = join(folder, `cp-${space}`)
    fileSystem.settle()
    const cold = ours(space)
    const pristineMs = ours(space).ms
    fileSystem.settle()
    const limited = limit.run(list, library.roots.hololib, target)
    fileSystem.settle()
    const cpMs = measured(['cp', '-a', cp, template, copied]).ms
    done.push({ ours: cold, pristineMs, limitMs: limited.ms, limitCpuMs: limited.cpuMs, cpMs })
    spaces.push(cold.spacePath)
    // A link that goes away changes its blob's ctime, and then the blob is hashed again, as it should be.
    if (kind === 'hardlink') continue
    must(['rm', '-rf', target, copied])
    for (const path of spaces.splice(0)) removeSpace(path)
  }
  must(['rm', '-rf', folder])
  for (const path of spaces) removeSpace(path)
  return done
}

/** Linking changes a blob's ctime, so the limit links from blobs of its own. */
function linkedLibrary(home: Home, folder: string): Library {
  const library = home.copiedLibrary(join(folder, 'home'))
  dressBlobs(library, linkedModes(home.catalog))
  return library
}
