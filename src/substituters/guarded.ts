/**
 * What every substituter is asked through: it remembers misses for a while, lets a source that fails rest, and lets one
 * that was silent no longer have its turn alone. The same for every kind of source.
 */
import type { Clock } from '../base/clock.ts'
import { HoloError, messageOf } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import { NEGATIVE_MS, SOURCE_BUDGET_MS } from '../base/substituter-limits.ts'
import type { Digest } from '../blob/digest.ts'
import type { BlobRef, BlobStream } from '../blob/source.ts'
import type { CatalogName } from '../catalog/tree.ts'
import type { VerifiedCatalog } from '../trust/verify-catalog.ts'
import { afterAbandon, afterAsking, afterFailure, type BreakerState, closedBreaker, isOpen } from './breaker.ts'
import { Negatives } from './negatives.ts'
import { SourceFailedError } from './source-failed-error.ts'
import type { Delivery, OfferedCatalog, Substituter, Wanted } from './substituter.ts'

/** How a source does, for `status`. */
export interface SourceCondition {
  readonly name: string
  /** `resting`: it failed, and is not asked until `restsForMs` have passed. */
  readonly state: 'well' | 'resting'
  readonly restsForMs: number
  /** Failures in a row. */
  readonly failures: number
  /** The last one's message, also where it has recovered since. */
  readonly lastError: string | undefined
}

export class Guarded implements Substituter {
  readonly name: string
  #breaker: BreakerState = closedBreaker
  #slowUntilMs = Number.NEGATIVE_INFINITY
  #lastError: string | undefined
  readonly #negatives = new Negatives()

  constructor(
    private readonly source: Substituter,
    private readonly clock: Clock,
    private readonly random: Random,
  ) {
    this.name = source.name
  }

  /** As `AskedSource.budgetMs`. */
  budgetMs(): number {
    return this.clock.nowMs() < this.#slowUntilMs ? 0 : SOURCE_BUDGET_MS
  }

  wasSlow(): void {
    this.#slowUntilMs = this.clock.nowMs() + NEGATIVE_MS
  }

  condition(): SourceCondition {
    const nowMs = this.clock.nowMs()
    const resting = isOpen(this.#breaker, nowMs)
    return {
      name: this.name,
      state: resting ? 'resting' : 'well',
      restsForMs: resting ? Math.max(0, Math.ceil(this.#breaker.restsUntilMs - nowMs)) : 0,
      failures: this.#breaker.failures,
      lastError: this.#lastError,
    }
  }

  /** Forget every miss, and let a resting source be asked at once. */
  refresh(): void {
    this.#negatives.clear()
    this.#breaker = closedBreaker
    this.#slowUntilMs = Number.NEGATIVE_INFINITY
  }

  /** What it delivered proved wrong: it is as good as failed. */
  blame(error: HoloError): void {
    this.#fail(error)
  }

  find(name: CatalogName, signal: AbortSignal): Promise<OfferedCatalog | undefined> {
    return this.#ask(`catalog ${name}`, () => this.source.find(name, signal), signal)
  }

  has(digests: readonly Digest[], signal: AbortSignal): Promise<ReadonlySet<Digest>> {
    return this.#ask(undefined, () => this.source.has(digests, signal), signal).then((held) => held ?? new Set())
  }

  async get(ref: BlobRef, signal: AbortSignal): Promise<BlobStream | undefined> {
    const stream = await this.#ask(`blob ${ref.digest}`, () => this.source.get(ref, signal), signal)
    return stream === undefined ? undefined : { ...stream, bytes: this.#watched(stream.bytes, signal) }
  }

  async deliver(
    catalog: VerifiedCatalog,
    wanted: Wanted,
    signal: AbortSignal,
  ): Promise<AsyncGenerator<Delivery> | undefined> {
    // Whether there is a better way depends on what is wanted, so a no is not remembered.
    const deliveries = await this.#ask(undefined, () => this.source.deliver(catalog, wanted, signal), signal)
    return deliveries === undefined ? undefined : this.#watched(deliveries, signal)
  }

  async #ask<Answer>(
    thing: string | undefined,
    question: () => Promise<Answer>,
    signal: AbortSignal,
  ): Promise<Answer | undefined> {
    signal.throwIfAborted()
    const nowMs = this.clock.nowMs()
    if (thing !== undefined && this.#negatives.has(thing, nowMs)) return undefined
    if (isOpen(this.#breaker, nowMs)) throw this.#resting()
    this.#breaker = afterAsking(this.#breaker)
    try {
      const answer = await question()
      this.#breaker = closedBreaker
      if (answer === undefined && thing !== undefined) this.#negatives.add(thing, this.clock.nowMs())
      return answer
    } catch (error) {
      if (signal.aborted || !(error instanceof HoloError) || error.blame !== 'source')
        this.#breaker = afterAbandon(this.#breaker)
      else this.#fail(error)
      throw error
    }
  }

  async *#watched<Item extends Delivery | Uint8Array>(
    items: AsyncIterable<Item>,
    signal: AbortSignal,
  ): AsyncGenerator<Item> {
    let came = false
    try {
      for await (const item of items) {
        // A table is no blob yet.
        came ||= !('kind' in item) || item.kind !== 'table'
        yield item
      }
    } catch (error) {
      if (!signal.aborted && error instanceof HoloError && error.blame === 'source') {
        // A connection that is lost in the middle is asked for the rest; where nothing comes then, that is a failure.
        if (came && error.code === 'source-broke-off') this.#lastError = messageOf(error)
        else this.#fail(error)
      }
      throw error
    }
  }

  #fail(error: HoloError): void {
    if (error.code === 'source-changed') return
    this.#lastError = messageOf(error)
    const askedMs = error instanceof SourceFailedError ? (error.retryAfterMs ?? 0) : 0
    this.#breaker = afterFailure(this.#breaker, this.clock.nowMs(), this.random, askedMs)
  }

  #resting(): SourceFailedError {
    return new SourceFailedError(
      `${this.name} is not asked for now, since it has failed: ${this.#lastError ?? 'an earlier question is not answered'}`,
      { code: 'source-resting' },
    )
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.source[Symbol.asyncDispose]()
  }
}
