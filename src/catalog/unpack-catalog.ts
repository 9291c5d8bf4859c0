/**
 * The packed form of a catalog back to the very value that was packed, or to nothing. Pure.
 *
 * A file that is torn, altered, of another version or of another catalog fails the checksum or the header, and is as
 * good as absent. What passes was written by us; it is still held against the limits before anything is allocated, and
 * gives no name that climbs, so that even a forged file is no more than another catalog.
 */
import {
  BLOB_BYTES_MAX,
  CATALOG_DEPTH_MAX,
  CATALOG_ENTRIES_MAX,
  CATALOG_JSON_BYTES_MAX,
  CATALOG_REWRITES_MAX,
  NAME_BYTES_MAX,
  PACKED_CATALOG_BYTES_MAX,
  REWRITES_PER_FILE_MAX,
} from '../base/limits.ts'
import { type Digest, parseSha256, type Sha256Digest, sha256Of } from '../blob/digest.ts'
import { catalogInfoProblem } from './catalog-info.ts'
import type { CatalogTail } from './catalog-tail.ts'
import { entryNameProblem } from './entry-name.ts'
import { type Platform, parsePlatformTag } from './names.ts'
import {
  MAGIC,
  type PackedCatalog,
  PackedColumns,
  type PackedHeader,
  type PackedPlaces,
  packedPlaces,
  readPackedHeader,
  VERSION,
} from './packed-form.ts'
import { IDENTITY_BYTES } from './relocation.ts'
import type { CatalogDirectory, CatalogFile, CatalogInfo } from './tree.ts'

const INFO_FIELDS = ['rcc', 'identity', 'path', 'controller', 'space', 'platform', 'blueprint'] as const
const MODE_DIRECTORY = 2 ** 31
const NO_FILES: ReadonlyMap<string, CatalogFile> = new Map()
const NO_SUBDIRS: ReadonlyMap<string, CatalogDirectory> = new Map()
const NO_REWRITES: readonly number[] = Object.freeze([])

/** An empty name, `.` or `..` among names with slashes between them. */
const CLIMBING = /(?:^|\/)\.{0,2}(?:\/|$)/

/** The bytes are no packed catalog. */
class Unfit extends Error {}

/**
 * @param bytes any bytes; the tail of the result is a view of them
 * @param stored SHA-256 of the gzip'd bytes whose catalog is wanted
 * @returns undefined where `bytes` is not exactly what `packCatalog` made for them
 */
export function unpackCatalog(bytes: Uint8Array, stored: Sha256Digest): PackedCatalog | undefined {
  const header = readPackedHeader(bytes)
  if (header === undefined || !isPlausible(header)) return undefined
  const places = packedPlaces(header)
  if (bytes.byteLength !== places.checksum.at + places.checksum.bytes) return undefined
  if (sha256Of(bytes.subarray(0, places.checksum.at)) !== bytes.subarray(places.checksum.at).toHex()) return undefined
  // Typed arrays start at multiples of their size; a file that was read stands so already.
  const columns = new PackedColumns(bytes.byteOffset % 8 === 0 ? bytes : new Uint8Array(bytes))
  if (columns.part(places.storedSha256).toHex() !== stored) return undefined
  const sha256 = parseSha256(columns.part(places.jsonSha256).toHex())
  if (sha256 === undefined) return undefined
  try {
    const info = infoOf(columns.part(places.info))
    const tree = new Unpacker(header, columns, places, parsePlatformTag(info.platform)?.os ?? 'linux').tree()
    const catalog = { ...info, lifted: header.lifted === 1, tree }
    return { catalog, sha256, tail: tailOf(header, columns.part(places.tail)) }
  } catch (error) {
    if (error instanceof Unfit || error instanceof SyntaxError) return undefined
    throw error
  }
}

function isPlausible(header: PackedHeader): boolean {
  const { directories, files } = header
  return (
    header.magic === MAGIC &&
    header.version === VERSION &&
    directories > 0 &&
    directories + files <= CATALOG_ENTRIES_MAX &&
    header.rewrites <= CATALOG_REWRITES_MAX &&
    header.relocatedFiles <= files &&
    header.links <= directories + files &&
    (header.digestBytes === 32 || header.digestBytes === 16) &&
    header.infoBytes + header.nameBytes + header.linkBytes <= PACKED_CATALOG_BYTES_MAX &&
    header.tailSizeBytes <= CATALOG_JSON_BYTES_MAX
  )
}

function infoOf(bytes: Uint8Array): CatalogInfo {
  const found: unknown = JSON.parse(textOf(bytes))
  if (typeof found !== 'object' || found === null) throw new Unfit()
  const fields = found as Partial<Record<keyof CatalogInfo, unknown>>
  for (const name of INFO_FIELDS) if (typeof fields[name] !== 'string') throw new Unfit()
  const { rcc, identity, path, controller, space, platform, blueprint } = fields as CatalogInfo
  const info = { rcc, identity, path, controller, space, platform, blueprint }
  if (catalogInfoProblem(info) !== undefined) throw new Unfit()
  return info
}

function tailOf({ tailCrc32, tailSizeBytes }: PackedHeader, deflated: Uint8Array): CatalogTail | undefined {
  return deflated.byteLength === 0 ? undefined : { deflated, crc32: tailCrc32, sizeBytes: tailSizeBytes }
}

/** Goes once over all columns, in step. */
class Unpacker {
  readonly #header: PackedHeader
  readonly #fileModes: Uint32Array
  readonly #directoryModes: Uint32Array
  readonly #subdirCounts: Uint32Array
  readonly #fileCounts: Uint32Array
  readonly #shadows: Uint8Array
  readonly #sizes: Float64Array
  readonly #rewrites: Float64Array
  readonly #names: readonly string[]
  /** Hex digits of all digests, one after the other: parts of one text need no memory of their own. */
  readonly #digests: string
  /** Link texts by index of the directory or file. */
  readonly #directoryLinks = new Map<number, string>()
  readonly #fileLinks = new Map<number, string>()
  /** How many relocations a file has, by its index. */
  readonly #relocated = new Map<number, number>()
  /** 1 at the index of a file that is in either map: most are in none. */
  readonly #isSpecial: Uint8Array
  #directory = 0
  #file = 0
  #rewrite = 0

  constructor(header: PackedHeader, columns: PackedColumns, places: PackedPlaces, os: Platform['os']) {
    this.#header = header
    this.#fileModes = columns.words(places.fileModes)
    this.#directoryModes = columns.words(places.directoryModes)
    this.#subdirCounts = columns.words(places.subdirCounts)
    this.#fileCounts = columns.words(places.fileCounts)
    this.#shadows = columns.part(places.shadows)
    this.#sizes = columns.doubles(places.sizes)
    this.#rewrites = columns.doubles(places.rewrites)
    const names = textOf(columns.part(places.names))
    const expected = header.directories - 1 + header.files
    if (names.includes('\0') || (expected > 0 && CLIMBING.test(names))) throw new Unfit()
    this.#names = split(names, '/', expected)
    if (os === 'windows' && this.#names.some((name) => entryNameProblem(name, os) !== undefined)) throw new Unfit()
    const digests = columns.part(places.digests)
    this.#digests = Buffer.from(digests.buffer, digests.byteOffset, digests.byteLength).toString('hex')
    const linkTexts = split(textOf(columns.part(places.linkTexts)), '\0', header.links)
    for (const [at, entry] of columns.words(places.links).entries()) {
      const text = linkTexts[at] ?? ''
      if (entry < header.directories) this.#directoryLinks.set(entry, text)
      else this.#fileLinks.set(entry - header.directories, text)
    }
    const counts = columns.words(places.rewriteCounts)
    for (const [at, file] of columns.words(places.relocatedFiles).entries()) this.#relocated.set(file, counts[at] ?? 0)
    this.#isSpecial = new Uint8Array(header.files)
    for (const file of [...this.#fileLinks.keys(), ...this.#relocated.keys()]) this.#isSpecial[file] = 1
  }

  tree(): CatalogDirectory {
    const root = this.#nextDirectory(0)
    const { directories, files, rewrites } = this.#header
    const all = this.#directory === directories && this.#file === files && this.#rewrite === rewrites
    if (!all || root.symlink !== undefined || root.shadow) throw new Unfit()
    return root
  }

  #nextDirectory(depth: number): CatalogDirectory {
    const { directories } = this.#header
    const index = this.#directory++
    const name = index === 0 ? '' : (this.#names[index - 1] ?? '')
    const goMode = this.#directoryModes[index] ?? 0
    if (depth > CATALOG_DEPTH_MAX || goMode < MODE_DIRECTORY) throw new Unfit()
    if (name.length > NAME_BYTES_MAX) throw new Unfit()
    const files = this.#nextFiles(this.#fileCounts[index] ?? 0)
    const subdirs = this.#nextSubdirs(this.#subdirCounts[index] ?? 0, directories - this.#directory, files, depth + 1)
    return {
      name,
      symlink: this.#directoryLinks.get(index),
      goMode,
      shadow: this.#shadows[index] === 1,
      subdirs,
      files,
    }
  }

  #nextSubdirs(
    count: number,
    countMax: number,
    files: ReadonlyMap<string, unknown>,
    depth: number,
  ): ReadonlyMap<string, CatalogDirectory> {
    if (count === 0) return NO_SUBDIRS
    if (count > countMax) throw new Unfit()
    const subdirs = new Map<string, CatalogDirectory>()
    for (let left = count; left > 0; left--) {
      const subdir = this.#nextDirectory(depth)
      if (files.has(subdir.name)) throw new Unfit()
      subdirs.set(subdir.name, subdir)
    }
    if (subdirs.size !== count) throw new Unfit()
    return subdirs
  }

  #nextFiles(count: number): ReadonlyMap<string, CatalogFile> {
    if (count === 0) return NO_FILES
    const first = this.#file
    if (count > this.#header.files - first) throw new Unfit()
    // Ten thousand turns before any of this is compiled: what they use is in locals, and they call nothing else.
    const names = this.#names
    const sizes = this.#sizes
    const modes = this.#fileModes
    const digests = this.#digests
    const isSpecial = this.#isSpecial
    const firstName = this.#header.directories - 1
    const digestLength = this.#header.digestBytes * 2
    const files = new Map<string, CatalogFile>()
    for (let index = first; index < first + count; index++) {
      const name = names[firstName + index] ?? ''
      const sizeBytes = sizes[index] ?? -1
      const goMode = modes[index] ?? 0
      const isSize = sizeBytes >= 0 && sizeBytes <= BLOB_BYTES_MAX && sizeBytes % 1 === 0
      if (!isSize || goMode >= MODE_DIRECTORY || name.length > NAME_BYTES_MAX) throw new Unfit()
      const digest = digests.slice(index * digestLength, (index + 1) * digestLength) as Digest
      let symlink: string | undefined
      let rewrite = NO_REWRITES
      if (isSpecial[index] === 1) {
        symlink = this.#fileLinks.get(index)
        rewrite = this.#offsets(this.#relocated.get(index) ?? 0, sizeBytes)
      }
      files.set(name, { name, symlink, sizeBytes, goMode, digest, rewrite })
    }
    this.#file = first + count
    if (files.size !== count) throw new Unfit()
    return files
  }

  #offsets(count: number, sizeBytes: number): readonly number[] {
    if (count === 0) return NO_REWRITES
    const end = this.#rewrite + count
    if (count > REWRITES_PER_FILE_MAX || end > this.#header.rewrites) throw new Unfit()
    const offsets = Array.from(this.#rewrites.subarray(this.#rewrite, end))
    this.#rewrite = end
    const most = sizeBytes - IDENTITY_BYTES
    if (!offsets.every((offset) => offset >= 0 && offset <= most && offset % 1 === 0)) throw new Unfit()
    return offsets
  }
}

function split(text: string, separator: string, count: number): readonly string[] {
  const parts = count === 0 && text === '' ? [] : text.split(separator)
  if (parts.length !== count) throw new Unfit()
  return parts
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
}
