/**
 * The answering side of one connection: what the remote asked for, sent in the order of its questions.
 *
 * Small blobs share frames; a frame is sent only when the remote has credit for it and the link has room, so what is
 * held in memory per connection is one blob and one frame. After each frame other connections get their turn. Any
 * SHA-256 blob of the library is served to a proved member, whether or not an announced catalog lists it: members
 * share blobs across catalogs, and a digest cannot be guessed. Digests of a `compress.no` library never travel.
 */
import { nextTurn } from '../base/clock.ts'
import { HoloError, messageOf } from '../base/errors.ts'
import { BLOB_WHOLE_BYTES_MAX, CHUNK_BYTES_MAX, PEER_CREDIT_BYTES } from '../base/limits.ts'
import type { Logger } from '../base/log.ts'
import type { RateLimit } from '../base/rate-limit.ts'
import type { Sha256Digest } from '../blob/digest.ts'
import type { StoredBlob, StoredBlobs } from '../blob/local.ts'
import type { ServedPieces } from '../blob/pieces.ts'
import type { CatalogName } from '../catalog/tree.ts'
import type { CatalogTurn, CatalogTurns } from './catalog-turns.ts'
import type { ComingBlob, ComingCatalogs } from './coming-catalogs.ts'
import type { HeldCatalog, Message, Missing, Part } from './messages.ts'

/** What this machine offers to the members of its fleets. */
export interface ServedLibrary extends StoredBlobs {
  /** Catalogs whose blobs are all here, recorded with SHA-256 digests. */
  catalogs(): readonly HeldCatalog[]
  /** Whether a blob is there, without opening it: 1,024 are asked at once. */
  holds(digest: Sha256Digest): boolean
  /** Call `listener` whenever `catalogs` has changed. @returns ends the subscription */
  subscribe(listener: () => void): () => void
  /** The gzip'd form. @returns undefined where the catalog is not held */
  storedCatalog(name: CatalogName): Promise<Uint8Array | undefined>
  /** Who has signed a catalog, as lines of JSON. @returns undefined where nothing is known */
  signatures(catalog: Sha256Digest): Uint8Array | undefined
  /** The same in pieces; undefined where nothing is served so. */
  readonly pieces?: ServedPieces
}

/** A library that offers nothing: that of a client which only fetches. */
export const nothingServed: ServedLibrary = {
  catalogs: () => [],
  subscribe: () => () => {},
  storedCatalog: async () => undefined,
  signatures: () => undefined,
  stored: () => undefined,
  holds: () => false,
}

/** What all connections of a process share when they send. */
export interface SharedUploads {
  /** Whose turn it is to be sent a catalog. */
  readonly catalogTurns: CatalogTurns
  /** Those that are sent on while they come. */
  readonly coming: ComingCatalogs
  /** What leaves this machine; undefined for as much as goes. */
  readonly uploadLimit: RateLimit | undefined
}

export interface UploadOptions {
  readonly library: ServedLibrary
  readonly log: Logger
  /** Undefined where nobody else is served. */
  readonly shared?: SharedUploads | undefined
  /** Queue one frame. @returns false when `drained` should be awaited before the next */
  send(message: Message): boolean
  drained(signal: AbortSignal): Promise<void>
  /** Resolves once all of it is on its way; undefined where the link does not tell. */
  emptied?(signal: AbortSignal): Promise<void>
  /** `count` things of `request` have been answered. */
  onAnswered(request: number, count: number): void
  /** A bug: something else than a HoloError was thrown. */
  onCrash(error: unknown): void
}

interface Job {
  readonly request: number
  readonly index: number
  readonly wanted:
    | Sha256Digest
    | { readonly catalog: CatalogName }
    | { readonly tableOf: Sha256Digest }
    | { readonly signaturesOf: Sha256Digest }
  cancelled: boolean
}

export class Uploads {
  readonly #options: UploadOptions
  readonly #queue: Job[] = []
  #head = 0
  readonly #jobs = new Map<string, Job>()
  #credit = PEER_CREDIT_BYTES
  #wakeCredit: (() => void) | undefined
  #pumping = false
  readonly #stopped = new AbortController()
  #frame: Part[] = []
  #frameBytes = 0
  #missing: { readonly job: Job; readonly reason: Missing['reason'] }[] = []
  #sinceTurnBytes = 0
  /** Bytes of chunks sent so far. */
  sentBytes = 0

  constructor(options: UploadOptions) {
    this.#options = options
  }

  want(request: number, digests: readonly Sha256Digest[]): void {
    this.#enqueue(digests.map((wanted, index) => ({ request, index, wanted, cancelled: false })))
  }

  catalog(request: number, name: CatalogName): void {
    this.#enqueue([{ request, index: 0, wanted: { catalog: name }, cancelled: false }])
  }

  /** The piece table of a catalog. */
  table(request: number, catalog: Sha256Digest): void {
    this.#enqueue([{ request, index: 0, wanted: { tableOf: catalog }, cancelled: false }])
  }

  /** Who has signed a catalog. */
  signatures(request: number, catalog: Sha256Digest): void {
    this.#enqueue([{ request, index: 0, wanted: { signaturesOf: catalog }, cancelled: false }])
  }

  /** @returns the numbers of those that are held; bounded by the length of a question */
  holding(digests: readonly Sha256Digest[]): number[] {
    try {
      return digests.flatMap((digest, index) => (this.#options.library.holds(digest) ? [index] : []))
    } catch (error) {
      if (!(error instanceof HoloError)) throw error
      this.#options.log.warn(`A peer was not answered: ${messageOf(error)}`)
      return []
    }
  }

  /** Unknown numbers are of things that ended while the cancel was on its way. */
  cancel(request: number, indexes: readonly number[]): void {
    for (const index of indexes) {
      const job = this.#jobs.get(`${request}:${index}`)
      if (job !== undefined) job.cancelled = true
    }
  }

  /** @returns false where the remote gives more credit than it can have */
  credit(bytes: number): boolean {
    this.#credit += bytes
    this.#wakeCredit?.()
    return this.#credit <= PEER_CREDIT_BYTES
  }

  stop(): void {
    this.#stopped.abort(new Error('the connection has ended'))
    this.#wakeCredit?.()
  }

  #enqueue(jobs: readonly Job[]): void {
    for (const job of jobs) {
      this.#queue.push(job)
      this.#jobs.set(`${job.request}:${job.index}`, job)
    }
    if (this.#pumping) return
    this.#pumping = true
    this.#pump().catch((error: unknown) => {
      if (!this.#stopped.signal.aborted) this.#options.onCrash(error)
    })
  }

  async #pump(): Promise<void> {
    for (;;) {
      const job = this.#queue[this.#head]
      if (job === undefined) break
      this.#head++
      if (this.#head === 1024) this.#head -= this.#queue.splice(0, this.#head).length
      await this.#answer(job)
      this.#jobs.delete(`${job.request}:${job.index}`)
      if (this.#stopped.signal.aborted) return
    }
    await this.#flush()
    // What was asked while the last frame waited is in the queue already.
    if (this.#head < this.#queue.length) return this.#pump()
    this.#pumping = false
  }

  async #answer(job: Job): Promise<void> {
    let reason: Missing['reason'] | undefined
    const isCatalog = typeof job.wanted !== 'string' && 'catalog' in job.wanted
    try {
      using turn = isCatalog ? await this.#options.shared?.catalogTurns.enter(this.#stopped.signal) : undefined
      using stored = job.cancelled ? undefined : await this.#open(job)
      if (stored !== undefined) reason = await this.#gather(job, stored)
      else reason = job.cancelled ? 'cancelled' : 'not-held'
      // Else its end might wait for the next frame, or in the queue of the link, and be sent in nobody's turn.
      if (isCatalog) await this.#flush()
      if (turn !== undefined && stored !== undefined) await this.#onItsWay(turn)
    } catch (error) {
      this.#stopped.signal.throwIfAborted()
      if (!(error instanceof HoloError)) throw error
      this.#options.log.warn(`A peer was not served: ${messageOf(error)}`)
      reason = 'failed'
    }
    if (reason !== undefined) this.#missing.push({ job, reason })
  }

  /** As long as the turn lasts: on a slow link others may fill the queue again and again. */
  async #onItsWay({ over }: CatalogTurn): Promise<void> {
    const { signal } = this.#stopped
    try {
      await this.#options.emptied?.(AbortSignal.any([signal, over]))
    } catch (error) {
      signal.throwIfAborted()
      if (!over.aborted) throw error
    }
  }

  /** @returns why it was not sent whole, undefined where it was */
  async #gather(job: Job, stored: StoredBlob | ComingBlob): Promise<Missing['reason'] | undefined> {
    let left = stored.sizeBytes
    let begun = false
    const isComing = !('whole' in stored)
    const pieces = isComing || left > BLOB_WHOLE_BYTES_MAX ? stored.bytes() : [stored.whole()]
    for await (const piece of pieces) {
      let from = 0
      do {
        const chunk = piece.subarray(from, from + Math.min(CHUNK_BYTES_MAX, left))
        from += chunk.byteLength
        left -= chunk.byteLength
        if (this.#frameBytes + chunk.byteLength > CHUNK_BYTES_MAX) await this.#flush()
        if (job.cancelled) return 'cancelled'
        const { request, index } = job
        const storedBytes = begun ? undefined : stored.sizeBytes
        this.#frame.push({ request, index, encoding: stored.encoding, storedBytes, last: left === 0, chunk })
        this.#frameBytes += chunk.byteLength
        begun = true
        // The next one may be a while.
        if (isComing) await this.#flush()
      } while (from < piece.byteLength && left > 0)
      if (left === 0) return undefined
    }
    return 'failed'
  }

  async #open({ wanted }: Job): Promise<StoredBlob | ComingBlob | undefined> {
    const { library, shared } = this.#options
    if (typeof wanted === 'string') return library.stored(wanted)
    if ('signaturesOf' in wanted) return wholeOf(library.signatures(wanted.signaturesOf), 'identity')
    if ('catalog' in wanted) {
      const stored = wholeOf(await library.storedCatalog(wanted.catalog), 'gzip')
      return stored ?? shared?.coming.find(wanted.catalog)?.read(this.#stopped.signal)
    }
    return wholeOf(await library.pieces?.table(wanted.tableOf, this.#stopped.signal), 'identity')
  }

  /** Send what is gathered, as soon as the remote and the link have room for it. */
  async #flush(): Promise<void> {
    const { send, drained, onAnswered, shared } = this.#options
    const { signal } = this.#stopped
    let hasRoom = true
    if (this.#frame.length > 0) {
      await shared?.uploadLimit?.pass(this.#frameBytes, signal)
      while (this.#credit < this.#frameBytes) {
        await new Promise<void>((resolve) => {
          this.#wakeCredit = resolve
        })
        signal.throwIfAborted()
      }
      const parts = this.#frame
      this.#credit -= this.#frameBytes
      this.sentBytes += this.#frameBytes
      this.#sinceTurnBytes += this.#frameBytes
      this.#frame = []
      this.#frameBytes = 0
      for (const part of parts) if (part.last) onAnswered(part.request, 1)
      hasRoom = send({ type: 'parts', parts })
    }
    for (const { job, reason } of this.#missing) {
      onAnswered(job.request, 1)
      hasRoom = send({ type: 'missing', request: job.request, reason, indexes: [job.index] }) && hasRoom
    }
    this.#missing = []
    if (!hasRoom) await drained(signal)
    else if (this.#sinceTurnBytes < TURN_BYTES) return
    else await nextTurn()
    this.#sinceTurnBytes = 0
    signal.throwIfAborted()
  }
}

/** After so many bytes other connections, and the sockets themselves, get their turn. */
const TURN_BYTES = 4 * CHUNK_BYTES_MAX

/** Something that is no blob, as a blob is sent. */
function wholeOf(bytes: Uint8Array | undefined, encoding: StoredBlob['encoding']): StoredBlob | undefined {
  if (bytes === undefined) return undefined
  return {
    encoding,
    sizeBytes: bytes.byteLength,
    whole: () => bytes,
    bytes: async function* () {
      yield bytes
    },
    [Symbol.dispose]: () => {},
  }
}
