/**
 * The names that rcc derives: platforms, users, spaces, stages and catalogs (formats.md §3).
 *
 * Pure text in, text out. A `CatalogName` is safe as a file name; nothing here looks at a disk or at this process.
 */
import { HoloError } from '../base/errors.ts'
import { blueprintHash, userHash } from './siphash.ts'
import type { CatalogName } from './tree.ts'

/** Go's names of operating systems and processors, as rcc writes them. */
export interface Platform {
  readonly os: 'linux' | 'darwin' | 'windows'
  readonly arch: 'amd64' | 'arm64'
}

const SYSTEMS: Readonly<Record<string, Platform['os']>> = {
  linux: 'linux',
  darwin: 'darwin',
  windows: 'windows',
  win32: 'windows',
}
const PROCESSORS: Readonly<Record<string, Platform['arch']>> = {
  amd64: 'amd64',
  x64: 'amd64',
  arm64: 'arm64',
}
const CATALOG_NAME = /^([0-9a-f]{16})v12\.((?:linux|darwin|windows)_(?:amd64|arm64))$/
const BLUEPRINT = /^[0-9a-f]{16}$/

/**
 * @param os Go's name or Node's (`win32`)
 * @param arch Go's name or Node's (`x64`)
 * @throws {HoloError} code `platform-unsupported`: rcc has no environments for it
 */
export function platformOf(os: string, arch: string): Platform {
  const system = Object.hasOwn(SYSTEMS, os) ? SYSTEMS[os] : undefined
  const processor = Object.hasOwn(PROCESSORS, arch) ? PROCESSORS[arch] : undefined
  if (system === undefined || processor === undefined) {
    throw new HoloError(`rcc has no environments for ${os} on ${arch}`, {
      code: 'platform-unsupported',
      blame: 'host',
      hint: 'use linux, darwin or windows on amd64 or arm64',
    })
  }
  return { os: system, arch: processor }
}

/** `linux_amd64`. Parameters and error as `platformOf`. */
export function platformTag(os: string, arch: string): string {
  const platform = platformOf(os, arch)
  return `${platform.os}_${platform.arch}`
}

/** @returns the platform of a tag like `linux_amd64`, or undefined where it is malformed or unknown */
export function parsePlatformTag(tag: string): Platform | undefined {
  const [os = '', arch = '', rest] = tag.split('_')
  // The values of both tables are the names that a tag may have.
  if (rest !== undefined || SYSTEMS[os] !== os || PROCESSORS[arch] !== arch) return undefined
  return { os, arch } as Platform
}

/** `rcc.user` for the value `user` of `--controller`. */
export function controllerIdentity(controller: string): string {
  return `rcc.${controller}`.toLowerCase()
}

/** What stands for the user where rcc runs `--unmanaged`. */
export const UNMANAGED_IDENTITY = 'UNMNGED'

/**
 * @param home text of the home directory as the environment has it (HOME; USERPROFILE on windows)
 * @returns up to 7 hex digits; `badcafe` where the home is unknown or empty
 */
export function userIdentity(home: string | undefined): string {
  return home === undefined || home === '' ? 'badcafe' : userHash(home).slice(0, 7)
}

export interface SpaceOwner {
  /** From `userIdentity`, or `UNMANAGED_IDENTITY`. */
  readonly userIdentity: string
  /** From `controllerIdentity`: `rcc.user`. */
  readonly controller: string
  /** Any text; the default of rcc is `user`. */
  readonly space: string
}

/** Directory name of a space: `dc4d952_5a1fac3_9fcd2534`. */
export function spaceName({ userIdentity, controller, space }: SpaceOwner): string {
  return `${userIdentity}_${blueprintHash(controller).slice(0, 7)}_${blueprintHash(space).slice(0, 8)}`
}

/** Directory name of the build stage, which recorded files contain: `hdc4d952_493f813dad24d3t`. */
export function stageName(userIdentity: string, { os, arch }: Platform): string {
  return `h${userIdentity}_${blueprintHash(`${os} ${arch}`).slice(0, 14)}t`
}

/**
 * @param blueprint 16 hex digits
 * @param platform a tag like `linux_amd64`
 * @throws {RangeError} either is malformed: a bug of the caller, who has them from a parser
 */
export function catalogName(blueprint: string, platform: string): CatalogName {
  const name = parseCatalogName(`${blueprint}v12.${platform}`)
  if (name === undefined) throw new RangeError(`no catalog has blueprint ${blueprint} and platform ${platform}`)
  return name
}

/** @returns the name, or undefined where `text` is not exactly `<blueprint16>v12.<platform>` */
export function parseCatalogName(text: string): CatalogName | undefined {
  return CATALOG_NAME.test(text) ? (text as CatalogName) : undefined
}

/** The two parts of a catalog name. */
export function catalogNameParts(name: CatalogName): { blueprint: string; platform: string } {
  return { blueprint: name.slice(0, 16), platform: name.slice('0123456789abcdefv12.'.length) }
}

/**
 * Whether rcc takes a file of this name in `catalog/` for a catalog: its glob `[0-9a-f]*v12.*` without `.info`. Wider
 * than `parseCatalogName`, so whoever deletes blobs has to count these files too.
 */
export function matchesCatalogGlob(fileName: string): boolean {
  return /^[0-9a-f].*v12\./s.test(fileName) && !fileName.endsWith('.info')
}

/** Whether `text` is a blueprint hash: 16 lower-case hex digits. */
export function isBlueprintHash(text: string): boolean {
  return BLUEPRINT.test(text)
}
