/**
 * The schema of a catalog, over a JSON reader: which fields there are, what each may hold, and what they must agree on
 * (formats.md §5). Used by decode-catalog.ts alone, which bounds the bytes before and names the origin in errors.
 *
 * Entries are counted and held against the limits as they come, so nothing large is built before it is refused.
 */
import {
  BLOB_BYTES_MAX,
  CATALOG_DEPTH_MAX,
  CATALOG_ENTRIES_MAX,
  CATALOG_REWRITES_MAX,
  CATALOG_TEXT_BYTES_MAX,
  ENVIRONMENT_BYTES_MAX,
  NAME_BYTES_MAX,
  PATH_BYTES_MAX,
  REWRITES_PER_FILE_MAX,
} from '../base/limits.ts'
import { type Digest, parseDigest } from '../blob/digest.ts'
import { compareBytewise } from './bytewise.ts'
import { catalogInfoProblem } from './catalog-info.ts'
import { collisionProblem, entryNameProblem } from './entry-name.ts'
import { JsonReader } from './json-reader.ts'
import { type Platform, parsePlatformTag } from './names.ts'
import { readPlainFile } from './plain-file.ts'
import { IDENTITY_BYTES } from './relocation.ts'
import type { Catalog, CatalogDirectory, CatalogFile, CatalogInfo } from './tree.ts'

const FIELD_BYTES_MAX = 64
const DIGEST_BYTES_MAX = 64
/** Depth of unknown fields, which are passed over. */
const UNKNOWN_DEPTH_MAX = 32
const MODE_MAX = 2 ** 32 - 1
const MODE_DIRECTORY = 2 ** 31
/** Go's bits for symbolic link, device, named pipe, socket, character device and irregular file. */
const MODE_SPECIAL = (1 << 27) | (1 << 26) | (1 << 25) | (1 << 24) | (1 << 21) | (1 << 19)

const NO_FILES: ReadonlyMap<string, CatalogFile> = new Map()
const NO_SUBDIRS: ReadonlyMap<string, CatalogDirectory> = new Map()
const NO_REWRITES: readonly number[] = Object.freeze([])

/** Why a catalog is refused: half a sentence. */
export class CatalogProblem extends Error {}

interface DirectoryFields {
  name?: string
  symlink?: string
  goMode?: number
  shadow?: boolean
  subdirs?: ReadonlyMap<string, CatalogDirectory>
  files?: ReadonlyMap<string, CatalogFile>
}

/** Puts an entry among the others of its directory. @param make called with the bytes of its path, a separator included */
type AddEntry<Entry> = (name: string, nameBytes: number, make: (pathBytes: number) => Entry) => void

/** Decodes one catalog; not to be used twice. */
export class CatalogDecoder {
  readonly #reader: JsonReader
  #os: Platform['os'] = 'linux'
  /** Names from the root to where the reader is. */
  readonly #path: string[] = []
  #entries = 0
  #rewrites = 0
  #totalBytes = 0
  readonly #sizes = new Map<Digest, number>()
  #digestLength: number | undefined

  constructor(jsonBytes: Uint8Array) {
    this.#reader = new JsonReader(jsonBytes)
  }

  /** @throws {CatalogProblem | JsonSyntaxError} it is refused */
  catalog(): Catalog {
    const info: Partial<Record<keyof CatalogInfo, string>> = {}
    let lifted = false
    let tree: CatalogDirectory | undefined
    this.#reader.object(FIELD_BYTES_MAX, 'few', (field) => {
      switch (field) {
        case 'rcc':
        case 'controller':
        case 'space':
        case 'identity':
        case 'platform':
        case 'blueprint':
          info[field] = this.#reader.string(CATALOG_TEXT_BYTES_MAX)
          break
        case 'path':
          info.path = this.#reader.string(PATH_BYTES_MAX)
          break
        case 'lifted':
          lifted = this.#reader.boolean()
          break
        case 'tree': {
          if (tree !== undefined) throw new CatalogProblem('it has two trees')
          // rcc writes the platform before the tree; which names are fine depends on it.
          this.#os = this.#platform(info.platform).os
          tree = this.#directory('', 0, 0)
          break
        }
        default:
          this.#reader.skip(UNKNOWN_DEPTH_MAX)
      }
    })
    this.#reader.end()
    if (tree === undefined) throw new CatalogProblem('it has no tree')
    if (tree.symlink !== undefined || tree.shadow) throw new CatalogProblem('its root is a link or a shadow')
    return { ...this.#info(info), lifted, tree }
  }

  #platform(tag: string | undefined): Platform {
    const platform = parsePlatformTag(tag ?? '')
    if (platform === undefined) {
      throw new CatalogProblem(
        tag === undefined
          ? 'its platform is missing before the tree'
          : `its platform ${JSON.stringify(tag)} is unknown`,
      )
    }
    return platform
  }

  #info(fields: Partial<Record<keyof CatalogInfo, string>>): CatalogInfo {
    const { rcc = '', identity = '', path = '', controller = '', space = '', platform = '', blueprint = '' } = fields
    if (this.#platform(platform).os !== this.#os) throw new CatalogProblem('it has two platforms')
    const info = { rcc, identity, path, controller, space, platform, blueprint }
    const problem = catalogInfoProblem(info)
    if (problem !== undefined) throw new CatalogProblem(problem)
    return info
  }

  #directory(key: string, depth: number, pathBytes: number): CatalogDirectory {
    if (depth > CATALOG_DEPTH_MAX) throw this.#problem(`directories are nested deeper than ${CATALOG_DEPTH_MAX}`)
    this.#countEntry()
    const reader = this.#reader
    const found: DirectoryFields = {}
    reader.object(FIELD_BYTES_MAX, 'few', (field) => {
      switch (field) {
        case 'name':
          found.name = reader.acceptString(key) ? key : reader.string(NAME_BYTES_MAX)
          break
        case 'symlink':
          found.symlink = this.#linkText()
          break
        case 'mode':
          found.goMode = reader.unsigned()
          break
        case 'shadow':
          found.shadow = reader.boolean()
          break
        case 'subdirs':
          if (found.subdirs !== undefined) throw this.#problem('a directory has two lists of directories')
          found.subdirs = this.#named(pathBytes, (name, below) => this.#directory(name, depth + 1, below)) ?? NO_SUBDIRS
          break
        case 'files':
          if (found.files !== undefined) throw this.#problem('a directory has two lists of files')
          found.files = this.#files(pathBytes) ?? NO_FILES
          break
        default:
          reader.skip(UNKNOWN_DEPTH_MAX)
      }
    })
    const { name = '', symlink = '', goMode = 0, shadow = false, subdirs = NO_SUBDIRS, files = NO_FILES } = found
    if (name !== key) throw this.#problem(`an entry calls itself ${JSON.stringify(name)}`)
    if (goMode < MODE_DIRECTORY || goMode > MODE_MAX)
      throw this.#problem(`its mode ${goMode} is not that of a directory`)
    const collision = collisionProblem(subdirs, files, this.#os)
    if (collision !== undefined) throw this.#problem(collision)
    return { name, symlink: symlink === '' ? undefined : symlink, goMode, shadow, subdirs, files }
  }

  #files(pathBytes: number): Map<string, CatalogFile> | undefined {
    const plain = (add: AddEntry<CatalogFile>) => {
      const found = readPlainFile(this.#reader)
      if (found === undefined) return false
      const { name, sizeBytes, goMode, digest } = found
      add(name, name.length, () => {
        this.#countEntry()
        this.#checkMode(goMode)
        // Of hex digits alone, so that its length is all that could be wrong with it.
        const own = digest.length === this.#digestLength ? (digest as Digest) : this.#parsedDigest(digest)
        this.#noteBlob(own, sizeBytes)
        return { name, symlink: undefined, sizeBytes, goMode, digest: own, rewrite: NO_REWRITES }
      })
      return true
    }
    return this.#named(pathBytes, (name) => this.#file(name), plain)
  }

  #file(key: string): CatalogFile {
    this.#countEntry()
    const reader = this.#reader
    let name: string | undefined
    let symlink = ''
    let sizeBytes = -1
    let goMode = -1
    let digestText = ''
    let rewrite = NO_REWRITES
    reader.object(FIELD_BYTES_MAX, 'few', (field) => {
      switch (field) {
        case 'name':
          name = reader.acceptString(key) ? key : reader.string(NAME_BYTES_MAX)
          break
        case 'symlink':
          symlink = this.#linkText()
          break
        case 'size':
          sizeBytes = reader.unsigned()
          break
        case 'mode':
          goMode = reader.unsigned()
          break
        case 'digest':
          digestText = reader.string(DIGEST_BYTES_MAX)
          break
        case 'rewrite':
          rewrite = this.#offsets()
          break
        default:
          reader.skip(UNKNOWN_DEPTH_MAX)
      }
    })
    if (name !== key) throw this.#problem(`an entry calls itself ${JSON.stringify(name ?? '')}`)
    this.#checkMode(goMode)
    const digest = this.#parsedDigest(digestText)
    this.#noteBlob(digest, sizeBytes)
    for (const offset of rewrite) {
      if (offset + IDENTITY_BYTES > sizeBytes) throw this.#problem(`its relocation at ${offset} is beyond its end`)
    }
    return { name: key, symlink: symlink === '' ? undefined : symlink, sizeBytes, goMode, digest, rewrite }
  }

  #checkMode(goMode: number): void {
    if (goMode < 0 || goMode >= MODE_DIRECTORY || (goMode & MODE_SPECIAL) !== 0) {
      throw this.#problem(`its mode ${goMode} is not that of a regular file`)
    }
  }

  #parsedDigest(text: string): Digest {
    const digest = parseDigest(text)
    if (digest === undefined) throw this.#problem(`its digest ${JSON.stringify(text)} is malformed`)
    this.#digestLength ??= digest.length
    if (digest.length !== this.#digestLength) throw this.#problem('its digest is of another kind than those before it')
    return digest
  }

  #noteBlob(digest: Digest, sizeBytes: number): void {
    if (sizeBytes < 0 || sizeBytes > BLOB_BYTES_MAX) throw this.#problem('its size is missing or above the limit')
    this.#totalBytes += sizeBytes
    if (this.#totalBytes > ENVIRONMENT_BYTES_MAX) {
      throw this.#problem(`all files together have more than ${ENVIRONMENT_BYTES_MAX} bytes`)
    }
    const known = this.#sizes.get(digest)
    if (known === undefined) this.#sizes.set(digest, sizeBytes)
    else if (known !== sizeBytes) throw this.#problem(`its digest stands for ${known} and for ${sizeBytes} bytes`)
  }

  #offsets(): readonly number[] {
    if (this.#reader.acceptNull()) return NO_REWRITES
    let offsets: number[] | undefined
    this.#reader.array(() => {
      offsets ??= []
      offsets.push(this.#reader.unsigned())
      this.#rewrites++
      if (offsets.length > REWRITES_PER_FILE_MAX || this.#rewrites > CATALOG_REWRITES_MAX) {
        throw this.#problem('it has too many relocations')
      }
    })
    return offsets ?? NO_REWRITES
  }

  #linkText(): string {
    const text = this.#reader.string(PATH_BYTES_MAX)
    if (text.includes('\0')) throw this.#problem('the text of its link contains a NUL')
    return text
  }

  /**
   * Read an object of named entries.
   *
   * @param plain reads one with its key where it can, gives it to `add`, and tells whether it did
   * @returns undefined where it is empty or null
   */
  #named<Entry>(
    pathBytes: number,
    read: (name: string, pathBytes: number) => Entry,
    plain?: (add: AddEntry<Entry>) => boolean,
  ): Map<string, Entry> | undefined {
    if (this.#reader.acceptNull()) return undefined
    const entries = new Map<string, Entry>()
    let last = ''
    let sorted = true
    const add: AddEntry<Entry> = (name, nameBytes, make) => {
      const problem = entryNameProblem(name, this.#os)
      if (problem !== undefined) throw this.#problem(problem)
      if (entries.has(name)) throw this.#problem(`the name ${JSON.stringify(name)} occurs twice`)
      if (compareBytewise(last, name) > 0) sorted = false
      last = name
      this.#path.push(name)
      const below = pathBytes + nameBytes + 1
      if (below > PATH_BYTES_MAX) throw this.#problem(`a path is longer than ${PATH_BYTES_MAX} bytes`)
      entries.set(name, make(below))
      this.#path.pop()
    }
    this.#reader.object(
      NAME_BYTES_MAX,
      'any',
      (name) => add(name, Buffer.byteLength(name), (below) => read(name, below)),
      plain && (() => plain(add)),
    )
    if (entries.size === 0) return undefined
    return sorted ? entries : new Map([...entries].sort(([left], [right]) => compareBytewise(left, right)))
  }

  #countEntry(): void {
    this.#entries++
    if (this.#entries > CATALOG_ENTRIES_MAX) throw new CatalogProblem(`it has more than ${CATALOG_ENTRIES_MAX} entries`)
  }

  #problem(problem: string): CatalogProblem {
    return new CatalogProblem(`in ${shown(this.#path)}, ${problem}`)
  }
}

/** A path for a message, shortened in the middle. */
function shown(path: readonly string[]): string {
  const text = path.join('/')
  const middle = text.length > 160 ? `${text.slice(0, 80)}…${text.slice(-80)}` : text
  return JSON.stringify(`/${middle}`)
}
