/**
 * How much of the pieces that this machine sends may be in the network at once.
 *
 * On a link that is slower than its senders what they send queues up, on the way out or at the receivers: TCP fills those
 * queues, for half a second at 10 to 25 Mbit/s. Everything waits there then, a piece that was taken back is sent
 * nevertheless, and a connection that comes later gets next to nothing. So, where most lanes tell of a queue, no more is
 * given to the system while a bound is under way over all of them, and the piece that was begun first goes on first, but
 * for one that has waited so long that its peer might take us for stalled.
 */
import { type Clock, never, nextTurn } from '../base/clock.ts'
import { abortable } from '../base/concurrency.ts'
import type { Backlog } from '../base/lane.ts'
import { PIECE_CHUNK_BYTES_MAX } from '../base/limits.ts'
import {
  UPLOAD_QUEUED_BYTES,
  UPLOAD_QUEUED_CHUNK_BYTES,
  UPLOAD_QUEUED_LOOK_MS,
  UPLOAD_QUEUED_MS,
  UPLOAD_WAIT_MS,
} from '../base/upload-limits.ts'

export class UploadGate {
  #turns = 0
  /** By turn, who has waited longest first. */
  readonly #waiting = new Map<number, { readonly sinceMs: number; readonly go: () => void }>()
  #looking = false
  #isQueued = false

  /** @param backlogs of every lane that something was sent over, as they are now */
  constructor(
    private readonly clock: Clock,
    private readonly backlogs: () => readonly Backlog[],
  ) {}

  /** The turn of a piece that is begun: the one with the least number goes on first. */
  turn(): number {
    return this.#turns++
  }

  /** Bytes to give to the system at once, as of the last `pass`. */
  get chunkBytes(): number {
    return this.#isQueued ? UPLOAD_QUEUED_CHUNK_BYTES : PIECE_CHUNK_BYTES_MAX
  }

  /** Wait until more may be sent. @throws `signal.reason` */
  async pass(turn: number, signal: AbortSignal): Promise<void> {
    if (this.#waiting.size === 0 && !this.#isFull()) return
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#waiting.set(turn, { sinceMs: this.clock.nowMs(), go: resolve })
    void this.#look()
    try {
      await abortable(promise, signal)
    } finally {
      this.#waiting.delete(turn)
    }
  }

  /** Let them through one by one, each once what the one before has sent is counted. */
  async #look(): Promise<void> {
    if (this.#looking) return
    this.#looking = true
    for (; this.#waiting.size > 0; await nextTurn()) {
      while (this.#isFull()) await this.clock.sleep(UPLOAD_QUEUED_LOOK_MS, never)
      const turn = this.#first()
      this.#waiting.get(turn)?.go()
      this.#waiting.delete(turn)
    }
    this.#looking = false
  }

  #first(): number {
    const [longest] = this.#waiting
    const isLate = longest !== undefined && this.clock.nowMs() - longest[1].sinceMs >= UPLOAD_WAIT_MS
    return isLate ? longest[0] : Math.min(...this.#waiting.keys())
  }

  #isFull(): boolean {
    const sending = this.backlogs().filter(({ bytes }) => bytes > 0)
    const queues = sending.map(({ queueMs }) => queueMs).sort((left, right) => left - right)
    // The middle one: a single slow receiver is no reason to hold back what the others are sent.
    this.#isQueued = (queues[queues.length >> 1] ?? 0) >= UPLOAD_QUEUED_MS
    return this.#isQueued && sending.reduce((sum, { bytes }) => sum + bytes, 0) >= UPLOAD_QUEUED_BYTES
  }
}
