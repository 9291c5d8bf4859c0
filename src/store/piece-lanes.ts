/**
 * The Workers that read, verify and compress pieces: each is started when those before it are busy, and all are ended when
 * there were no questions for a while, so that a daemon that nobody asks costs nothing.
 *
 * Ranges of one blob go to the same Worker, which may have it decoded; groups to the one with the least to do.
 */
import { Alarm } from '../base/alarm.ts'
import { systemClock } from '../base/clock.ts'
import { abortable } from '../base/concurrency.ts'
import { PIECE_BYTES, SERVE_WORKERS_IDLE_MS } from '../base/limits.ts'
import { adopt, spareMemory } from '../base/spare-memory.ts'
import type { Sha256Digest } from '../blob/digest.ts'
import type { Roots } from '../catalog/layout.ts'
import { contentBytes, type PackedPieces, rangeOf } from './packed-pieces.ts'
import type { PieceFound, PiecePlan, PieceQuestion, PieceReply, PieceRequest } from './piece-messages.ts'
import { WorkerLane } from './worker-lane.ts'

export type PieceTask = Omit<PieceQuestion, 'id' | 'kind' | 'memory'> & { readonly pieces: PackedPieces }

interface StartedLane {
  readonly lane: WorkerLane<PieceRequest, PieceReply>
  /** Catalogs that it was told. */
  readonly told: Set<Sha256Digest>
}

export class PieceLanes implements AsyncDisposable {
  /** By number, of which there are as many as `workers`. */
  readonly #started = new Map<number, StartedLane>()
  #ended: Error | undefined
  /** Rings when nobody has asked for long. */
  readonly #idle = new Alarm(systemClock, () => void this.#end())

  /** @param nice how much the Workers stand back behind others */
  constructor(
    private readonly roots: Roots,
    private readonly workers: number,
    private readonly nice = 0,
  ) {}

  /** @returns undefined where the piece is not here, or not right @throws {HoloError} blame `host`; `signal.reason` */
  async ask({ pieces, ...question }: PieceTask, signal: AbortSignal): Promise<PieceFound | undefined> {
    signal.throwIfAborted()
    if (this.#ended !== undefined) throw this.#ended
    this.#idle.set(Number.POSITIVE_INFINITY)
    const { lane, told } = this.#laneOf(pieces, question.piece)
    if (!told.has(question.catalog)) lane.tell({ kind: 'catalog', catalog: question.catalog, pieces })
    told.add(question.catalog)
    const { bytes, level, piece } = question
    const memory = bytes && level === undefined ? spareMemory(contentBytes(pieces, piece)) : undefined
    const moved = memory === undefined ? [] : [memory.buffer]
    const answered = lane.ask({ kind: 'piece', id: lane.nextId(), memory, ...question }, PIECE_BYTES, moved)
    const done = () => this.#endWhenIdle()
    answered.then(done, done)
    const { found } = await abortable(answered, signal)
    if (found?.bytes !== undefined) adopt(found.bytes)
    return found
  }

  /** This catalog is not asked for any more, or will be told anew. */
  forget(catalog: Sha256Digest): void {
    for (const { lane, told } of this.#started.values()) {
      if (told.delete(catalog)) lane.tell({ kind: 'forget', catalog })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = new Error('the Workers that serve pieces were ended')
    this.#idle.stop()
    await this.#end()
  }

  #laneOf(pieces: PackedPieces, piece: number): StartedLane {
    for (const { lane } of this.#started.values()) {
      if (!lane.hasEnded) continue
      this.#started.clear()
      break
    }
    const range = rangeOf(pieces, piece)
    const number = range === undefined ? this.#leastBusy() : range.blob % this.workers
    const started = this.#started.get(number) ?? this.#start()
    this.#started.set(number, started)
    return started
  }

  /** The one with the least to do; one that is not started has more to do than one that is idle. */
  #leastBusy(): number {
    let [least, leastBytes] = [0, Number.POSITIVE_INFINITY]
    for (let number = 0; number < this.workers; number++) {
      const bytes = this.#started.get(number)?.lane.outstandingBytes ?? 1
      if (bytes < leastBytes) [least, leastBytes] = [number, bytes]
    }
    return least
  }

  #start(): StartedLane {
    const plan: PiecePlan = { roots: this.roots, nice: this.nice }
    const lane = new WorkerLane<PieceRequest, PieceReply>('store/piece-worker', plan, 'that serves pieces')
    return { lane, told: new Set() }
  }

  #endWhenIdle(): void {
    for (const { lane } of this.#started.values()) if (lane.outstandingBytes > 0) return
    if (this.#ended === undefined) this.#idle.set(systemClock.nowMs() + SERVE_WORKERS_IDLE_MS)
  }

  async #end(): Promise<void> {
    const ended = [...this.#started.values()]
    this.#started.clear()
    await Promise.all(ended.map(({ lane }) => lane[Symbol.asyncDispose]()))
  }
}
