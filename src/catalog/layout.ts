/**
 * Where rcc keeps things, and where we keep ours: every path of both in one file (formats.md §1).
 *
 * Pure functions of roots that were resolved once from the environment. Names that come from elsewhere (digests,
 * catalog names) are branded, so no path made here leaves its root. Nothing here touches a disk.
 */
import { posix, win32 } from 'node:path'
import { HoloError } from '../base/errors.ts'
import type { Digest } from '../blob/digest.ts'
import { type Platform, stageName, userIdentity } from './names.ts'
import type { CatalogName } from './tree.ts'

/** Values of environment variables, as in `process.env`. */
export type EnvironmentValues = Readonly<Record<string, string | undefined>>

/** What the roots follow from. */
export interface Surroundings {
  readonly environment: EnvironmentValues
  readonly platform: Platform
  /** Absolute path that a relative ROBOCORP_HOME is resolved against. */
  readonly workingDirectory: string
}

/** Roots of rcc on this machine, for this user; all absolute. */
export interface Roots {
  readonly platform: Platform
  readonly robocorpHome: string
  /** 7 hex digits or `badcafe`. */
  readonly userIdentity: string
  /** Whether this user has switched to the shared holotree. */
  readonly shared: boolean
  /** Directory of the spaces. */
  readonly holotree: string
  readonly hololib: string
}

/** Mode of new directories: private, or shared with every user of the machine. */
export const PRIVATE_DIRECTORY_MODE = 0o750
export const SHARED_DIRECTORY_MODE = 0o777

/**
 * Resolve the roots as rcc does at its start.
 *
 * @param isFile whether a path is a regular file; asked once, about the marker of the shared mode
 * @throws {HoloError} code `home-unknown`: neither ROBOCORP_HOME nor the user's home is known
 */
export function resolveRoots(surroundings: Surroundings, isFile: (path: string) => boolean): Roots {
  const { environment, platform } = surroundings
  const paths = pathsOf(platform)
  const robocorpHome = resolveRobocorpHome(surroundings)
  const identity = userIdentity(environment[platform.os === 'windows' ? 'USERPROFILE' : 'HOME'])
  const sharedRoot = sharedHolotree(surroundings)
  const shared = isFile(sharedMarker(surroundings, identity))
  return {
    platform,
    robocorpHome,
    userIdentity: identity,
    shared,
    holotree: shared ? sharedRoot : paths.join(robocorpHome, 'holotree'),
    hololib: shared ? paths.join(sharedRoot, 'lib') : paths.join(robocorpHome, 'hololib'),
  }
}

/** ROBOCORP_HOME with variables expanded, made absolute; else rcc's default place. @throws as `resolveRoots` */
export function resolveRobocorpHome({ environment, platform, workingDirectory }: Surroundings): string {
  const chosen = environment.ROBOCORP_HOME
  const needed = platform.os === 'windows' ? 'LOCALAPPDATA' : 'HOME'
  if ((chosen === undefined || chosen === '') && (environment[needed] ?? '') === '') {
    throw new HoloError(`Neither ROBOCORP_HOME nor ${needed} is set, so the place of rcc's library is unknown`, {
      code: 'home-unknown',
      blame: 'input',
      hint: 'set ROBOCORP_HOME to the directory that rcc uses',
    })
  }
  const fallback = platform.os === 'windows' ? '%LOCALAPPDATA%\\robocorp' : '$HOME/.robocorp'
  const text = chosen === undefined || chosen === '' ? fallback : chosen
  return pathsOf(platform).resolve(workingDirectory, expandVariables(text, environment, platform))
}

/** Root of the shared holotree; it does not depend on ROBOCORP_HOME. */
export function sharedHolotree({ environment, platform }: Pick<Surroundings, 'environment' | 'platform'>): string {
  switch (platform.os) {
    case 'linux':
      return '/opt/robocorp/ht'
    case 'darwin':
      return '/Users/Shared/robocorp/ht'
    case 'windows':
      return win32.join(environment.ProgramData ?? environment.PROGRAMDATA ?? 'C:\\ProgramData', 'robocorp', 'ht')
  }
}

/** The regular file that switches one user to the shared holotree. */
export function sharedMarker(
  surroundings: Pick<Surroundings, 'environment' | 'platform'>,
  userIdentity: string,
): string {
  return pathsOf(surroundings.platform).join(sharedHolotree(surroundings), 'lib', 'catalog', 'init', userIdentity)
}

/** `<hololib>/library`: the blobs. */
export function libraryDirectory({ platform, hololib }: Roots): string {
  return pathsOf(platform).join(hololib, 'library')
}

/** `<hololib>/catalog`. */
export function catalogDirectory({ platform, hololib }: Roots): string {
  return pathsOf(platform).join(hololib, 'catalog')
}

/** `aa/bb/cc/<digest>`, relative to the directory of the blobs, with `/`. */
export function blobTreeName(digest: Digest): string {
  return `${digest.slice(0, 2)}/${digest.slice(2, 4)}/${digest.slice(4, 6)}/${digest}`
}

/** The same relative to the hololib: also the name inside a hololib.zip (formats.md §12). */
export function blobEntryName(digest: Digest): string {
  return `library/${blobTreeName(digest)}`
}

/** `catalog/<name>`: as `blobEntryName`. */
export function catalogEntryName(name: CatalogName): string {
  return `catalog/${name}`
}

/** Absolute path of a blob. */
export function blobPath({ platform, hololib }: Roots, digest: Digest): string {
  return pathsOf(platform).join(hololib, blobEntryName(digest))
}

/** Absolute path of a catalog. */
export function catalogPath({ platform, hololib }: Roots, name: CatalogName): string {
  return pathsOf(platform).join(hololib, 'catalog', name)
}

/** The seven info fields of a catalog, as plain JSON beside it. */
export function catalogInfoPath(roots: Roots, name: CatalogName): string {
  return `${catalogPath(roots, name)}.info`
}

/** A library with this file (any non-directory) holds raw blobs named by SipHash-128. */
export function noCompressMarker({ platform, hololib }: Roots): string {
  return pathsOf(platform).join(hololib, 'catalog', 'compress.no')
}

/** Usage stamp of a blueprint for the present user; only its mtime matters. */
export function usedStampPath({ platform, hololib, userIdentity }: Roots, blueprint: string): string {
  return pathsOf(platform).join(hololib, 'used', `${blueprint}.${userIdentity}`)
}

/** Notes on who holds which lock; informational. */
export function pidsDirectory({ platform, hololib }: Roots): string {
  return pathsOf(platform).join(hololib, 'pids')
}

/** What rcc notes of its runs, also where the holotree is shared: events, and statistics by week. */
export function journalsDirectory({ platform, robocorpHome }: Roots): string {
  return pathsOf(platform).join(robocorpHome, 'journals')
}

/** The lock that rcc holds through build, pull and restore. */
export function globalLockPath({ platform, holotree }: Roots): string {
  return pathsOf(platform).join(holotree, 'global.lck')
}

/** The one directory that environments are built in and recorded from: its name is what relocation replaces. */
export function stagePath({ platform, holotree, userIdentity: user }: Roots): string {
  return pathsOf(platform).join(holotree, stageName(user, platform))
}

/** Conda channel that, where its `channeldata.json` exists, rcc puts before all others. */
export function localChannel({ platform, robocorpHome }: Pick<Roots, 'platform' | 'robocorpHome'>): {
  directory: string
  marker: string
} {
  const directory = pathsOf(platform).join(robocorpHome, 'channel')
  return { directory, marker: pathsOf(platform).join(directory, 'channeldata.json') }
}

/** A space and its siblings. */
export interface SpacePaths {
  readonly directory: string
  /** gzip'd catalog JSON, filled in for the space: what stands in it. */
  readonly meta: string
  /** The info fields of `meta`, plain JSON. */
  readonly metaInfo: string
  readonly lock: string
  /** One byte per use. */
  readonly use: string
  /** Ours: stands from the first change of a restore to its `.meta`, so that a killed restore is known as one. */
  readonly restoring: string
}

/** @param directory absolute path of the space, from `spaceTarget` */
export function spacePaths(directory: string): SpacePaths {
  return {
    directory,
    meta: `${directory}.meta`,
    metaInfo: `${directory}.meta.info`,
    lock: `${directory}.lck`,
    use: `${directory}.use`,
    restoring: `${directory}.restoring`,
  }
}

/** Mode of our own state directory: it holds keys. */
export const STATE_DIRECTORY_MODE = 0o700

/** Our own files. */
export interface StatePaths {
  readonly directory: string
  /** The machine's ed25519 pair; 0600. */
  readonly machineKey: string
  /** Names and secrets of the fleets joined; 0600. */
  readonly fleets: string
  /** Held while `fleets` is changed. */
  readonly fleetsLock: string
  /** Which blobs were verified, and how their files looked then. */
  readonly verifiedNotes: string
  /** Blobs whose bytes proved wrong, kept for a look. */
  readonly quarantine: string
  /** Decoded catalogs in a form of our own, named by the SHA-256 of what they were decoded from; 0600. */
  readonly packedCatalogs: string
  /** Prepared forms of pieces, and their tables; may be removed at any time. */
  readonly pieces: string
  /** Named signing keys beside the machine's, `<name>.key`; 0700, files 0600. */
  readonly signingKeys: string
  /** Public keys that this machine trusts by name, and those that are revoked here. */
  readonly trustedKeys: string
  /** Held while any of these, or a signature, is changed. */
  readonly trustLock: string
  /** `<catalog>/<key in hex>.json`: who has signed what. */
  readonly signatures: string
  /** A unix socket; on windows the name of a pipe. */
  readonly controlSocket: string
  /** Held while a daemon runs. */
  readonly daemonLock: string
}

/** `ROBOCORP_HOME/holo-peer` and what stands in it. */
export function statePaths({ platform, robocorpHome, userIdentity }: Roots): StatePaths {
  const { join } = pathsOf(platform)
  const directory = join(robocorpHome, 'holo-peer')
  return {
    directory,
    machineKey: join(directory, 'machine.key'),
    fleets: join(directory, 'fleets.json'),
    fleetsLock: join(directory, 'fleets.lck'),
    verifiedNotes: join(directory, 'verified.notes'),
    quarantine: join(directory, 'quarantine'),
    packedCatalogs: join(directory, 'catalogs'),
    pieces: join(directory, 'pieces'),
    signingKeys: join(directory, 'keys'),
    trustedKeys: join(directory, 'trusted-keys.json'),
    trustLock: join(directory, 'trust.lck'),
    signatures: join(directory, 'signatures'),
    controlSocket:
      platform.os === 'windows' ? `\\\\.\\pipe\\holo-peer-${userIdentity}` : join(directory, 'control.sock'),
    daemonLock: join(directory, 'daemon.lck'),
  }
}

/** Names of our temporaries inside rcc's directories begin so: rcc takes no dot file for a catalog. */
export const TEMPORARY_PREFIX = '.holo-peer-'

function pathsOf(platform: Platform): typeof posix {
  return platform.os === 'windows' ? win32 : posix
}

const SHELL_VARIABLE = /\$(?:\{([^}]*)\}|([*#$@!?\-0-9])|([A-Za-z_][A-Za-z0-9_]*))|\$\{/g
const WINDOWS_VARIABLE = /%([a-zA-Z]+)%/g

/** Go's os.ExpandEnv: unset is empty, bad syntax vanishes; on windows then `%NAME%`, where unset stays as it is. */
function expandVariables(text: string, environment: EnvironmentValues, platform: Platform): string {
  const lookUp = (name: string) => (typeof environment[name] === 'string' ? environment[name] : undefined)
  const expanded = text.replace(SHELL_VARIABLE, (_all, braced?: string, special?: string, plain?: string) => {
    return lookUp(braced ?? special ?? plain ?? '') ?? ''
  })
  if (platform.os !== 'windows') return expanded
  return expanded.replace(WINDOWS_VARIABLE, (all, name: string) => lookUp(name) ?? all)
}
