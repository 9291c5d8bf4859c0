/**
 * What `limit.c` is told to make: a catalog, packed into tables that C can use as they are.
 *
 * The layout stands in `limit.c`: little-endian 32-bit numbers, then NUL-terminated strings.
 */
import type { Digest } from '../../src/blob/digest.ts'
import type { LocalBlob } from '../../src/blob/local.ts'
import { blobEntryName } from '../../src/catalog/layout.ts'
import type { Catalog, CatalogDirectory, CatalogFile } from '../../src/catalog/tree.ts'
import { walkRestorable } from '../../src/catalog/walk.ts'
import { unixMode } from '../../src/restore/file-mode.ts'
import type { Library } from '../../src/store/library.ts'

const MAGIC = 0x314c5048
/** How a file is made; the numbers are those of `enum how`. */
const HOW = { empty: 0, clone: 1, copy: 2, link: 3, gunzip: 4 } as const

/** How files are made whose blobs lie raw, where there is a choice. */
export type Method = 'clone' | 'copy' | 'link'

export interface ListOptions {
  readonly method: Method
  /** How files are made that cannot be links: those that are relocated, or want another mode than the blob has. */
  readonly besideLinks: 'clone' | 'copy'
  /** The 24 bytes that relocation writes. */
  readonly spaceName: string
}

/**
 * @param library where the blobs are: their form at rest decides too
 * @throws {Error} a blob is missing
 */
export function packedList(catalog: Catalog, library: Library, options: ListOptions): Uint8Array {
  const list = new PackedList(catalog, library, options)
  list.add('.', catalog.tree)
  return list.bytes()
}

/** The mode that each blob bears which files are links of: that of the first of them. */
export function linkedModes({ tree }: Catalog): ReadonlyMap<Digest, number> {
  const modes = new Map<Digest, number>()
  for (const entry of walkRestorable(tree)) {
    if (entry.kind !== 'file' || entry.file.symlink !== undefined || entry.file.rewrite.length > 0) continue
    const { digest, goMode } = entry.file
    if (!modes.has(digest)) modes.set(digest, unixMode(goMode))
  }
  return modes
}

class PackedList {
  readonly #directories: number[] = []
  readonly #links: number[] = []
  readonly #files: number[] = []
  readonly #rewrites: number[] = []
  readonly #strings: string[] = []
  #stringBytes = 0
  readonly #linkedModes: ReadonlyMap<Digest, number>

  constructor(
    catalog: Catalog,
    private readonly library: Library,
    private readonly options: ListOptions,
  ) {
    this.#linkedModes = linkedModes(catalog)
  }

  /** Parents before children. */
  add(path: string, directory: CatalogDirectory): void {
    const subdirs = [...directory.subdirs.values()].filter(({ shadow }) => !shadow)
    const files = [...directory.files.values()]
    const entries: readonly { readonly name: string; readonly symlink: string | undefined }[] = [...subdirs, ...files]
    const links = entries.flatMap(({ name, symlink }) => (symlink === undefined ? [] : [{ name, target: symlink }]))
    const regular = files.filter(({ symlink }) => symlink === undefined)
    const settle = links.length + regular.length === 0 ? 1 : 0
    const firstLink = this.#links.length / 2
    const firstFile = this.#files.length / 8
    this.#directories.push(this.#string(path), firstLink, links.length, firstFile, regular.length, settle)
    for (const { name, target } of links) this.#links.push(this.#string(name), this.#string(target))
    for (const file of regular) this.#addFile(file)
    for (const subdir of subdirs)
      if (subdir.symlink === undefined) this.add(path === '.' ? subdir.name : `${path}/${subdir.name}`, subdir)
  }

  bytes(): Uint8Array {
    const { spaceName } = this.options
    const tables = [this.#directories, this.#links, this.#files, this.#rewrites]
    const counts = [this.#directories.length / 6, this.#links.length / 2, this.#files.length / 8, this.#rewrites.length]
    return Buffer.concat([
      words([MAGIC, ...counts, this.#stringBytes]),
      Buffer.from(spaceName),
      ...tables.map(words),
      Buffer.from(this.#strings.join('')),
    ])
  }

  #addFile(file: CatalogFile): void {
    const mode = unixMode(file.goMode)
    const blob = this.library.find(file.digest)
    if (blob === undefined) throw new Error(`${this.library.roots.hololib} lacks blob ${file.digest}`)
    const how = this.#howOf(file, mode, blob)
    const blobName = how === HOW.empty ? '' : blobEntryName(file.digest)
    this.#files.push(this.#string(blobName), this.#string(file.name), mode, how, file.sizeBytes, blob.storedBytes)
    this.#files.push(this.#rewrites.length, file.rewrite.length)
    this.#rewrites.push(...file.rewrite)
  }

  #howOf(file: CatalogFile, mode: number, blob: LocalBlob): number {
    const { method, besideLinks } = this.options
    if (file.sizeBytes === 0) return HOW.empty
    if (blob.form === 'gzip') return HOW.gunzip
    if (method !== 'link') return HOW[method]
    return file.rewrite.length === 0 && this.#linkedModes.get(file.digest) === mode ? HOW.link : HOW[besideLinks]
  }

  /** @returns its offset */
  #string(text: string): number {
    const offset = this.#stringBytes
    this.#strings.push(text, '\0')
    this.#stringBytes += Buffer.byteLength(text) + 1
    return offset
  }
}

function words(values: readonly number[]): Uint8Array {
  if (values.some((value) => value > 0xffff_ffff)) throw new Error('a number of the list needs more than 32 bits')
  return new Uint8Array(Uint32Array.from(values).buffer)
}
