/**
 * One ingest Worker, seen from the thread that gives it work: what is asked, what is answered, and how it ends.
 *
 * A Worker that dies fails whatever it owed, and whatever is asked of it later; nothing waits for it.
 */
import { Worker } from 'node:worker_threads'
import { workerEntry } from '../base/worker-entry.ts'
import { type IngestAnswer, type IngestPlan, type IngestRequest, receivedError } from './ingest-messages.ts'

type Settled = Exclude<IngestAnswer, { kind: 'failed' | 'crashed' | 'room' }>

interface Waiting {
  readonly settle: PromiseWithResolvers<Settled>
  readonly onRoom: (() => void) | undefined
  /** What it weighs in the choice of a lane. */
  readonly bytes: number
}

export class IngestLane implements AsyncDisposable {
  /** Known to the last: a Worker that has ended tells none. */
  readonly threadId: number
  readonly #worker: Worker
  readonly #waiting = new Map<number, Waiting>()
  #ended: Error | undefined
  #next = 1
  /** Bytes that this lane has been given and has not answered for. */
  outstandingBytes = 0

  /** Starting takes some 15 ms, in which the Worker can be given work already. */
  constructor(plan: IngestPlan) {
    this.#worker = new Worker(workerEntry('store/ingest-worker'), { workerData: plan })
    this.threadId = this.#worker.threadId
    this.#worker.on('message', (answer: IngestAnswer) => this.#settle(answer))
    this.#worker.on('error', (error) => this.#end(error instanceof Error ? error : new Error(String(error))))
    this.#worker.on('exit', (status) =>
      this.#end(new Error(`a Worker that verifies blobs ended with status ${status}`)),
    )
  }

  /** An id for `ask` and the messages that belong to it. */
  nextId(): number {
    return this.#next++
  }

  /**
   * Send what is answered once.
   *
   * @param transfer buffers that belong to the Worker from now on
   * @param onRoom called for each chunk of an open blob that has been written
   * @throws {HoloError} what the Worker failed with; {Error} it crashed, or has ended
   */
  async ask(
    request: Extract<IngestRequest, { id: number }>,
    bytes: number,
    transfer: readonly ArrayBuffer[],
    onRoom?: () => void,
  ): Promise<Settled> {
    if (this.#ended !== undefined) throw this.#ended
    const settle = Promise.withResolvers<Settled>()
    this.#waiting.set(request.id, { settle, onRoom, bytes })
    this.outstandingBytes += bytes
    this.tell(request, transfer)
    return settle.promise
  }

  /** Send what is not answered. */
  tell(request: IngestRequest, transfer: readonly ArrayBuffer[] = []): void {
    this.#worker.postMessage(request, [...transfer])
  }

  /** The answer to `id` is of no use any more. */
  forget(id: number): void {
    const waiting = this.#waiting.get(id)
    if (waiting !== undefined) this.#close(id, waiting)
  }

  #settle(answer: IngestAnswer): void {
    const waiting = this.#waiting.get(answer.id)
    if (waiting === undefined) return
    if (answer.kind === 'room') {
      waiting.onRoom?.()
      return
    }
    this.#close(answer.id, waiting)
    if (answer.kind === 'failed') waiting.settle.reject(receivedError(answer.error))
    else if (answer.kind === 'crashed') {
      waiting.settle.reject(new Error(`a Worker that verifies blobs failed: ${answer.stack}`))
    } else waiting.settle.resolve(answer)
  }

  #close(id: number, { bytes }: Waiting): void {
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

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end(new Error('the Worker that verifies blobs was ended'))
    await this.#worker.terminate()
  }
}

/** The whole buffer of `bytes`, to be handed over; a view of a part of one is copied, since others may use the rest. */
export function ownBuffer(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer } = bytes
  const whole = buffer instanceof ArrayBuffer && bytes.byteLength === buffer.byteLength
  return whole ? (bytes as Uint8Array<ArrayBuffer>) : new Uint8Array(bytes)
}
