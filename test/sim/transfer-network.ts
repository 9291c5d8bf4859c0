/**
 * A network of hosts, each with a link up and a link down of its own, and nothing else that is scarce.
 *
 * Bytes go in chunks: a link up serves its streams in turn, a link down in the order in which chunks arrive, and a stream
 * has so much under way at most. So flows share links about as TCP makes them, and a full link is felt as delay.
 */
import type { EventQueue } from './event-queue.ts'

/** What the slower one of two links takes in so long goes at once, within bounds: more would cost time to simulate. */
const CHUNK_MS = 5
const CHUNK_BYTES_MIN = 4 * 1024
const CHUNK_BYTES_MAX = 64 * 1024
/** What a stream has under way, in chunks. */
const WINDOW_CHUNKS = 4

export interface LinkRates {
  readonly upBytesPerSecond: number
  readonly downBytesPerSecond: number
}

/** Something on its way on a stream; what has left the sender arrives, unless the stream is closed. */
export interface Parcel {
  leftBytes: number
  readonly onChunk: (bytes: number) => void
  /** All of it has left the sender. */
  readonly onLeft: () => void
  readonly onArrived: () => void
}

interface Chunk {
  readonly parcel: Parcel | undefined
  readonly bytes: number
  readonly last: boolean
}

interface Host {
  readonly upBytesPerMs: number
  readonly downBytesPerMs: number
  /** Streams with something to send, in turn. */
  readonly ready: Stream[]
  sending: boolean
  downFreeMs: number
  sentBytes: number
}

export class Network {
  readonly #hosts: Host[] = []

  constructor(
    readonly queue: EventQueue,
    readonly latencyMs: number,
  ) {}

  /** @returns its number, from 0 */
  addHost({ upBytesPerSecond, downBytesPerSecond }: LinkRates): number {
    return (
      this.#hosts.push({
        upBytesPerMs: upBytesPerSecond / 1000,
        downBytesPerMs: downBytesPerSecond / 1000,
        ready: [],
        sending: false,
        downFreeMs: 0,
        sentBytes: 0,
      }) - 1
    )
  }

  sentBytes(host: number): number {
    return this.#host(host).sentBytes
  }

  stream(from: number, to: number): Stream {
    return new Stream(this, this.#host(from), this.#host(to))
  }

  /** A small message, which waits for nothing but the way. */
  control(from: number, bytes: number, arrived: () => void): void {
    this.#host(from).sentBytes += bytes
    this.queue.after(this.latencyMs, arrived)
  }

  #host(number: number): Host {
    const host = this.#hosts[number]
    if (host === undefined) throw new RangeError(`no host ${number}`)
    return host
  }
}

/** From one host to another, in order. */
export class Stream {
  readonly #parcels: Parcel[] = []
  readonly #chunkBytes: number
  #underWayBytes = 0
  #isReady = false
  #isClosed = false
  #isBlocked = false

  constructor(
    readonly network: Network,
    readonly from: Host,
    readonly to: Host,
  ) {
    const bytes = Math.round(CHUNK_MS * Math.min(from.upBytesPerMs, to.downBytesPerMs))
    this.#chunkBytes = Math.min(CHUNK_BYTES_MAX, Math.max(CHUNK_BYTES_MIN, bytes))
  }

  send(parcel: Parcel): void {
    this.#parcels.push(parcel)
    this.#wake()
  }

  /** Send no more of it. What is under way arrives. */
  breakOff(parcel: Parcel): void {
    const at = this.#parcels.indexOf(parcel)
    if (at >= 0) this.#parcels.splice(at, 1)
  }

  close(): void {
    this.#isClosed = true
    this.#parcels.length = 0
  }

  /** Nothing passes while it is blocked, and neither end is told. */
  block(blocked: boolean): void {
    this.#isBlocked = blocked
    this.#wake()
  }

  #wake(): void {
    const { from } = this
    if (this.#isReady || !this.#canSend()) return
    this.#isReady = true
    from.ready.push(this)
    if (!from.sending) this.network.queue.after(0, () => this.#pump())
    from.sending = true
  }

  #canSend(): boolean {
    return (
      this.#parcels.length > 0 &&
      !this.#isBlocked &&
      !this.#isClosed &&
      this.#underWayBytes < WINDOW_CHUNKS * this.#chunkBytes
    )
  }

  /** The link up of our host is free. */
  #pump(): void {
    const { from } = this
    const stream = from.ready.shift()
    if (stream === undefined) {
      from.sending = false
      return
    }
    const chunk = stream.#takeChunk()
    this.network.queue.after(chunk.bytes / from.upBytesPerMs, () => {
      stream.#onLeft(chunk)
      this.#pump()
    })
  }

  #takeChunk(): Chunk {
    this.#isReady = false
    const parcel = this.#parcels[0]
    if (parcel === undefined || !this.#canSend()) return { parcel: undefined, bytes: 0, last: false }
    const bytes = Math.min(this.#chunkBytes, parcel.leftBytes)
    parcel.leftBytes -= bytes
    const last = parcel.leftBytes === 0
    if (last) this.#parcels.shift()
    this.#underWayBytes += bytes
    this.#wake()
    return { parcel, bytes, last }
  }

  /** The chunk has left our link; it waits for those that arrived before it at the other one. */
  #onLeft({ parcel, bytes, last }: Chunk): void {
    if (parcel === undefined) return
    const { queue, latencyMs } = this.network
    const { from, to } = this
    from.sentBytes += bytes
    if (last) parcel.onLeft()
    to.downFreeMs = Math.max(to.downFreeMs, queue.nowMs + latencyMs) + bytes / to.downBytesPerMs
    queue.at(to.downFreeMs, () => {
      this.#underWayBytes -= bytes
      if (this.#isClosed) return
      parcel.onChunk(bytes)
      if (last) parcel.onArrived()
      this.#wake()
    })
  }
}
