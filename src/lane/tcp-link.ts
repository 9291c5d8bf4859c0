/**
 * A LaneLink over one TLS connection whose ends have agreed to talk.
 *
 * What the socket does not take is queued; `send` tells when the queue is long. A frame beyond the bound ends the link.
 * Knows nothing of tickets and certificates.
 */
import type { Socket } from 'bun'
import type { Clock } from '../base/clock.ts'
import { abortable } from '../base/concurrency.ts'
import type { Backlog, LaneLink } from '../base/lane.ts'
import { PEER_CREDIT_BYTES, SWARM_CLOSE_MS } from '../base/limits.ts'
import { giveBack, spareMemory } from '../base/spare-memory.ts'
import type { Endpoint } from './endpoint.ts'
import { FrameReader, framed } from './frame-reader.ts'
import { limitUnsent } from './limit-unsent.ts'
import { tcpBacklog } from './tcp-backlog.ts'

const NOTHING = new Uint8Array(0)
/** Frames up to this leave together at the end of a turn: each write costs a TLS record, a call and a packet. */
const SMALL_BYTES_MAX = 1024

export class TcpLink implements LaneLink, Endpoint {
  readonly closed: Promise<Error | undefined>
  readonly #resolveClosed: (error: Error | undefined) => void
  readonly #reader = new FrameReader()
  readonly #over = new AbortController()
  #listener: ((frame: Uint8Array) => void) | undefined
  /** Frames that came before somebody listened. */
  #kept: Uint8Array[] = []
  #keptBytes = 0
  /** Small frames of this turn, in order. */
  #small: Uint8Array[] = []
  /** Copies of our own, each with what of it the socket has taken. */
  #queue: { readonly bytes: Uint8Array; at: number }[] = []
  #queuedBytes = 0
  #waiters: { readonly belowBytes: number; readonly resolve: () => void }[] = []
  #ending = false
  #error: Error | undefined

  constructor(
    private readonly socket: Socket<Endpoint>,
    readonly address: string,
    private readonly queueBytes: number,
    private readonly clock: Clock,
  ) {
    const { promise, resolve } = Promise.withResolvers<Error | undefined>()
    this.closed = promise
    this.#resolveClosed = resolve
    const descriptor = this.#descriptor
    if (descriptor !== undefined) limitUnsent(descriptor)
  }

  get #descriptor(): number | undefined {
    // Bun's types do not tell of it.
    const { fd } = this.socket as Socket<Endpoint> & { readonly fd?: number }
    return fd !== undefined && fd >= 0 && !this.#over.signal.aborted ? fd : undefined
  }

  backlog(): Backlog | undefined {
    const descriptor = this.#descriptor
    return descriptor === undefined ? undefined : tcpBacklog(descriptor)
  }

  send(frame: Uint8Array, rest: Uint8Array = NOTHING): boolean {
    if (this.#ending) return true
    if (rest.byteLength === 0 && frame.byteLength <= SMALL_BYTES_MAX) {
      if (this.#small.push(framed(frame)) === 1) queueMicrotask(() => this.#flushSmall())
      return this.#queuedBytes < this.queueBytes
    }
    this.#flushSmall()
    this.#write(framed(frame, rest.byteLength))
    if (rest.byteLength > 0) this.#write(rest)
    return this.#queuedBytes < this.queueBytes
  }

  #flushSmall(): void {
    const small = this.#small.splice(0)
    if (small.length > 0) this.#write(Buffer.concat(small))
  }

  /** To the socket as far as it takes it, else into the queue. */
  #write(bytes: Uint8Array): void {
    const taken = this.#queue.length > 0 ? 0 : Math.max(0, this.socket.write(bytes))
    if (taken === bytes.byteLength) return
    // A copy: whoever sent it may free its memory now.
    const copy = spareMemory(bytes.byteLength - taken)
    copy.set(bytes.subarray(taken))
    this.#queue.push({ bytes: copy, at: 0 })
    this.#queuedBytes += bytes.byteLength - taken
  }

  drained(signal: AbortSignal): Promise<void> {
    return this.#below(this.queueBytes, signal)
  }

  emptied(signal: AbortSignal): Promise<void> {
    return this.#below(1, signal)
  }

  async #below(belowBytes: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (this.#queuedBytes < belowBytes || this.#over.signal.aborted) return
    await abortable(new Promise<void>((resolve) => this.#waiters.push({ belowBytes, resolve })), signal)
  }

  onFrame(listener: (frame: Uint8Array) => void): void {
    this.#listener = listener
    for (const frame of this.#kept.splice(0)) listener(frame)
  }

  close(): void {
    if (this.#ending) return
    this.#flushSmall()
    this.#ending = true
    if (this.#queue.length === 0) this.socket.end()
    // A remote that takes nothing, or does not close its side, must not keep ours open.
    void this.clock.sleep(SWARM_CLOSE_MS, this.#over.signal).then(
      () => this.socket.terminate(),
      () => {},
    )
  }

  destroy(): void {
    this.#flushSmall()
    this.#ending = true
    this.socket.terminate()
  }

  received(bytes: Uint8Array): void {
    try {
      this.#reader.push(bytes, (frame) => {
        if (this.#listener !== undefined) this.#listener(frame)
        else this.#keep(new Uint8Array(frame))
        return true
      })
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      this.#fail(new Error(`the peer sent ${error.message}`))
    }
  }

  writable(): void {
    for (let first = this.#queue[0]; first !== undefined; first = this.#queue[0]) {
      const rest = first.bytes.subarray(first.at)
      const taken = Math.max(0, this.socket.write(rest))
      this.#queuedBytes -= taken
      first.at += taken
      if (taken < rest.byteLength) break
      this.#queue.shift()
      // Those of many peers would pile up: nearly every chunk waits here for a while.
      giveBack(first.bytes)
    }
    this.#release()
    if (this.#ending && this.#queue.length === 0) this.socket.end()
  }

  ended(error: Error | undefined): void {
    if (this.#over.signal.aborted) return
    this.#ending = true
    this.#over.abort(new Error('the lane has closed'))
    this.#small = []
    this.#queue = []
    this.#queuedBytes = 0
    this.#release()
    this.#resolveClosed(this.#error ?? error)
  }

  #keep(frame: Uint8Array): void {
    this.#kept.push(frame)
    this.#keptBytes += frame.byteLength
    if (this.#keptBytes > PEER_CREDIT_BYTES) this.#fail(new Error('the peer sent before it was listened to'))
  }

  #fail(error: Error): void {
    this.#error ??= error
    this.destroy()
  }

  #release(): void {
    const waiters = this.#waiters
    this.#waiters = waiters.filter(({ belowBytes }) => this.#queuedBytes >= belowBytes)
    for (const { belowBytes, resolve } of waiters) if (this.#queuedBytes < belowBytes) resolve()
  }
}
