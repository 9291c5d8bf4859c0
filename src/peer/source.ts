/**
 * One connected member as a source of blobs.
 *
 * What is asked for in the same tick goes out as one `want`, over the peer's lane where there is one, else over its
 * session; so many blobs are under way at once, the others queue, and while the pipe is full new wants are gathered
 * until half of it is free: 10,000 small blobs cost some hundred questions. Bytes are unverified; the store that they are
 * put into compares digests.
 */
import { type Clock, deadline } from '../base/clock.ts'
import { abortable } from '../base/concurrency.ts'
import { HoloError } from '../base/errors.ts'
import { CATALOG_LANE_MS } from '../base/lane-limits.ts'
import {
  BLOB_BYTES_MAX,
  BLOB_WHOLE_BYTES_MAX,
  CATALOG_STORED_BYTES_MAX,
  PEER_BLOBS_IN_FLIGHT_MAX,
  SIGNATURE_BYTES_MAX,
  SIGNATURES_MAX,
  WANT_DIGESTS_MAX,
} from '../base/limits.ts'
import type { RateLimit } from '../base/rate-limit.ts'
import { type Digest, isSha256, type Sha256Digest } from '../blob/digest.ts'
import { gzipBytesMax } from '../blob/gzip.ts'
import type { BlobRef, BlobSource, BlobStream } from '../blob/source.ts'
import { signatureLines } from '../trust/signature-json.ts'
import type { FoundCatalog } from '../trust/verify-catalog.ts'
import { Channel } from './channel.ts'
import { Incoming, type WholeEvents } from './incoming.ts'
import type { HeldCatalog, Message } from './messages.ts'

interface Pending {
  readonly ref: BlobRef & { readonly digest: Sha256Digest }
  readonly incoming: Incoming
  /** Set once the want is out. */
  sent: { readonly channel: Channel; readonly request: number; readonly index: number } | undefined
}

export interface PeerSourceOptions {
  readonly clock: Clock
  /** As `ConnectionOptions.downloadLimit`. */
  readonly downloadLimit?: RateLimit | undefined
}

export interface PeerSourceEvents {
  /** The peer begins to owe us something. */
  onOwed(): void
  /** Blobs are about to be asked for: the time to see to a lane. */
  onWanted(): void
}

export class PeerSource implements BlobSource {
  readonly session: Channel
  /** Where blobs are asked for, if there is one. */
  lane: Channel | undefined
  /** While a lane is on its way large blobs wait for it, unless nothing else is under way. */
  laneIsOpening = false
  #pending: Pending[] = []
  #flushing = false
  #ended: HoloError | undefined
  /** Resolved at the next `advance`. */
  #advanced = Promise.withResolvers<void>()

  /**
   * @param name in every error and log line: `peer k5w3-8xqh-9m2p (10.0.0.7:49738)`
   * @param send queues one message on the session
   */
  constructor(
    readonly name: string,
    send: (message: Message) => void,
    private readonly options: PeerSourceOptions,
    private readonly events: PeerSourceEvents,
  ) {
    this.session = new Channel(send)
  }

  /** Whether the peer owes us anything. */
  get isOwed(): boolean {
    return this.session.requests.isOwed || this.lane?.requests.isOwed === true
  }

  async has(digests: readonly Digest[], signal: AbortSignal): Promise<ReadonlySet<Digest>> {
    const asked = digests.filter(isSha256)
    const held = new Set<Digest>()
    for (let from = 0; from < asked.length; from += WANT_DIGESTS_MAX) {
      signal.throwIfAborted()
      if (this.#ended !== undefined) throw this.#ended
      const some = asked.slice(from, from + WANT_DIGESTS_MAX)
      const { request, answer } = this.session.requests.ask(some.length, this.options.clock.nowMs())
      this.session.send({ type: 'ask', request, digests: some })
      this.events.onOwed()
      for (const index of await abortable(answer, signal)) {
        const digest = some[index]
        if (digest !== undefined) held.add(digest)
      }
    }
    return held
  }

  async get(ref: BlobRef, signal: AbortSignal): Promise<BlobStream | undefined> {
    const { digest, sizeBytes } = ref
    if (!isSha256(digest) || sizeBytes > BLOB_BYTES_MAX) return undefined
    for (;;) {
      try {
        return await this.#getOnce({ digest, sizeBytes }, signal)
      } catch (error) {
        // Nothing of it has come: it is asked for again over the session, or over a new lane much later.
        if (!(error instanceof HoloError) || error.code !== 'lane-lost') throw error
      }
    }
  }

  /**
   * Fetch the stored form of a catalog that this peer has announced.
   *
   * @param overLane the peer takes the question on a lane, too: beside pieces over other lanes a session would starve
   * @param onBegun called when the first of it comes, with the length of all of it
   * @param onChunk called with what comes, in order
   * @returns undefined where the peer does not have it any more
   * @throws {HoloError} blame `source`, or `signal.reason`
   */
  async findCatalog(
    { name, sha256 }: HeldCatalog,
    { overLane, ...events }: { readonly overLane: boolean } & WholeEvents,
    signal: AbortSignal,
  ): Promise<Omit<FoundCatalog, 'judge'> | undefined> {
    const ask = (request: number): Message => ({ type: 'catalog', request, name })
    const bounds = { label: `Catalog ${name} of ${this.name}`, storedBytesMax: CATALOG_STORED_BYTES_MAX, ...events }
    const lane = overLane ? await this.#laneSoon(signal) : undefined
    let stored: Uint8Array | undefined
    try {
      stored = await this.#whole(ask, bounds, signal, lane)
    } catch (error) {
      if (!(error instanceof HoloError) || error.code !== 'lane-lost') throw error
      stored = await this.#whole(ask, bounds, signal)
    }
    return stored === undefined ? undefined : { name, stored, source: this.name, announced: sha256 }
  }

  /**
   * Ask who has signed a catalog; for a peer that speaks version 2.
   *
   * @returns lines that nobody has looked at; none where the peer knows of none
   * @throws {HoloError} blame `source`, or `signal.reason`
   */
  async findSignatures(catalog: Sha256Digest, signal: AbortSignal): Promise<readonly Uint8Array[]> {
    const file = await this.#whole(
      (request) => ({ type: 'signatures', request, catalog }),
      {
        label: `The signatures of catalog ${catalog} of ${this.name}`,
        storedBytesMax: SIGNATURES_MAX * SIGNATURE_BYTES_MAX,
      },
      signal,
    )
    return file === undefined ? [] : signatureLines(file)
  }

  /**
   * Fetch the piece table of a catalog.
   *
   * @param pieces of the catalog
   * @returns 32 bytes each, unverified; undefined where the peer does not have it
   * @throws {HoloError} blame `source`, or `signal.reason`
   */
  async findTable(catalog: Sha256Digest, pieces: number, signal: AbortSignal): Promise<Uint8Array | undefined> {
    const table = await this.#whole(
      (request) => ({ type: 'piece-table', request, catalog }),
      { label: `The piece table of catalog ${catalog} of ${this.name}`, storedBytesMax: pieces * 32 },
      signal,
    )
    return table?.byteLength === pieces * 32 ? table : undefined
  }

  /** The lane; where it is on its way, it is waited for a moment. */
  async #laneSoon(signal: AbortSignal): Promise<Channel | undefined> {
    const limit = deadline(CATALOG_LANE_MS, new Error('it takes too long'), signal)
    while (this.laneIsOpening && this.lane === undefined && !limit.signal.aborted) {
      await abortable(this.#advanced.promise, limit.signal).catch(() => {})
    }
    limit.clear()
    signal.throwIfAborted()
    return this.lane
  }

  /** Something that is no blob, and small enough to be kept whole. */
  async #whole(
    ask: (request: number) => Message,
    {
      label,
      storedBytesMax,
      onBegun,
      onChunk,
    }: { readonly label: string; readonly storedBytesMax: number } & Partial<WholeEvents>,
    signal: AbortSignal,
    channel: Channel = this.session,
  ): Promise<Uint8Array | undefined> {
    signal.throwIfAborted()
    if (this.#ended !== undefined) throw this.#ended
    const incoming = new Incoming((bytes) => channel.consumed(bytes), this.options.downloadLimit)
    const wanted = { incoming, sizeBytes: undefined, storedBytesMax, label }
    const request = channel.requests.open([wanted], this.options.clock.nowMs())
    channel.send(ask(request))
    this.events.onOwed()
    const abandon = () => {
      incoming.discard()
      channel.cancel(request, 0)
    }
    const onAbort = () => {
      incoming.fail(signal.reason)
      abandon()
    }
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      if ((await incoming.head) === undefined) return undefined
      onBegun?.(incoming.storedBytes ?? 0)
      const chunks: Uint8Array[] = []
      for await (const chunk of incoming.bytes(abandon)) {
        chunks.push(chunk)
        onChunk?.(chunk)
      }
      return Buffer.concat(chunks)
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  /** Something of ours has ended, or there is another way to the peer: there may be room for more. */
  advance(): void {
    this.#advanced.resolve()
    this.#advanced = Promise.withResolvers()
    this.#flushSoon()
  }

  /** The connection has ended; whatever is under way fails with `error`. */
  end(error: HoloError): void {
    this.#ended ??= error
    for (const { incoming } of this.#pending) incoming.fail(error)
    this.#pending = []
    this.session.end(error)
    this.lane?.end(error)
  }

  async #getOnce(ref: Pending['ref'], signal: AbortSignal): Promise<BlobStream | undefined> {
    signal.throwIfAborted()
    if (this.#ended !== undefined) throw this.#ended
    const incoming = new Incoming((bytes) => pending.sent?.channel.consumed(bytes), this.options.downloadLimit)
    const pending: Pending = { ref, incoming, sent: undefined }
    this.#pending.push(pending)
    this.#flushSoon()
    // Stays until the blob has ended: a reader that leaves before it read is noticed when its signal aborts.
    // One listener until the blob has ended, whether its head is waited for, its bytes, or its reader.
    const abandon = () => this.#abandon(pending)
    const onAbort = () => {
      incoming.fail(signal.reason)
      abandon()
    }
    signal.addEventListener('abort', onAbort, { once: true })
    const done = () => signal.removeEventListener('abort', onAbort)
    try {
      const encoding = await incoming.head
      if (encoding !== undefined) {
        return { source: this.name, encoding, bytes: endingWith(done, incoming.bytes(abandon)) }
      }
      done()
      return undefined
    } catch (error) {
      done()
      throw error
    }
  }

  get #openThings(): number {
    return this.session.requests.openThings + (this.lane?.requests.openThings ?? 0)
  }

  #flushSoon(): void {
    if (this.#flushing || this.#pending.length === 0) return
    if (this.#openThings > PEER_BLOBS_IN_FLIGHT_MAX / 2) return
    this.#flushing = true
    queueMicrotask(() => {
      this.#flushing = false
      this.#flush()
    })
  }

  #flush(): void {
    if (this.#ended !== undefined || this.#pending.length === 0) return
    this.events.onWanted()
    const batch = this.#nextBatch()
    if (batch.length === 0) return
    const channel = this.lane ?? this.session
    const wanted = batch.map(({ ref, incoming }) => ({
      incoming,
      sizeBytes: ref.sizeBytes,
      storedBytesMax: gzipBytesMax(ref.sizeBytes),
      label: `Blob ${ref.digest} of ${this.name}`,
    }))
    const request = channel.requests.open(wanted, this.options.clock.nowMs())
    for (const [index, pending] of batch.entries()) pending.sent = { channel, request, index }
    channel.send({ type: 'want', request, digests: batch.map(({ ref }) => ref.digest) })
    this.events.onOwed()
  }

  #nextBatch(): Pending[] {
    const room = PEER_BLOBS_IN_FLIGHT_MAX - this.#openThings
    if (!this.laneIsOpening) return this.#pending.splice(0, room)
    const batch = this.#pending.filter(({ ref }) => ref.sizeBytes <= BLOB_WHOLE_BYTES_MAX).slice(0, room)
    if (batch.length === 0 && this.#openThings === 0) return this.#pending.splice(0, 1)
    const asked = new Set(batch)
    this.#pending = this.#pending.filter((pending) => !asked.has(pending))
    return batch
  }

  #abandon(pending: Pending): void {
    pending.incoming.discard()
    if (pending.sent !== undefined) pending.sent.channel.cancel(pending.sent.request, pending.sent.index)
    else this.#pending = this.#pending.filter((each) => each !== pending)
  }
}

/** `bytes`, with `done` called when the reader is through. */
async function* endingWith(done: () => void, bytes: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* bytes
  } finally {
    done()
  }
}
