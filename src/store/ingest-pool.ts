/**
 * Workers that verify and write blobs, so that this never happens on the thread that runs the network.
 *
 * As a `BlobStore` it takes blobs one by one: small ones are gathered and handed over together, large ones chunk by
 * chunk. `LibraryPieceSink` gives it pieces. Notes of what was verified go to the library's, to be flushed by the
 * caller. Memory: what the callers have under way, `INGEST_AHEAD_BYTES` of each large blob, and in each Worker one
 * piece or batch, decoded.
 */
import { availableParallelism } from 'node:os'
import { nextTurn } from '../base/clock.ts'
import { abortable } from '../base/concurrency.ts'
import {
  BLOB_WHOLE_BYTES_MAX,
  INGEST_AHEAD_BYTES,
  INGEST_BATCH_BLOBS,
  INGEST_BATCH_BYTES,
  INGEST_WORKERS_MAX,
} from '../base/limits.ts'
import type { Digest, Sha256Digest } from '../blob/digest.ts'
import type { BlobRef, BlobStore, BlobStream } from '../blob/source.ts'
import { libraryDirectory } from '../catalog/layout.ts'
import { checkRef, readStored } from './ingest.ts'
import type { BatchedBlob, BlobOutcome, IngestAnswer, IngestPlan, IngestRequest } from './ingest-messages.ts'
import type { Library } from './library.ts'
import { receivedError } from './sent-error.ts'
import { removeTemporariesOf } from './temporary.ts'
import { idlestOf, WorkerLane } from './worker-lane.ts'

export type IngestLane = WorkerLane<IngestRequest, IngestAnswer>

export function ingestLane(plan: IngestPlan): IngestLane {
  return new WorkerLane('store/ingest-worker', plan, 'that verifies blobs')
}

export interface IngestPoolOptions {
  /** Default: one a core, at most `INGEST_WORKERS_MAX`. */
  readonly workers?: number
}

interface Gathered {
  readonly blob: BatchedBlob
  readonly bytes: Uint8Array
  readonly outcome: PromiseWithResolvers<BlobOutcome>
}

/** Those that were started before there was work. */
const ahead = new WeakMap<Library, IngestPool>()

export class IngestPool implements BlobStore, AsyncDisposable {
  /**
   * Start Workers for what `of` will be asked for: they need some 30 ms, in which a command looks for the environment.
   *
   * @returns ends them, unless they are in use by then; undefined where others are waiting for work already, or the library
   *   takes no blobs
   */
  static startAhead(library: Library): AsyncDisposable | undefined {
    if (ahead.has(library) || library.digestKind() !== 'sha-256') return undefined
    const pool = new IngestPool(library)
    ahead.set(library, pool)
    return {
      [Symbol.asyncDispose]: async () => {
        if (ahead.get(library) !== pool) return
        ahead.delete(library)
        await pool[Symbol.asyncDispose]()
      },
    }
  }

  /** Those that were started ahead, or new ones. @throws as the constructor */
  static of(library: Library, options: IngestPoolOptions): IngestPool {
    const started = options.workers === undefined ? ahead.get(library) : undefined
    if (started === undefined) return new IngestPool(library, options)
    ahead.delete(library)
    return started
  }

  readonly lanes: readonly IngestLane[]
  #gathered: Gathered[] = []
  #gatheredBytes = 0

  /**
   * Workers start at once.
   *
   * @throws {HoloError} blame `input`, code `library-no-compress`
   */
  constructor(
    readonly library: Library,
    { workers = Math.min(availableParallelism(), INGEST_WORKERS_MAX) }: IngestPoolOptions = {},
  ) {
    library.demandSha256()
    const { roots, compression } = library
    this.lanes = Array.from({ length: workers }, () => ingestLane({ roots, compression }))
  }

  /** The Worker with the least to do. */
  idlest(): IngestLane {
    return idlestOf(this.lanes)
  }

  async has(digest: Digest): Promise<boolean> {
    return this.library.has(digest)
  }

  /** @throws also blame `input`, as `ingestBlob`; {Error} a Worker crashed */
  async put(ref: BlobRef, stream: BlobStream, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    checkRef(ref)
    if (this.library.holds(ref.digest)) return
    if (ref.sizeBytes > BLOB_WHOLE_BYTES_MAX) return await this.#putLarge(ref, stream, signal)
    const bytes = await readStored(ref, stream, signal)
    const { encoding, source } = stream
    const { sizeBytes } = ref
    const outcome = Promise.withResolvers<BlobOutcome>()
    const blob = { digest: ref.digest as Sha256Digest, sizeBytes, encoding, source, storedBytes: bytes.byteLength }
    this.#gather({ blob, bytes, outcome })
    const { error } = await abortable(outcome.promise, signal)
    if (error !== undefined) throw receivedError(error)
  }

  #gather(gathered: Gathered): void {
    this.#gathered.push(gathered)
    this.#gatheredBytes += gathered.bytes.byteLength
    if (this.#gatheredBytes >= INGEST_BATCH_BYTES || this.#gathered.length >= INGEST_BATCH_BLOBS) this.#hand()
    else if (this.#gathered.length === 1) void nextTurn().then(() => this.#hand())
  }

  /** Hand over what was gathered. */
  #hand(): void {
    const batch = this.#gathered
    const lane = this.idlest()
    const bytes = new Uint8Array(this.#gatheredBytes)
    this.#gathered = []
    this.#gatheredBytes = 0
    if (batch.length === 0) return
    let at = 0
    for (const gathered of batch) {
      bytes.set(gathered.bytes, at)
      at += gathered.bytes.byteLength
    }
    const blobs = batch.map(({ blob }) => blob)
    lane.ask({ kind: 'batch', id: lane.nextId(), blobs, bytes }, at, [bytes.buffer]).then(
      (answer) => {
        if (answer.kind !== 'batch') return
        this.library.notes.addRecords(answer.notes)
        for (const [index, { outcome }] of batch.entries())
          outcome.resolve(answer.outcomes[index] ?? { error: undefined })
      },
      (error) => {
        for (const { outcome } of batch) outcome.reject(error)
      },
    )
  }

  async #putLarge(ref: BlobRef, stream: BlobStream, signal: AbortSignal): Promise<void> {
    const lane = this.idlest()
    const id = lane.nextId()
    const { encoding, source } = stream
    const blob = { digest: ref.digest as Sha256Digest, sizeBytes: ref.sizeBytes, encoding, source }
    const ahead: number[] = []
    let aheadBytes = 0
    let wake = () => {}
    const asked = lane.ask({ kind: 'open', id, blob }, ref.sizeBytes, [], () => {
      aheadBytes -= ahead.shift() ?? 0
      wake()
    })
    // Once it has failed, what still comes is of no use.
    let settled = false
    const watched = asked.finally(() => {
      settled = true
      wake()
    })
    watched.catch(() => {})
    try {
      for await (const chunk of stream.bytes) {
        signal.throwIfAborted()
        if (settled) break
        // The source may use its chunk again.
        const own = new Uint8Array(chunk)
        ahead.push(own.byteLength)
        aheadBytes += own.byteLength
        lane.tell({ kind: 'chunk', id, bytes: own }, [own.buffer])
        while (aheadBytes > INGEST_AHEAD_BYTES && !settled) {
          await abortable(new Promise<void>((resolve) => (wake = resolve)), signal)
        }
      }
      lane.tell({ kind: 'last', id })
      const answer = await abortable(watched, signal)
      if (answer.kind === 'blob') this.library.notes.addRecords(answer.notes)
    } catch (error) {
      lane.tell({ kind: 'drop', id })
      lane.forget(id)
      throw error
    }
  }

  /** End the Workers at once, and remove what they had begun. */
  async [Symbol.asyncDispose](): Promise<void> {
    const threads = new Set(this.lanes.map(({ threadId }) => threadId))
    await Promise.all(this.lanes.map((lane) => lane[Symbol.asyncDispose]()))
    const stopped = new Error('the Workers that verify blobs were ended')
    for (const { outcome } of this.#gathered.splice(0)) outcome.reject(stopped)
    removeTemporariesOf(libraryDirectory(this.library.roots), threads)
  }
}
