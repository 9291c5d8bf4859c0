/**
 * One Worker, seen from the thread that gives it work: what is asked, what is answered, and how it ends.
 *
 * Each question is answered once, by its number, in whatever order. A Worker that dies fails whatever it owed, and
 * whatever is asked of it later; nothing waits for it. Knows nothing of what the work is.
 */
import { Worker } from 'node:worker_threads'
import { deadline, never } from '../base/clock.ts'
import { abortable } from '../base/concurrency.ts'
import { HoloError } from '../base/errors.ts'
import { WORKER_END_MS } from '../base/limits.ts'
import { hasWholeBuffer } from '../base/spare-memory.ts'
import { type WorkerName, workerEntry } from '../base/worker-entry.ts'
import { receivedError, type SentError, sentError } from './sent-error.ts'

/** What any Worker may answer to a question; all but `room` end it. */
export type LaneFailure = { readonly id: number } & (
  | { readonly kind: 'failed'; readonly error: SentError }
  /** A bug, with its stack. */
  | { readonly kind: 'crashed'; readonly stack: string }
)

/** What every Worker is told last: to begin nothing more, and to say when it has closed its files. */
export interface LaneEnd {
  readonly kind: 'end'
}

/** The answer to that. */
export interface LaneEnded {
  readonly id: 0
  readonly kind: 'ended'
}

/** A step towards the answer was made, and there is room for another. */
export interface LaneRoom {
  readonly id: number
  readonly kind: 'room'
}

interface Waiting<Answer> {
  readonly settle: PromiseWithResolvers<Answer>
  readonly onRoom: (() => void) | undefined
  /** What it weighs in the choice of a lane. */
  readonly bytes: number
}

export class WorkerLane<Request, Answer extends { readonly id: number }> implements AsyncDisposable {
  /** Known to the last: a Worker that has ended tells none. */
  readonly threadId: number
  readonly #worker: Worker
  readonly #waiting = new Map<number, Waiting<Answer>>()
  #ended: Error | undefined
  /** Fulfilled once the Worker has closed its files, or is no more. */
  readonly #quiet = Promise.withResolvers<void>()
  #next = 1
  /** Bytes that this lane has been given, or is to make, and has not answered for. */
  outstandingBytes = 0

  /**
   * Starting takes some 15 ms, in which the Worker can be given work already.
   *
   * @param purpose for errors: `that verifies blobs`
   */
  constructor(
    name: WorkerName,
    workerData: unknown,
    private readonly purpose: string,
  ) {
    this.#worker = new Worker(workerEntry(name), { workerData })
    this.threadId = this.#worker.threadId
    this.#worker.on('message', (answer: Answer | LaneFailure | LaneRoom | LaneEnded) => {
      if (isEnded(answer)) this.#quiet.resolve()
      else this.#settle(answer)
    })
    this.#worker.on('error', (error) => this.#end(error instanceof Error ? error : new Error(String(error))))
    this.#worker.on('exit', (status) => {
      this.#quiet.resolve()
      this.#end(new Error(`the Worker ${purpose} ended with status ${status}`))
    })
  }

  /** It has crashed, or was ended: whatever is asked fails. */
  get hasEnded(): boolean {
    return this.#ended !== undefined
  }

  /** A number for `ask` and the messages that belong to it. */
  nextId(): number {
    return this.#next++
  }

  /**
   * Send what is answered once.
   *
   * @param bytes what it weighs in `outstandingBytes`
   * @param transfer buffers that belong to the Worker from now on
   * @param onRoom called for each `room`
   * @throws {HoloError} what the Worker failed with; {Error} it crashed, or has ended
   */
  async ask(
    request: Request & { readonly id: number },
    bytes: number,
    transfer: readonly ArrayBuffer[],
    onRoom?: () => void,
  ): Promise<Answer> {
    if (this.#ended !== undefined) throw this.#ended
    const settle = Promise.withResolvers<Answer>()
    this.#waiting.set(request.id, { settle, onRoom, bytes })
    this.outstandingBytes += bytes
    this.tell(request, transfer)
    return settle.promise
  }

  /** Send what is not answered. */
  tell(request: Request, transfer: readonly ArrayBuffer[] = []): void {
    this.#worker.postMessage(request, [...transfer])
  }

  /** The answer to `id` is of no use any more. */
  forget(id: number): void {
    const waiting = this.#waiting.get(id)
    if (waiting !== undefined) this.#close(id, waiting)
  }

  #settle(answer: Answer | LaneFailure | LaneRoom): void {
    const waiting = this.#waiting.get(answer.id)
    if (waiting === undefined) return
    if (isRoom(answer)) {
      waiting.onRoom?.()
      return
    }
    this.#close(answer.id, waiting)
    if (isFailure(answer)) waiting.settle.reject(this.#errorOf(answer))
    else waiting.settle.resolve(answer)
  }

  #errorOf(failure: LaneFailure): Error {
    if (failure.kind === 'failed') return receivedError(failure.error)
    return new Error(`the Worker ${this.purpose} crashed: ${failure.stack}`)
  }

  #close(id: number, { bytes }: Waiting<Answer>): void {
    this.#waiting.delete(id)
    this.outstandingBytes -= bytes
  }

  #end(error: Error): void {
    this.#ended ??= error
    for (const [id, waiting] of [...this.#waiting]) {
      this.#close(id, waiting)
      waiting.settle.reject(error)
    }
  }

  /**
   * Whoever waits fails at once. What the Worker has begun comes to its end, if that is soon: files that are open when
   * a Worker is cut off stay open as long as the process lives.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#end(new Error(`the Worker ${this.purpose} was ended`))
    this.#worker.postMessage({ kind: 'end' } satisfies LaneEnd)
    const limit = deadline(WORKER_END_MS, new Error('it takes too long'), never)
    await abortable(this.#quiet.promise, limit.signal).catch(() => {})
    limit.clear()
    await this.#worker.terminate()
  }
}

function isEnded(answer: { readonly id: number }): answer is LaneEnded {
  return 'kind' in answer && answer.kind === 'ended'
}

function isRoom(answer: { readonly id: number }): answer is LaneRoom {
  return 'kind' in answer && answer.kind === 'room'
}

function isFailure(answer: { readonly id: number }): answer is LaneFailure {
  return 'kind' in answer && (answer.kind === 'failed' || answer.kind === 'crashed')
}

/** The lane with the least to do. @param lanes at least one */
export function idlestOf<Lane extends { readonly outstandingBytes: number }>(lanes: readonly Lane[]): Lane {
  return lanes.reduce((least, lane) => (lane.outstandingBytes < least.outstandingBytes ? lane : least))
}

/** How a Worker tells that `thrown` stood in the way of an answer. */
export function laneFailure(id: number, thrown: unknown): LaneFailure {
  if (thrown instanceof HoloError) return { kind: 'failed', id, error: sentError(thrown) }
  return { kind: 'crashed', id, stack: thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown) }
}

/** `bytes`, whose buffer can be handed over; a view of a part of one is copied, since others may use the rest. */
export function ownBuffer(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return hasWholeBuffer(bytes) ? bytes : new Uint8Array(bytes)
}
