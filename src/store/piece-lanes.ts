/**
 * The Workers that read, verify and compress pieces: started at the first question, ended when there were none for a
 * while, so that a daemon that nobody asks costs nothing.
 *
 * Ranges of one blob go to the same Worker, which may have it decoded; groups to the one with the least to do.
 */
import { systemClock } from '../base/clock.ts'
import { abortable } from '../base/concurrency.ts'
import { PIECE_BYTES, SERVE_WORKERS_IDLE_MS } from '../base/limits.ts'
import type { Sha256Digest } from '../blob/digest.ts'
import type { Roots } from '../catalog/layout.ts'
import { type PackedPieces, rangeOf } from './packed-pieces.ts'
import type { PieceFound, PiecePlan, PieceQuestion, PieceReply, PieceRequest } from './piece-messages.ts'
import { idlestOf, WorkerLane } from './worker-lane.ts'

export type PieceTask = Omit<PieceQuestion, 'id' | 'kind'> & { readonly pieces: PackedPieces }

interface StartedLane {
  readonly lane: WorkerLane<PieceRequest, PieceReply>
  /** Catalogs that it was told. */
  readonly told: Set<Sha256Digest>
}

export class PieceLanes implements AsyncDisposable {
  #started: readonly StartedLane[] = []
  #ended: Error | undefined
  /** Ends the wait for idleness. */
  #idle = new AbortController()

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
    this.#idle.abort(new Error('there is work'))
    const { lane, told } = this.#laneOf(pieces, question.piece)
    if (!told.has(question.catalog)) lane.tell({ kind: 'catalog', catalog: question.catalog, pieces })
    told.add(question.catalog)
    const answered = lane.ask({ kind: 'piece', id: lane.nextId(), ...question }, PIECE_BYTES, [])
    const done = () => this.#endWhenIdle()
    answered.then(done, done)
    return (await abortable(answered, signal)).found
  }

  /** This catalog is not asked for any more, or will be told anew. */
  forget(catalog: Sha256Digest): void {
    for (const { lane, told } of this.#started) {
      if (told.delete(catalog)) lane.tell({ kind: 'forget', catalog })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = new Error('the Workers that serve pieces were ended')
    this.#idle.abort(this.#ended)
    await this.#end()
  }

  #laneOf(pieces: PackedPieces, piece: number): StartedLane {
    if (this.#started.length === 0 || this.#started.some(({ lane }) => lane.hasEnded)) {
      const plan: PiecePlan = { roots: this.roots, nice: this.nice }
      this.#started = Array.from({ length: this.workers }, () => ({
        lane: new WorkerLane<PieceRequest, PieceReply>('store/piece-worker', plan, 'that serves pieces'),
        told: new Set<Sha256Digest>(),
      }))
    }
    const range = rangeOf(pieces, piece)
    const lanes = this.#started.map(({ lane }) => lane)
    const lane = range === undefined ? idlestOf(lanes) : lanes[range.blob % lanes.length]
    const started = this.#started.find((each) => each.lane === lane)
    if (started === undefined) throw new Error('there is no Worker that serves pieces')
    return started
  }

  #endWhenIdle(): void {
    if (this.#started.some(({ lane }) => lane.outstandingBytes > 0)) return
    this.#idle.abort(new Error('another wait begins'))
    const idle = new AbortController()
    this.#idle = idle
    systemClock.sleep(SERVE_WORKERS_IDLE_MS, idle.signal).then(
      () => (idle.signal.aborted ? undefined : this.#end()),
      // Somebody asked, or all has ended.
      () => {},
    )
  }

  async #end(): Promise<void> {
    const ended = this.#started
    this.#started = []
    await Promise.all(ended.map(({ lane }) => lane[Symbol.asyncDispose]()))
  }
}
