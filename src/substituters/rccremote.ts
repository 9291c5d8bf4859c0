/**
 * Today's rccremote servers as a source (formats.md §14): a list of digests per catalog, and zips of what is asked for.
 *
 * Their faults are worked round: the server names its zips by the list of digests alone, so whoever asks for nothing but
 * a catalog may get another one's; here every list is in an order of its catalog's own, and never empty. What comes is
 * read as a stream, and unverified. Its lists of digests are a hint, since the server never renews them.
 */
import { CATALOG_ENTRIES_MAX, CATALOG_STORED_BYTES_MAX } from '../base/limits.ts'
import type { Random } from '../base/random.ts'
import { DELTA_BLOBS_MAX, DELTA_MARKS } from '../base/substituter-limits.ts'
import { type Digest, parseSha256, type Sha256Digest, sha256Of } from '../blob/digest.ts'
import { GZIP_HEADER_BYTES_MAX, isGzip } from '../blob/gzip.ts'
import type { BlobRef, BlobStream } from '../blob/source.ts'
import { blobEntryName, catalogEntryName } from '../catalog/layout.ts'
import type { CatalogName } from '../catalog/tree.ts'
import type { VerifiedCatalog } from '../trust/verify-catalog.ts'
import { collect } from './collect.ts'
import { SourceFailedError } from './source-failed-error.ts'
import type { Delivery, OfferedCatalog, Substituter, Wanted } from './substituter.ts'
import type { WebAnswer, WebEdge, WebRequest } from './web-edge.ts'
import { readZipStream, type ZipStreamEntry, ZipStreamError } from './zip-stream.ts'

const DIGEST_LINE_BYTES = 65
const BLOB_ENTRY = /^library\/..\/..\/..\/([0-9a-f]{64})$/

export interface RccremoteOptions {
  readonly name: string
  /** Ends in a slash. */
  readonly url: URL
  readonly edge: WebEdge
  /** Sent as it stands in the Authorization header, as rcc does; undefined: none is. */
  readonly authorization: string | undefined
  readonly random: Random
}

export class Rccremote implements Substituter {
  readonly name: string
  readonly #headers: Readonly<Record<string, string>>
  readonly #secretHeaders: Readonly<Record<string, string>>
  /** The catalog that was asked for last: this protocol has no blobs but those of a catalog. */
  #parts: { readonly name: CatalogName; readonly digests: ReadonlySet<Sha256Digest> } | undefined

  constructor(private readonly options: RccremoteOptions) {
    const { name, authorization, random } = options
    this.name = name
    // The server refuses whoever bears its own.
    const identity = Array.from({ length: 16 }, () => Math.floor(random.next() * 16).toString(16)).join('')
    this.#headers = { 'x-rcc-random-identity': identity }
    this.#secretHeaders = authorization === undefined ? {} : { authorization }
  }

  async find(name: CatalogName, signal: AbortSignal): Promise<OfferedCatalog | undefined> {
    const digests = await this.#askParts(name, signal)
    if (digests === undefined) return undefined
    const marks = orderOf(name, digests).slice(0, DELTA_MARKS)
    let stored: Uint8Array | undefined
    for await (const entry of this.#delta(name, marks, signal)) {
      if (entry.name === catalogEntryName(name)) {
        stored = await collect(entry.bytes, CATALOG_STORED_BYTES_MAX, `Catalog ${name} of ${this.name}`)
      } else await this.#pass(entry)
    }
    if (stored !== undefined) return { stored, signatures: undefined }
    throw new SourceFailedError(`${this.name} sent no catalog ${name} along with its blobs`, { code: 'source-invalid' })
  }

  async has(digests: readonly Digest[]): Promise<ReadonlySet<Digest>> {
    const held: ReadonlySet<Digest> = this.#parts?.digests ?? new Set()
    return new Set(digests.filter((digest) => held.has(digest)))
  }

  async get(ref: BlobRef, signal: AbortSignal): Promise<BlobStream | undefined> {
    const parts = this.#parts
    const digest = parseSha256(ref.digest)
    if (parts === undefined || digest === undefined || !parts.digests.has(digest)) return undefined
    const source = this.name
    const entries = this.#delta(parts.name, [digest], signal)
    for (;;) {
      const { done, value: entry } = await entries.next()
      if (done === true) return undefined
      // What is behind it in the zip is the catalog, which is read along.
      if (entry.name === blobEntryName(digest)) {
        return streamOf(
          source,
          whole(entry.bytes, entries, (rest) => this.#pass(rest)),
        )
      }
      await this.#pass(entry)
    }
  }

  async deliver(
    { name }: VerifiedCatalog,
    { blobs }: Wanted,
    signal: AbortSignal,
  ): Promise<AsyncGenerator<Delivery> | undefined> {
    const digests = await this.#askParts(name, signal)
    if (digests === undefined) return undefined
    const refs = new Map<string, BlobRef>(blobs.map((ref) => [ref.digest, ref]))
    const asked = orderOf(
      name,
      digests.filter((digest) => refs.has(digest)),
    )
    return this.#batches(name, asked, refs, signal)
  }

  async *#batches(
    name: CatalogName,
    asked: readonly Sha256Digest[],
    refs: ReadonlyMap<string, BlobRef>,
    signal: AbortSignal,
  ): AsyncGenerator<Delivery> {
    for (let at = 0; at < asked.length; at += DELTA_BLOBS_MAX) {
      for await (const entry of this.#delta(name, asked.slice(at, at + DELTA_BLOBS_MAX), signal)) {
        const ref = refs.get(BLOB_ENTRY.exec(entry.name)?.[1] ?? '')
        if (ref === undefined) await this.#pass(entry)
        else yield { kind: 'blob', ref, stream: await streamOf(this.name, entry.bytes) }
      }
    }
  }

  /** @returns undefined where it does not have that catalog */
  async #askParts(name: CatalogName, signal: AbortSignal): Promise<readonly Sha256Digest[] | undefined> {
    if (this.#parts?.name === name) return [...this.#parts.digests]
    const answer = await this.#request({ method: 'GET', what: `parts/${name}` }, signal)
    if (answer === undefined) return undefined
    const what = `parts/${name} of ${this.name}`
    const text = Buffer.from(await collect(answer.bytes(), CATALOG_ENTRIES_MAX * DIGEST_LINE_BYTES, what)).toString(
      'latin1',
    )
    const digests = text.split('\n').map(parseSha256)
    if (!digests.every((digest) => digest !== undefined)) {
      throw new SourceFailedError(`${what} lists something else than SHA-256 digests`, {
        code: 'source-invalid',
        hint: 'a server whose library has compress.no names its blobs by a hash that proves nothing: it cannot be used',
      })
    }
    this.#parts = { name, digests: new Set(digests) }
    return digests
  }

  /** The entries of the zip that the server makes of these. */
  async *#delta(
    name: CatalogName,
    digests: readonly Sha256Digest[],
    signal: AbortSignal,
  ): AsyncGenerator<ZipStreamEntry> {
    const what = `delta/${name}`
    const answer = await this.#request({ method: 'POST', what, body: `${digests.join('\n')}\n` }, signal)
    if (answer === undefined) {
      throw new SourceFailedError(`${this.name} does not have ${name} any more`, { code: 'source-invalid' })
    }
    try {
      const entries = this.#told(what, readZipStream(answer.bytes()))
      for await (const { name: entry, bytes } of entries) yield { name: entry, bytes: this.#told(what, bytes) }
    } finally {
      answer.discard()
    }
  }

  /** What is wrong with a zip is the server's fault. */
  async *#told<Item>(what: string, items: AsyncGenerator<Item>): AsyncGenerator<Item> {
    try {
      yield* items
    } catch (error) {
      if (!(error instanceof ZipStreamError)) throw error
      throw new SourceFailedError(`The zip ${what} of ${this.name} ${error.message}`, { code: 'source-invalid' })
    }
  }

  async #request(request: Omit<WebRequest, 'url'>, signal: AbortSignal): Promise<WebAnswer | undefined> {
    const { edge, url } = this.options
    const address = { url: new URL(request.what, url.href), headers: this.#headers, secretHeaders: this.#secretHeaders }
    const answer = await edge.request({ ...request, ...address }, signal)
    const { status } = answer
    if (status === 200) return answer
    answer.discard()
    if (status === 404) return undefined
    const refused = status === 401 || status === 403
    throw new SourceFailedError(
      refused
        ? `${this.name} refuses ${request.what} (status ${status})`
        : `${this.name} answered with status ${status} for ${request.what}`,
      refused
        ? { code: 'source-refused', hint: 'look at credentials-env or credentials-file of that entry' }
        : { code: 'source-status' },
    )
  }

  /** Read along what was not asked for, within the bound of a catalog. */
  async #pass({ name, bytes }: ZipStreamEntry): Promise<void> {
    let total = 0
    for await (const chunk of bytes) {
      total += chunk.byteLength
      if (total > CATALOG_STORED_BYTES_MAX) {
        throw new SourceFailedError(`${this.name} sent ${name.slice(0, 200)}, which nobody asked for`, {
          code: 'source-invalid',
        })
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

/**
 * The digests in an order that is the same for everybody who asks for this catalog, and for no other: so that the
 * server's zips are used again, and never mixed up.
 */
export function orderOf(name: CatalogName, digests: readonly Sha256Digest[]): Sha256Digest[] {
  const keyed = digests.map((digest) => ({ digest, key: sha256Of(Buffer.from(`${name} ${digest}`)) }))
  keyed.sort((left, right) => (left.key < right.key ? -1 : 1))
  return keyed.map(({ digest }) => digest)
}

/** An entry is a file of the server's library as it lies there: gzip, or raw. */
async function streamOf(source: string, bytes: AsyncGenerator<Uint8Array>): Promise<BlobStream> {
  const head: Uint8Array[] = []
  for (let headBytes = 0; headBytes < GZIP_HEADER_BYTES_MAX; ) {
    const { done, value } = await bytes.next()
    if (done === true) break
    head.push(value)
    headBytes += value.byteLength
  }
  async function* resumed(): AsyncGenerator<Uint8Array> {
    yield* head
    yield* bytes
  }
  return { source, encoding: isGzip(Buffer.concat(head)) ? 'gzip' : 'identity', bytes: resumed() }
}

/** The bytes of one entry, and then the end of the zip behind it. */
async function* whole(
  bytes: AsyncIterable<Uint8Array>,
  rest: AsyncGenerator<ZipStreamEntry>,
  pass: (entry: ZipStreamEntry) => Promise<void>,
): AsyncGenerator<Uint8Array> {
  yield* bytes
  for await (const entry of rest) await pass(entry)
}
