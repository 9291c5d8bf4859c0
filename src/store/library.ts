/**
 * rcc's hololib on this machine, shared with a running rcc: blobs, catalogs, usage stamps (formats.md §1, §6, §7).
 *
 * Guarantees that whatever it adds is verified and appears whole, blobs before their catalog, and that nothing is
 * deleted: a bad blob is moved to quarantine. Knows nothing of where blobs come from. Takes no lock, like rcc's own
 * readers; ingest is safe beside them because everything appears by rename.
 */
import * as fs from 'node:fs'
import { join } from 'node:path'
import { nextTurn } from '../base/clock.ts'
import { HoloError, hostError, messageOf, systemCodeOf } from '../base/errors.ts'
import { STAMP_LENGTH } from '../base/file-stamp.ts'
import { CATALOG_STORED_BYTES_MAX } from '../base/limits.ts'
import { roomLogger } from '../base/log.ts'
import { type Digest, isSha256, sha256Of } from '../blob/digest.ts'
import type { Compression } from '../blob/gzip.ts'
import type { BlobTree, LocalBlob, LocalBlobs, StoredBlob, StoredBlobs } from '../blob/local.ts'
import type { BlobRef, BlobStore, BlobStream } from '../blob/source.ts'
import { decodeStoredCatalog } from '../catalog/decode-catalog.ts'
import { encodeCatalogInfo } from '../catalog/encode-catalog.ts'
import * as layout from '../catalog/layout.ts'
import { catalogName, catalogNameParts, parseCatalogName } from '../catalog/names.ts'
import type { PackedCatalogs } from '../catalog/packed-form.ts'
import type { Catalog, CatalogName } from '../catalog/tree.ts'
import { distinctBlobs } from '../catalog/walk.ts'
import type { VerifiedCatalog } from '../trust/verify-catalog.ts'
import { type BlobFault, faultOf, findBlobFile, openStoredBlob } from './blob-file.ts'
import { BlobPresence } from './blob-presence.ts'
import { ingestBlob } from './ingest.ts'
import { LibraryFiles } from './library-files.ts'
import { quarantineBlob } from './quarantine.ts'
import { putRawBlob } from './raw-blob.ts'
import { isStampDue } from './stamp.ts'
import { sweepTemporaries } from './temporary.ts'
import { VerifiedNotes } from './verified-notes.ts'

const log = roomLogger('store')
/** One question to the disk takes some 3 µs; the event loop gets its turn after so many. */
const QUESTIONS_PER_TURN = 1024

/** A catalog with the bytes it was read from. */
export interface StoredCatalog {
  readonly name: CatalogName
  /** gzip'd JSON, as it lies in the library. */
  readonly stored: Uint8Array
  readonly catalog: Catalog
}

export interface LibraryOptions {
  readonly compression?: Compression
  readonly packed?: PackedCatalogs
}

export class Library implements BlobStore, LocalBlobs, StoredBlobs {
  readonly #files: LibraryFiles
  readonly #blobs: string
  readonly #catalogs: string
  readonly tree: BlobTree
  readonly notes: VerifiedNotes

  /** How blobs are written that are put here. */
  readonly compression: Compression
  /** Where decoded catalogs of this library are kept, if anywhere. */
  readonly packed: PackedCatalogs | undefined

  constructor(
    readonly roots: layout.Roots,
    { compression = 'raw', packed }: LibraryOptions = {},
  ) {
    this.compression = compression
    this.packed = packed
    this.#files = new LibraryFiles(roots.shared)
    this.#blobs = layout.libraryDirectory(roots)
    this.#catalogs = layout.catalogDirectory(roots)
    this.tree = { directory: this.#blobs, nameOf: layout.blobTreeName }
    this.notes = new VerifiedNotes(layout.statePaths(roots).verifiedNotes)
  }

  /**
   * Which digests this library records with, asked anew each time, as rcc does: a file decides.
   *
   * @returns `siphash-128` in a `compress.no` library
   */
  digestKind(): 'sha-256' | 'siphash-128' {
    const marker = fs.statSync(layout.noCompressMarker(this.roots), { throwIfNoEntry: false })
    return marker === undefined || marker.isDirectory() ? 'sha-256' : 'siphash-128'
  }

  async has(digest: Digest): Promise<boolean> {
    return this.holds(digest)
  }

  /**
   * As `BlobStore.put`.
   *
   * @throws {HoloError} also blame `input`, code `library-no-compress`: rcc would look for SipHash digests here
   */
  async put(ref: BlobRef, stream: BlobStream, signal: AbortSignal): Promise<void> {
    this.demandSha256()
    if (this.holds(ref.digest)) return
    const target = layout.blobPath(this.roots, ref.digest)
    const { compression, notes } = this
    await ingestBlob({ files: this.#files, temporaries: this.#blobs, target, compression, notes }, ref, stream, signal)
  }

  /** @throws {HoloError} blame `input`, code `library-no-compress`: what is put here has to bear another digest */
  demandSha256(): void {
    if (this.digestKind() === 'sha-256') return
    throw new HoloError(`The library ${this.roots.hololib} has compress.no, so it takes no blobs from elsewhere`, {
      code: 'library-no-compress',
      blame: 'input',
      hint: `remove ${layout.noCompressMarker(this.roots)} and let rcc record again, or use another ROBOCORP_HOME`,
    })
  }

  /**
   * Make a blob of what this machine itself recorded: as `put`, but also in a `compress.no` library.
   *
   * @returns bytes of the file at rest, or undefined where the blob was here already and was left as it was
   */
  async record(ref: BlobRef, stream: BlobStream, signal: AbortSignal): Promise<number | undefined> {
    if (this.holds(ref.digest)) return undefined
    const target = layout.blobPath(this.roots, ref.digest)
    if (isSha256(ref.digest)) await this.put(ref, stream, signal)
    else {
      const place = { files: this.#files, temporaries: this.#blobs, target, notes: this.notes }
      await putRawBlob(place, ref, stream, signal)
    }
    return fs.statSync(target, { throwIfNoEntry: false })?.size ?? 0
  }

  find(digest: Digest): LocalBlob | undefined {
    return findBlobFile(layout.blobPath(this.roots, digest), digest)
  }

  stored(digest: Digest): StoredBlob | undefined {
    return openStoredBlob(layout.blobPath(this.roots, digest), digest)
  }

  /**
   * Decode and hash a blob of this library.
   *
   * @returns what is wrong with it, as the end of a sentence; undefined where nothing is, or it is not held
   * @throws {HoloError} blame `host` when it cannot be read; `signal.reason` once `signal` aborts
   */
  async verify(ref: BlobRef, signal: AbortSignal): Promise<BlobFault> {
    const blob = this.find(ref.digest)
    return blob === undefined ? undefined : faultOf(blob, ref, signal)
  }

  /**
   * Move a blob whose bytes proved wrong out of the library, so that it can be fetched again and looked at.
   *
   * @param nowMs wall clock, for its new name
   * @returns its new path, or undefined where it was gone already
   * @throws {HoloError} blame `host`
   */
  quarantine(digest: Digest, nowMs: number): string | undefined {
    return quarantineBlob(this.roots, digest, nowMs)
  }

  /** Names of the catalogs here, sorted; what does not bear a catalog's exact name is passed over. */
  catalogs(): CatalogName[] {
    try {
      const names = fs.readdirSync(this.#catalogs).sort()
      return names.map(parseCatalogName).filter((name) => name !== undefined)
    } catch (error) {
      if (systemCodeOf(error) === 'ENOENT') return []
      throw hostError(`list ${this.#catalogs}`, error)
    }
  }

  /**
   * Read one catalog.
   *
   * @returns undefined where there is none
   * @throws {HoloError} code `catalog-invalid` where it fails its limits, is torn, or is another one than its name
   *   says; blame `host` where it cannot be read
   */
  catalog(name: CatalogName): StoredCatalog | undefined {
    const stored = this.storedCatalog(name)
    if (stored === undefined) return undefined
    return { name, stored, catalog: decodeNamed(name, stored, `Catalog ${layout.catalogPath(this.roots, name)}`) }
  }

  /**
   * The gzip form of one catalog, as it lies here, for those who decode it themselves.
   *
   * @returns undefined where there is none @throws {HoloError} blame `host` where it cannot be read
   */
  storedCatalog(name: CatalogName): Uint8Array | undefined {
    return readBounded(layout.catalogPath(this.roots, name), CATALOG_STORED_BYTES_MAX)
  }

  /**
   * The blobs of `catalog` that are not here, in the order of `distinctBlobs`; existence only, as rcc's HasBlueprint.
   *
   * @throws `signal.reason` once `signal` aborts
   */
  missing(catalog: Pick<Catalog, 'tree'>, signal: AbortSignal): Promise<BlobRef[]> {
    return this.missingOf(distinctBlobs(catalog), signal)
  }

  /** The same for a list of blobs. @param most stop after so many */
  async missingOf(refs: readonly BlobRef[], signal: AbortSignal, most = Number.POSITIVE_INFINITY): Promise<BlobRef[]> {
    const missing: BlobRef[] = []
    if (refs.length === 0) return missing
    using presence = new BlobPresence(this.tree)
    let asked = 0
    for (const ref of refs) {
      if (!presence.holds(ref.digest) && missing.push(ref) >= most) break
      if (++asked % QUESTIONS_PER_TURN === 0) await nextTurn()
      signal.throwIfAborted()
    }
    return missing
  }

  /**
   * The same, but a blob that was verified here before counts as here: for a restore, which opens each of them anyway and
   * tells of those that have gone, and after a fetch, before which all were looked for. It spares the disk a question for
   * each blob.
   */
  lacking(refs: readonly BlobRef[], signal: AbortSignal): Promise<BlobRef[]> {
    const stamp = new Uint32Array(STAMP_LENGTH)
    return this.missingOf(
      refs.filter(({ digest }) => this.notes.find(digest, stamp, 0) === undefined),
      signal,
    )
  }

  /**
   * rcc's HasBlueprint: the catalog, where it is readable and every blob is here; any failure counts as not present.
   *
   * @throws `signal.reason` once `signal` aborts
   */
  async complete(name: CatalogName, signal: AbortSignal): Promise<StoredCatalog | undefined> {
    let found: StoredCatalog | undefined
    try {
      found = this.catalog(name)
    } catch (error) {
      if (error instanceof HoloError) return undefined
      throw error
    }
    if (found === undefined) return undefined
    return (await this.missing(found.catalog, signal)).length === 0 ? found : undefined
  }

  /**
   * Add a catalog whose blobs are all here, as `lacking` tells: first its `.info`, then itself, each by rename.
   *
   * @param verified its gzip'd JSON is kept byte for byte, since hashes and signatures are over it
   * @throws {HoloError} code `catalog-incomplete`: blobs lack; blame `host` when writing fails
   * @throws `signal.reason` once `signal` aborts
   */
  async putCatalog(verified: VerifiedCatalog, signal: AbortSignal): Promise<void> {
    const { name, stored, catalog, sha256 } = verified
    const missing = await this.lacking(distinctBlobs(catalog), signal)
    if (missing.length > 0) {
      throw new HoloError(`Catalog ${name} cannot be added while ${missing.length} of its blobs are missing`, {
        code: 'catalog-incomplete',
        blame: 'missing',
        hint: 'run the same command again, so that the missing blobs are fetched',
      })
    }
    this.#files.write(layout.catalogInfoPath(this.roots, name), encodeCatalogInfo(catalog), this.#catalogs)
    this.#files.write(layout.catalogPath(this.roots, name), stored, this.#catalogs)
    this.packed?.add(sha256Of(stored), { catalog, sha256, tail: verified.tail() })
  }

  /**
   * Say that a catalog was used: rcc's clean-up goes by the mtime of the catalog and of the user's stamp. It is advice: a
   * library that cannot be written (another user's, a read-only volume) is a line in the log.
   *
   * @param nowMs wall clock
   * @param renewAfterMs times that are younger than this are left as they are
   */
  touchUsage(name: CatalogName, nowMs: number, renewAfterMs = 0): void {
    const stamp = layout.usedStampPath(this.roots, catalogNameParts(name).blueprint)
    try {
      this.#files.ensureDirectory(join(this.roots.hololib, 'used'))
      if (isStampDue(stamp, nowMs, renewAfterMs) ?? true) {
        fs.closeSync(fs.openSync(stamp, 'a', 0o644))
        fs.utimesSync(stamp, nowMs / 1000, nowMs / 1000)
      }
      const path = layout.catalogPath(this.roots, name)
      if (isStampDue(path, nowMs, renewAfterMs)) fs.utimesSync(path, nowMs / 1000, nowMs / 1000)
    } catch (error) {
      log.warning`a use was not noted in ${stamp}: ${messageOf(error)}`
    }
  }

  /** Remove what killed runs of ours left. @param nowMs wall clock @returns how many files */
  sweep(nowMs: number): number {
    return sweepTemporaries(this.#blobs, nowMs) + sweepTemporaries(this.#catalogs, nowMs)
  }

  /** Make the directory of catalogs, as every start of rcc does. @throws {HoloError} blame `host` */
  ensureCatalogDirectory(): string {
    this.#files.ensureDirectory(this.#catalogs)
    return this.#catalogs
  }

  /** As `has`, at once. */
  holds(digest: Digest): boolean {
    return fs.lstatSync(layout.blobPath(this.roots, digest), { throwIfNoEntry: false })?.isFile() ?? false
  }
}

function decodeNamed(name: CatalogName, stored: Uint8Array, origin: string): Catalog {
  const catalog = decodeStoredCatalog(stored, origin)
  const actual = catalogName(catalog.blueprint, catalog.platform)
  if (actual === name) return catalog
  throw new HoloError(`${origin} is refused: it is catalog ${actual}`, {
    code: 'catalog-invalid',
    blame: 'source',
    hint: 'take it from another source, or let rcc record the environment again',
  })
}

function readBounded(path: string, bytesMax: number): Uint8Array | undefined {
  try {
    const sizeBytes = fs.statSync(path).size
    if (sizeBytes > bytesMax) throw new Error(`it has ${sizeBytes} bytes, at most ${bytesMax} are read`)
    return fs.readFileSync(path)
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return undefined
    throw hostError(`read ${path}`, error)
  }
}
