/**
 * The packed form of a catalog: what stands where, once for those who write it and those who read it.
 *
 * Little-endian: a header of 32-bit words, then columns, each padded to 8 bytes, so that typed arrays can lie on them.
 * Directories stand in pre-order, the root first; files in the order of their directories; names in that order (without
 * the root's) with `/` between them, and texts of links with NUL, since neither contains its separator. The order of
 * `HEADER_WORDS` and of the columns is the form: whoever changes it, or makes the decoder stricter, raises `VERSION`.
 */
import type { Sha256Digest } from '../blob/digest.ts'
import type { CatalogTail } from './catalog-tail.ts'
import type { Catalog } from './tree.ts'

/** `holo` */
export const MAGIC = 0x6f6c6f68
export const VERSION = 1
export const DIGEST_BYTES = 32

/** A catalog with all that was computed from its bytes. */
export interface PackedCatalog {
  readonly catalog: Catalog
  /** Of the decoded JSON, as it was found. */
  readonly sha256: Sha256Digest
  /** Undefined where nobody will write a note from it. */
  readonly tail: CatalogTail | undefined
}

/** The door to packed catalogs, by the SHA-256 of the stored (gzip'd) bytes that they were decoded from. */
export interface PackedCatalogs {
  /** @returns undefined where there is none, or none that is whole */
  find(stored: Sha256Digest): PackedCatalog | undefined
  /** Keep one for later, as far as that is possible: never an error. */
  add(stored: Sha256Digest, packed: PackedCatalog): void
}

const HEADER_WORDS = [
  'magic',
  'version',
  'directories',
  'files',
  /** Relocations of all files together, and files that have any. */
  'rewrites',
  'relocatedFiles',
  /** Directories and files that are links. */
  'links',
  /** 32 for SHA-256, 16 for SipHash-128. */
  'digestBytes',
  'lifted',
  'infoBytes',
  'nameBytes',
  'linkBytes',
  /** Zero where there is no tail. */
  'tailBytes',
  'tailCrc32',
  'tailSizeBytes',
  'reserved',
] as const

export type PackedHeader = Readonly<Record<(typeof HEADER_WORDS)[number], number>>

const HEADER_BYTES = HEADER_WORDS.length * 4
const ALIGNMENT = 8

/** @returns undefined where `bytes` is too short for a header */
export function readPackedHeader(bytes: Uint8Array): PackedHeader | undefined {
  if (bytes.byteLength < HEADER_BYTES) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES)
  return Object.fromEntries(HEADER_WORDS.map((word, at) => [word, view.getUint32(at * 4, true)])) as PackedHeader
}

export function writePackedHeader(bytes: Uint8Array, header: PackedHeader): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES)
  for (const [at, word] of HEADER_WORDS.entries()) view.setUint32(at * 4, header[word], true)
}

/** Where each column stands, in bytes, and how many bytes there are in all. */
export interface PackedPlaces {
  readonly storedSha256: Place
  readonly jsonSha256: Place
  /** 64-bit floats, since sizes and offsets pass 2^32. */
  readonly sizes: Place
  readonly rewrites: Place
  /** 32-bit words. */
  readonly fileModes: Place
  readonly directoryModes: Place
  readonly subdirCounts: Place
  readonly fileCounts: Place
  /** Indexes of the files that are relocated, ascending, and how many offsets each has. */
  readonly relocatedFiles: Place
  readonly rewriteCounts: Place
  /** Indexes of the entries that are links, ascending: directories count first, then files. */
  readonly links: Place
  /** Bytes: 1 for a shadow. */
  readonly shadows: Place
  readonly digests: Place
  readonly info: Place
  readonly names: Place
  readonly linkTexts: Place
  readonly tail: Place
  /** SHA-256 of all before it. */
  readonly checksum: Place
}

export interface Place {
  readonly at: number
  readonly bytes: number
}

/** @param header counts from anywhere: nothing is allocated, sums stay exact */
export function packedPlaces(header: PackedHeader): PackedPlaces {
  const { directories, files, rewrites, relocatedFiles, links, digestBytes } = header
  let end = HEADER_BYTES
  const place = (bytes: number): Place => {
    const at = end
    end += Math.ceil(bytes / ALIGNMENT) * ALIGNMENT
    return { at, bytes }
  }
  return {
    storedSha256: place(DIGEST_BYTES),
    jsonSha256: place(DIGEST_BYTES),
    sizes: place(files * 8),
    rewrites: place(rewrites * 8),
    fileModes: place(files * 4),
    directoryModes: place(directories * 4),
    subdirCounts: place(directories * 4),
    fileCounts: place(directories * 4),
    relocatedFiles: place(relocatedFiles * 4),
    rewriteCounts: place(relocatedFiles * 4),
    links: place(links * 4),
    shadows: place(directories),
    digests: place(files * digestBytes),
    info: place(header.infoBytes),
    names: place(header.nameBytes),
    linkTexts: place(header.linkBytes),
    tail: place(header.tailBytes),
    checksum: place(DIGEST_BYTES),
  }
}

/** Views of the columns; `bytes` must begin at a multiple of 8 of its buffer. */
export class PackedColumns {
  constructor(private readonly bytes: Uint8Array) {}

  part({ at, bytes }: Place): Uint8Array {
    return this.bytes.subarray(at, at + bytes)
  }

  words({ at, bytes }: Place): Uint32Array {
    return new Uint32Array(this.bytes.buffer, this.bytes.byteOffset + at, bytes / 4)
  }

  doubles({ at, bytes }: Place): Float64Array {
    return new Float64Array(this.bytes.buffer, this.bytes.byteOffset + at, bytes / 8)
  }
}
