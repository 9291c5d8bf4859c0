/**
 * Golden data made by the real rcc, unpacked into temporary libraries, and trees compared with rcc's listings.
 *
 * A catalog restores to the base that it was recorded for; `rebased` moves that to a directory of the test. Contents
 * stay the same, since relocation writes only the 24 bytes of the space's name.
 */
import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { gunzipSync } from 'node:zlib'
import type { Roots } from '../../src/catalog/layout.ts'
import { catalogName } from '../../src/catalog/names.ts'
import type { Catalog, CatalogName } from '../../src/catalog/tree.ts'

const GOLDEN = resolve(import.meta.dir, '../golden')
/** The 84 MB that are not part of a clone. */
const ENVIRONMENT = resolve(import.meta.dir, '../../../shared/golden/env')

export const smallKinds = ['gzip', 'nocompress', 'darwin_arm64'] as const
export type SmallKind = (typeof smallKinds)[number]
export const smallVersions = [1, 2, 3] as const
export type SmallVersion = (typeof smallVersions)[number]

/** Whether the golden environment is beside the project; the reason for `skipUnless` when not. */
export const hasGoldenEnvironment = fs.existsSync(join(ENVIRONMENT, 'hololib.zip'))
export const goldenEnvironmentReason = `../shared/golden/env is not there`

/** A temporary directory that is removed at the end of its scope. */
export class TemporaryDirectory implements Disposable {
  readonly path: string

  constructor() {
    this.path = fs.mkdtempSync(join(tmpdir(), 'holo-peer-test-'))
  }

  [Symbol.dispose](): void {
    fs.rmSync(this.path, { recursive: true, force: true })
  }
}

/** Roots of a private rcc below `home`, for the user of the golden data (HOME=/home/robot). */
export function rootsIn(home: string): Roots {
  return {
    platform: { os: 'linux', arch: 'amd64' },
    robocorpHome: home,
    userIdentity: 'dc4d952',
    shared: false,
    holotree: join(home, 'holotree'),
    hololib: join(home, 'hololib'),
  }
}

/** Unpack the library of a small set to `<home>/hololib`. */
export function unpackSmall(kind: SmallKind, home: string): Roots {
  run(['tar', '-xzf', join(GOLDEN, 'small', kind, 'hololib.tar.gz'), '-C', home])
  return rootsIn(home)
}

export interface GoldenVersion {
  readonly name: CatalogName
  /** Space that the listing is of, in the base that was recorded. */
  readonly spacePath: string
  readonly spaceName: string
  readonly listing: ListedEntry[]
}

/** A cold restore of a small version by rcc, in a space of its own. */
export function smallCold(kind: SmallKind, version: SmallVersion): GoldenVersion {
  return smallVersion(kind, version, 'coldpath.txt', 'restored-tree.jsonl')
}

/** Space `gold`, restored by rcc to v1, then v2, then v3, after the step to `version`. */
export function smallSwitched(kind: SmallKind, version: SmallVersion): GoldenVersion {
  return smallVersion(kind, version, 'spacepath.txt', 'restored-tree-after-switch.jsonl')
}

/** A file of a small version: `space-meta.json` … */
export function smallFile(kind: SmallKind, version: SmallVersion, file: string): Buffer {
  return fs.readFileSync(join(GOLDEN, 'small', kind, `robot${version}`, file))
}

function smallVersion(kind: SmallKind, version: SmallVersion, pathFile: string, listingFile: string): GoldenVersion {
  const { hash } = JSON.parse(smallFile(kind, version, 'hash.json').toString())
  const spacePath = smallFile(kind, version, pathFile).toString().trim()
  const listing = parseListing(smallFile(kind, version, listingFile).toString())
  const { platform } = JSON.parse(smallFile(kind, version, 'catalog.json').toString())
  return { name: catalogName(hash, platform), spacePath, spaceName: basename(spacePath), listing }
}

/** A cold restore of the golden environment by rcc. */
export function environmentVersion(version: 1 | 2): GoldenVersion {
  const folder = join(ENVIRONMENT, `v${version}`)
  const { hash } = JSON.parse(fs.readFileSync(join(folder, 'hash.json'), 'utf8'))
  const spacePath = fs.readFileSync(join(folder, 'spacepath.txt'), 'utf8').trim()
  const listing = parseListing(gunzipSync(fs.readFileSync(join(folder, 'restored-tree.jsonl.gz'))).toString())
  return { name: catalogName(hash, 'linux_amd64'), spacePath, spaceName: basename(spacePath), listing }
}

/**
 * The unpacked library of the golden environment: read-only, shared by all runs, kept in the temporary folder.
 *
 * @returns roots whose hololib nobody may write to
 */
export function environmentRoots(): Roots {
  const home = join(tmpdir(), 'holo-peer-golden-env')
  if (!fs.existsSync(home)) {
    const partial = fs.mkdtempSync(`${home}-`)
    fs.mkdirSync(join(partial, 'hololib'))
    run(['python3', '-m', 'zipfile', '-e', join(ENVIRONMENT, 'hololib.zip'), join(partial, 'hololib')])
    try {
      fs.renameSync(partial, home)
    } catch {
      // Another run was faster.
      fs.rmSync(partial, { recursive: true, force: true })
    }
  }
  return rootsIn(home)
}

/** The same catalog, recorded for another base. */
export function rebased(catalog: Catalog, base: string): Catalog {
  return { ...catalog, path: join(base, catalog.identity) }
}

/** One line of a listing by `treelist.py`. */
export interface ListedEntry {
  readonly path: string
  /** `other` only in listings of ours: rcc restores nothing else. */
  readonly type: 'dir' | 'file' | 'symlink' | 'other'
  readonly mode?: string
  readonly mtime?: number
  readonly size?: number
  readonly sha256?: string
  readonly target?: string
}

export function parseListing(text: string): ListedEntry[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))
}

/** What stands below `root`, as `treelist.py` lists it. */
export function listTree(root: string, below = ''): ListedEntry[] {
  const entries: ListedEntry[] = []
  for (const name of fs.readdirSync(join(root, below)).sort()) {
    const path = below === '' ? name : `${below}/${name}`
    const status = fs.lstatSync(join(root, path), { throwIfNoEntry: false })
    if (status === undefined) {
      // A name that is not UTF-8 cannot be named here.
      entries.push({ path, type: 'other' })
      continue
    }
    const mode = (status.mode & 0o7777).toString(8).padStart(4, '0')
    const mtime = Math.floor(status.mtimeMs / 1000)
    if (status.isSymbolicLink()) {
      entries.push({ path, type: 'symlink', target: fs.readlinkSync(join(root, path)) })
    } else if (status.isDirectory()) {
      entries.push({ path, type: 'dir', mode, mtime }, ...listTree(root, path))
    } else if (!status.isFile()) {
      // A pipe would block whoever reads it.
      entries.push({ path, type: 'other' })
    } else {
      const sha256 = createHash('sha256')
        .update(fs.readFileSync(join(root, path)))
        .digest('hex')
      entries.push({ path, type: 'file', mode, mtime, size: status.size, sha256 })
    }
  }
  return entries
}

export interface Comparison {
  /**
   * A directory's time is only ever rcc's fixed one or that of the restore; `settled` demands the fixed one where the
   * listing has it, and another where not; `ignored` looks away.
   */
  readonly directoryTimes: 'settled' | 'ignored'
}

/** @returns one line per difference between the tree at `root` and `listing`; empty where they are equal */
export function differences(root: string, listing: readonly ListedEntry[], { directoryTimes }: Comparison): string[] {
  const shown = (entry: ListedEntry | undefined): string => {
    if (entry === undefined) return 'absent'
    const { path, mtime, ...rest } = entry
    if (entry.type !== 'dir') return JSON.stringify({ ...rest, mtime }, Object.keys(entry).sort())
    const time = directoryTimes === 'ignored' ? undefined : mtime === 1_610_000_000 ? 'settled' : 'touched'
    return JSON.stringify({ type: 'dir', mode: entry.mode, time })
  }
  const actual = new Map(listTree(root).map((entry) => [entry.path, shown(entry)]))
  const wanted = new Map(listing.map((entry) => [entry.path, shown(entry)]))
  const paths = [...new Set([...actual.keys(), ...wanted.keys()])].sort()
  return paths
    .filter((path) => actual.get(path) !== wanted.get(path))
    .map((path) => `${path}: wanted ${wanted.get(path) ?? 'absent'}, actual ${actual.get(path) ?? 'absent'}`)
}

function run(command: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(command)
  if (exitCode !== 0) throw new Error(`${command.join(' ')}: ${stderr.toString()}`)
}
