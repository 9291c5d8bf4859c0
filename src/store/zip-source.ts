/**
 * A hololib.zip as a source of one environment's catalog and blobs (formats.md §12).
 *
 * rcc's zips carry no hash of their own and rcc imports them unverified; here an entry is a claim like any other, and
 * becomes a blob only through the library's ingest. Only entries that are asked for by digest or catalog name are read.
 */

import { HoloError } from '../base/errors.ts'
import { CATALOG_STORED_BYTES_MAX } from '../base/limits.ts'
import type { Digest } from '../blob/digest.ts'
import { GZIP_HEADER_BYTES_MAX, gzipBytesMax, isGzip } from '../blob/gzip.ts'
import type { BlobRef, BlobSource, BlobStream } from '../blob/source.ts'
import { blobEntryName, catalogEntryName } from '../catalog/layout.ts'
import { parseCatalogName } from '../catalog/names.ts'
import type { CatalogName } from '../catalog/tree.ts'
import { type ZipEntry, ZipReader } from './zip-reader.ts'

export class ZipSource implements BlobSource, AsyncDisposable {
  readonly #zip: ZipReader

  private constructor(
    readonly name: string,
    zip: ZipReader,
  ) {
    this.#zip = zip
  }

  /** @throws {HoloError} as `ZipReader.open` */
  static async open(path: string): Promise<ZipSource> {
    return new ZipSource(path, await ZipReader.open(path))
  }

  /** Catalogs in the zip, sorted. */
  catalogs(): CatalogName[] {
    return [...this.#zip.entries.keys()]
      .filter((name) => name.startsWith('catalog/'))
      .map((name) => parseCatalogName(name.slice('catalog/'.length)))
      .filter((name) => name !== undefined)
      .sort()
  }

  /**
   * The stored form (gzip'd JSON) of one catalog, unverified.
   *
   * @returns undefined where the zip does not have it
   * @throws {HoloError} blame `input`: the entry is damaged, or larger than a catalog may be
   */
  async catalog(name: CatalogName): Promise<Uint8Array | undefined> {
    const entry = this.#zip.entries.get(catalogEntryName(name))
    if (entry === undefined) return undefined
    if (entry.sizeBytes > CATALOG_STORED_BYTES_MAX)
      throw new HoloError(
        `Catalog ${name} in ${this.name} has ${entry.sizeBytes} bytes; the limit is ${CATALOG_STORED_BYTES_MAX}`,
        {
          code: 'catalog-invalid',
          blame: 'input',
          hint: 'export the file again',
        },
      )
    const chunks: Uint8Array[] = []
    for await (const chunk of this.#zip.read(entry)) chunks.push(chunk)
    return Buffer.concat(chunks)
  }

  async has(digests: readonly Digest[]): Promise<ReadonlySet<Digest>> {
    return new Set(digests.filter((digest) => this.#zip.entries.has(blobEntryName(digest))))
  }

  async get(ref: BlobRef, signal: AbortSignal): Promise<BlobStream | undefined> {
    signal.throwIfAborted()
    const entry = this.#zip.entries.get(blobEntryName(ref.digest))
    if (entry === undefined) return undefined
    if (entry.sizeBytes > gzipBytesMax(ref.sizeBytes)) throw this.#corrupt(ref, 'it is far longer than its content')
    const chunks = this.#blobBytes(ref, entry)
    const head: Uint8Array[] = []
    for (let headBytes = 0; headBytes < GZIP_HEADER_BYTES_MAX; ) {
      const { done, value } = await chunks.next()
      if (done) break
      head.push(value)
      headBytes += value.byteLength
    }
    const encoding = isGzip(Buffer.concat(head)) ? 'gzip' : 'identity'
    return { source: this.name, encoding, bytes: resumed(head, chunks) }
  }

  /** A damaged entry is the source's fault: the next source may have the blob. */
  async *#blobBytes(ref: BlobRef, entry: ZipEntry): AsyncGenerator<Uint8Array> {
    try {
      yield* this.#zip.read(entry)
    } catch (error) {
      if (error instanceof HoloError && error.code === 'zip-invalid') throw this.#corrupt(ref, error.message)
      throw error
    }
  }

  #corrupt(ref: BlobRef, problem: string): HoloError {
    return new HoloError(`${this.name} holds a damaged blob ${ref.digest}: ${problem}`, {
      code: 'zip-blob-damaged',
      blame: 'source',
      hint: 'export the file again',
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#zip[Symbol.asyncDispose]()
  }
}

async function* resumed(head: readonly Uint8Array[], rest: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* head
  yield* rest
}
