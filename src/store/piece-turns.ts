/**
 * Which Worker is handed which piece, and when: late, since how long the others take is known only once they are through.
 * Shared out as they came, they left one of two Workers idle for up to a tenth of a fetch.
 *
 * All ranges of a blob go to the same Worker. Bounds no memory: what waits here has been received.
 */
import { abortable } from '../base/concurrency.ts'
import { PIECE_BYTES } from '../base/limits.ts'
import type { BlobRef } from '../blob/source.ts'
import type { Piece } from '../catalog/pieces.ts'
import { idlestOf } from './worker-lane.ts'

/** A Worker with this to do is given no more: some 25 ms, since who hands it out has to wait for a core, too. */
const AHEAD_BYTES = 10 * PIECE_BYTES
/** A small blob takes as long as so many bytes of a large one: 26 µs, and 2.2 ms for a MiB. */
const BLOB_WORK_BYTES = 12 * 1024

interface Waiting<Lane> {
  /** The only one that may have it; undefined: any. */
  readonly lane: Lane | undefined
  readonly start: (lane: Lane) => void
  readonly signal: AbortSignal
}

export class PieceTurns<Lane extends { readonly outstandingBytes: number }> {
  /** In the order in which they came. */
  #waiting: Waiting<Lane>[] = []
  /** By number of a large blob: who gathers its ranges. */
  readonly #gatherers = new Map<number, Lane>()
  /** Of the large blobs of each. */
  readonly #gatheredBytes: Map<Lane, number>
  /** Work that each was given here and has not done: what else it has to do ends without a word to us. */
  readonly #given: Map<Lane, number>

  /**
   * @param lanes at least one
   * @param blobs those of the catalog, by number
   */
  constructor(
    private readonly lanes: readonly Lane[],
    private readonly blobs: readonly BlobRef[],
  ) {
    this.#gatheredBytes = new Map(lanes.map((lane) => [lane, 0]))
    this.#given = new Map(this.#gatheredBytes)
  }

  /**
   * Have a piece done when a Worker comes to it.
   *
   * @param ask gives it to the Worker
   * @returns, @throws as `ask`
   * @throws `signal.reason`; what was begun goes on
   */
  run<Answer>(piece: Piece, ask: (lane: Lane) => Promise<Answer>, signal: AbortSignal): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>()
    const start = (lane: Lane) => {
      this.#give(lane, workOf(piece))
      ask(lane)
        .finally(() => {
          this.#give(lane, -workOf(piece))
          this.#begin()
        })
        .then(resolve, reject)
    }
    this.#waiting.push({ lane: piece.kind === 'range' ? this.#gathererOf(piece.blob) : undefined, start, signal })
    this.#begin()
    return abortable(promise, signal)
  }

  /** Whoever has to do a piece himself gets it before what anybody can do. */
  #begin(): void {
    // Mostly all have enough to do, however many wait.
    if (!this.lanes.some((lane) => this.#hasRoom(lane))) return
    this.#beginWhere(({ lane }) => lane !== undefined)
    this.#beginWhere(() => true)
  }

  #beginWhere(chosen: (waiting: Waiting<Lane>) => boolean): void {
    this.#waiting = this.#waiting.filter((waiting) => {
      if (waiting.signal.aborted) return false
      if (!chosen(waiting)) return true
      const lane = waiting.lane ?? idlestOf(this.lanes)
      if (!this.#hasRoom(lane)) return true
      waiting.start(lane)
      return false
    })
  }

  #hasRoom(lane: Lane): boolean {
    return this.#givenTo(lane) < AHEAD_BYTES
  }

  #givenTo(lane: Lane): number {
    return this.#given.get(lane) ?? 0
  }

  #give(lane: Lane, work: number): void {
    this.#given.set(lane, this.#givenTo(lane) + work)
  }

  #gathererOf(blob: number): Lane {
    const known = this.#gatherers.get(blob)
    if (known !== undefined) return known
    const bytesOf = (lane: Lane) => this.#gatheredBytes.get(lane) ?? 0
    const lane = this.lanes.reduce((least, each) => (bytesOf(each) < bytesOf(least) ? each : least))
    this.#gatherers.set(blob, lane)
    this.#gatheredBytes.set(lane, bytesOf(lane) + (this.blobs[blob]?.sizeBytes ?? 0))
    return lane
  }
}

/** What a piece weighs for a Worker, whatever its wire form. */
export function workOf(piece: Piece): number {
  return piece.bytes + (piece.kind === 'group' ? piece.blobs.length * BLOB_WORK_BYTES : 0)
}
