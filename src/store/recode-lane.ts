/**
 * One Worker that recodes blobs, seen from the thread that gives it work. Decoding and hashing fill a core, so two of
 * them leave the main thread free for progress, Ctrl-C and the lock.
 */
import { Worker } from 'node:worker_threads'
import { type Blame, HoloError } from '../base/errors.ts'
import { workerEntry } from '../base/worker-entry.ts'
import type { Sha256Digest } from '../blob/digest.ts'
import type { Compression } from '../blob/gzip.ts'
import type { Roots } from '../catalog/layout.ts'
import type { Recoded } from './recode-blob.ts'

/** What a lane does with every blob. */
export interface RecodeTask {
  readonly roots: Roots
  readonly to: Compression
  /** False to find out everything and change nothing. */
  readonly write: boolean
}

export interface RecodedBlob {
  readonly digest: Sha256Digest
  readonly recoded: Recoded
}

export type RecodeRequest =
  | { readonly kind: 'batch'; readonly digests: readonly Sha256Digest[] }
  | { readonly kind: 'stop' }

/** `results` are those that were finished, whatever came after them. */
export type RecodeAnswer = { readonly results: RecodedBlob[] } & (
  | { readonly kind: 'done' }
  | { readonly kind: 'stopped' }
  /** A bug, with its stack. */
  | { readonly kind: 'crashed'; readonly stack: string }
  | {
      readonly kind: 'failed'
      readonly error: {
        readonly message: string
        readonly code: string
        readonly blame: Blame
        readonly hint: string | undefined
      }
    }
)

export class RecodeLane implements AsyncDisposable {
  readonly #worker: Worker
  #settle: ((answer: RecodeAnswer | Error) => void) | undefined
  #ended: Error | undefined

  constructor(task: RecodeTask) {
    this.#worker = new Worker(workerEntry('store/recode-worker'), { workerData: task })
    this.#worker.on('message', (answer: RecodeAnswer) => this.#settle?.(answer))
    this.#worker.on('error', (error) => this.#end(error instanceof Error ? error : new Error(String(error))))
    this.#worker.on('exit', (status) => this.#end(new Error(`a Worker of optimize ended with status ${status}`)))
  }

  #end(error: Error): void {
    this.#ended ??= error
    this.#settle?.(error)
  }

  /**
   * Recode one batch; the next one may be given once this one has settled.
   *
   * @param onDone told what was finished, also where the call then throws
   * @throws {HoloError} blame `host`, as `recodeBlob`; `signal.reason` once `signal` aborts, when the lane stands still
   */
  async recode(
    digests: readonly Sha256Digest[],
    onDone: (results: readonly RecodedBlob[]) => void,
    signal: AbortSignal,
  ): Promise<void> {
    signal.throwIfAborted()
    const stop = () => this.#post({ kind: 'stop' })
    signal.addEventListener('abort', stop, { once: true })
    try {
      const answer = await new Promise<RecodeAnswer | Error>((resolve) => {
        if (this.#ended !== undefined) return resolve(this.#ended)
        this.#settle = resolve
        this.#post({ kind: 'batch', digests })
      })
      if (answer instanceof Error) throw answer
      onDone(answer.results)
      if (answer.kind === 'stopped') signal.throwIfAborted()
      if (answer.kind === 'crashed') throw new Error(`a Worker of optimize crashed: ${answer.stack}`)
      if (answer.kind === 'failed') {
        const { message, code, blame, hint } = answer.error
        throw new HoloError(message, { code, blame, ...(hint === undefined ? {} : { hint }) })
      }
    } finally {
      this.#settle = undefined
      signal.removeEventListener('abort', stop)
    }
  }

  #post(request: RecodeRequest): void {
    this.#worker.postMessage(request)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker.terminate()
  }
}
