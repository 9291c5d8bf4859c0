/**
 * The receiving half of a stream: puts packets in order, hands their payload on, and says how much more may come.
 *
 * Bounded: a window of {@link RECEIVE_WINDOW_BYTES} for what is unread, and {@link HELD_BYTES_MAX} for what is out of
 * order; a remote that ignores that loses packets. Sends nothing itself.
 */
import { FLAG_END } from './codec.ts'
import { ReceiveWindow } from './receive-window.ts'

/** The window that we offer, as the native implementation does. It bounds what is under way, not what waits at holes. */
export const RECEIVE_WINDOW_BYTES = 4 * 1024 * 1024
/** Three windows: so many round trips pass on a full path until a packet whose retransmission was lost, too, has come. */
export const HELD_BYTES_MAX = 3 * RECEIVE_WINDOW_BYTES

/** Where the payload goes. Any of these may end the stream. */
export interface InboundEvents {
  /** In order, each byte once; the buffer is the receiver's to keep. */
  onData(payload: Uint8Array): void
  onEnd(): void
  /** Bytes handed on by `onData` that nobody has read yet. */
  unreadBytes(): number
}

export class Inbound {
  readonly packets = new ReceiveWindow(HELD_BYTES_MAX)
  /** The remote's END has come, and all before it. */
  ended = false
  /** Nothing is taken any more. */
  closed = false
  readonly #events: InboundEvents
  #offeredBytes = RECEIVE_WINDOW_BYTES

  constructor(events: InboundEvents) {
    this.#events = events
  }

  /** What to write into a header: the sequence number that is due next. */
  get expected(): number {
    return this.packets.ack
  }

  /** What to write into a header: bytes that we are willing to take. */
  offer(): number {
    const free = RECEIVE_WINDOW_BYTES - this.#events.unreadBytes()
    this.#offeredBytes = Math.max(0, free)
    return this.#offeredBytes
  }

  /** Whether the remote may be waiting to hear that the window has opened again. */
  get shouldTell(): boolean {
    if (this.#offeredBytes > RECEIVE_WINDOW_BYTES / 4) return false
    return this.offer() >= RECEIVE_WINDOW_BYTES / 2
  }

  /** Take a packet with DATA or END whose sequence number is not older than what is expected. */
  take(seq: number, flags: number, payload: Uint8Array): void {
    if (this.ended) return
    if (seq !== this.packets.ack) {
      this.packets.hold(seq, { flags, payload })
      return
    }
    // A remote that keeps to the window never comes here with so much unread.
    if (this.#events.unreadBytes() > 2 * RECEIVE_WINDOW_BYTES) return
    this.packets.advance()
    this.#deliver(flags, payload)
    while (!this.closed && !this.ended) {
      const arrival = this.packets.takeNext()
      if (arrival === undefined) break
      this.#deliver(arrival.flags, arrival.payload)
    }
  }

  close(): void {
    this.closed = true
    this.packets.clear()
  }

  #deliver(flags: number, payload: Uint8Array): void {
    if (payload.byteLength > 0) this.#events.onData(payload)
    if ((flags & FLAG_END) === 0 || this.closed) return
    this.ended = true
    this.packets.clear()
    this.#events.onEnd()
  }
}
