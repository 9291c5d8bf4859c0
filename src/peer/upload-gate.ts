/**
 * How much of the pieces that this machine sends may be in the network at once.
 *
 * On a link that is slower than its senders what they send queues up, on the way out or at the receivers: TCP fills those
 * queues, for half a second at 10 to 25 Mbit/s. Everything waits there then, a piece that was taken back is sent
 * nevertheless, and a connection that comes later gets next to nothing. So, where most lanes tell of a queue, no more is
 * given to the system while a bound is under way over all of them, and the piece that was begun first goes on first, but
 * for one that has waited so long that its peer might take us for stalled. What is queued at a receiver, whose lane is
 * slower than others for that, is bounded for itself: else all would be under way to the few that are sent most at the
 * moment, and other receivers would run dry.
 */
import { type Clock, never, nextTurn } from '../base/clock.ts'
import { abortable } from '../base/concurrency.ts'
import type { Backlog } from '../base/lane.ts'
import { PIECE_CHUNK_BYTES_MAX } from '../base/limits.ts'
import {
  UPLOAD_CLOGGED_BYTES,
  UPLOAD_CLOGGED_MS,
  UPLOAD_PAUSE_MS,
  UPLOAD_QUEUED_BYTES,
  UPLOAD_QUEUED_CHUNK_BYTES,
  UPLOAD_QUEUED_LOOK_MS,
  UPLOAD_QUEUED_MS,
  UPLOAD_UNKNOWN_BYTES,
  UPLOAD_UNKNOWN_LOOK_MS,
  UPLOAD_UNKNOWN_QUEUED_BYTES,
  UPLOAD_WAIT_MS,
} from '../base/upload-limits.ts'

/** What goes on in the order of its number. */
export interface Turn {
  readonly number: number
  /** Where it is sent. */
  readonly backlog: () => Backlog | undefined
}

export class UploadGate {
  #turns = 0
  /** Who has waited longest first. */
  readonly #waiting = new Map<Turn, { readonly sinceMs: number; readonly go: () => void }>()
  #looking = false
  #isQueued = false
  /** Of the lane that is quickest: what others have more of is queued at their receivers. */
  #leastQueueMs = 0
  /** Since the last pause, and when something was under way last. */
  #sentBytes = 0
  #busyMs = Number.NEGATIVE_INFINITY

  /** @param backlogs of every lane that something was sent over, as they are now */
  constructor(
    private readonly clock: Clock,
    private readonly backlogs: () => readonly Backlog[],
  ) {}

  /** The turn of a piece that is begun. @param backlog of the lane that it goes over, where that tells */
  turn(backlog: () => Backlog | undefined): Turn {
    return { number: this.#turns++, backlog }
  }

  /** Bytes to give to the system at once, as of the last `pass`. */
  get chunkBytes(): number {
    return this.#isQueued ? UPLOAD_QUEUED_CHUNK_BYTES : PIECE_CHUNK_BYTES_MAX
  }

  /** Wait until more may be sent. @throws `signal.reason` */
  async pass(turn: Turn, signal: AbortSignal): Promise<void> {
    if (this.#waiting.size > 0 || this.#isFull() || this.#isClogged(turn)) await this.#wait(turn, signal)
    this.#sentBytes += this.chunkBytes
  }

  async #wait(turn: Turn, signal: AbortSignal): Promise<void> {
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
      const turn = this.#isFull() ? undefined : this.#first()
      if (turn === undefined) {
        await this.clock.sleep(this.#isUnknown ? UPLOAD_UNKNOWN_LOOK_MS : UPLOAD_QUEUED_LOOK_MS, never)
      } else {
        this.#waiting.get(turn)?.go()
        this.#waiting.delete(turn)
      }
    }
    this.#looking = false
  }

  /** @returns undefined where all lanes have enough */
  #first(): Turn | undefined {
    let first: Turn | undefined
    for (const [turn, { sinceMs }] of this.#waiting) {
      if (this.#isClogged(turn)) continue
      if (first === undefined && this.clock.nowMs() - sinceMs >= UPLOAD_WAIT_MS) return turn
      if (first === undefined || turn.number < first.number) first = turn
    }
    return first
  }

  #isClogged({ backlog }: Turn): boolean {
    const { bytes, queueMs } = (this.#isQueued ? backlog() : undefined) ?? { bytes: 0, queueMs: 0 }
    return bytes >= UPLOAD_CLOGGED_BYTES && queueMs - this.#leastQueueMs >= UPLOAD_CLOGGED_MS
  }

  /** Whether too little has been sent for lanes to tell of a queue. */
  get #isUnknown(): boolean {
    return this.#sentBytes < UPLOAD_UNKNOWN_BYTES
  }

  #isFull(): boolean {
    // Asked for every chunk of every piece, so without a list for each step.
    const queues: number[] = []
    let underWay = 0
    for (const { bytes, queueMs } of this.backlogs()) {
      if (bytes === 0) continue
      underWay += bytes
      queues.push(queueMs)
    }
    const nowMs = this.clock.nowMs()
    if (nowMs - this.#busyMs > UPLOAD_PAUSE_MS) this.#sentBytes = 0
    if (queues.length > 0) this.#busyMs = nowMs
    if (queues.length > 1) queues.sort((left, right) => left - right)
    this.#leastQueueMs = queues[0] ?? 0
    // The middle one: a single slow receiver is no reason to hold back what the others are sent.
    const isQueued = (queues[queues.length >> 1] ?? 0) >= UPLOAD_QUEUED_MS
    const isBeginning = queues.length > 1 && this.#isUnknown
    this.#isQueued = isQueued || isBeginning
    const most = isBeginning ? UPLOAD_UNKNOWN_QUEUED_BYTES : UPLOAD_QUEUED_BYTES
    return this.#isQueued && underWay >= most
  }
}
