/**
 * What we have asked one peer and not got yet, and whether its answers fit.
 *
 * Every thing that was asked for ends exactly once: by its last part, or by `missing`. A peer that answers what nobody
 * asked, sends more than it said, or more than its credit, breaks the protocol. Pure but for the `Incoming` things.
 */
import { HoloError } from '../base/errors.ts'
import { BLOB_BYTES_MAX, PEER_CREDIT_BYTES } from '../base/limits.ts'
import { gzipBytesMax } from '../blob/gzip.ts'
import type { Incoming } from './incoming.ts'
import type { Cancel, Holding, Missing, Part } from './messages.ts'
import { violation } from './wire.ts'

/** One thing asked for: where it goes, and how large its decoded form is. */
export interface Wanted {
  readonly incoming: Incoming
  /** Bytes; undefined where only the stored size is known to be bounded by `storedBytesMax`. */
  readonly sizeBytes: number | undefined
  readonly storedBytesMax: number
  /** For errors: `Blob 0123… of peer k5w3-8xqh-9m2p`. */
  readonly label: string
}

interface Open extends Wanted {
  /** Bytes of the stored form that are still to come; undefined before the first part. */
  left: number | undefined
  failed: boolean
}

interface Question {
  readonly count: number
  readonly resolve: (indexes: readonly number[]) => void
  readonly reject: (error: HoloError) => void
}

export class Requests {
  #nextRequest = 0
  readonly #things = new Map<number, (Open | undefined)[]>()
  readonly #questions = new Map<number, Question>()
  #openThings = 0
  #receivable = PEER_CREDIT_BYTES
  #progressMs = 0

  /** Things under way. */
  get openThings(): number {
    return this.#openThings
  }

  /** Whether the peer owes us anything. */
  get isOwed(): boolean {
    return this.#openThings > 0 || this.#questions.size > 0
  }

  /** @returns the number of the request that asks for these, which are numbered as they stand here */
  open(wanted: readonly Wanted[], nowMs: number): number {
    const request = this.#nextRequest++
    if (!this.isOwed) this.#progressMs = nowMs
    this.#things.set(
      request,
      wanted.map((each) => ({ ...each, left: undefined, failed: false })),
    )
    this.#openThings += wanted.length
    return request
  }

  /** @returns the number of the request that asks which of `count` things the peer holds, and its answer */
  ask(count: number, nowMs: number): { request: number; answer: Promise<readonly number[]> } {
    const request = this.#nextRequest++
    if (!this.isOwed) this.#progressMs = nowMs
    const { promise, resolve, reject } = Promise.withResolvers<readonly number[]>()
    promise.catch(() => {})
    this.#questions.set(request, { count, resolve, reject })
    return { request, answer: promise }
  }

  /** The peer may send as many bytes more. */
  grant(bytes: number): void {
    this.#receivable += bytes
  }

  /** @returns what to tell the peer, undefined where it has ended already */
  cancel(request: number, index: number): Cancel | undefined {
    const thing = this.#things.get(request)?.[index]
    return thing === undefined ? undefined : { type: 'cancel', request, indexes: [index] }
  }

  /**
   * @returns a cancel where the part shows that the thing is not what was asked for
   * @throws {HoloError} `protocol-violation`
   */
  onPart(part: Part, nowMs: number): Cancel | undefined {
    const thing = this.#find(part.request, part.index)
    const bytes = part.chunk.byteLength
    this.#progressMs = nowMs
    this.#receivable -= bytes
    if (this.#receivable < 0) throw violation('more bytes than it was given credit for')
    let refused = false
    if (thing.left === undefined) {
      if (part.storedBytes === undefined) throw violation('the middle of a blob before its beginning')
      thing.left = part.storedBytes
      refused = this.#refuse(thing, part.encoding, part.storedBytes)
      if (!refused) thing.incoming.begin(part.encoding, part.storedBytes)
    } else if (part.storedBytes !== undefined) throw violation('the beginning of a blob twice')
    if (bytes > thing.left || (bytes === 0 && !part.last))
      throw violation('chunks that do not fit the size that it told')
    thing.left -= bytes
    thing.incoming.push(part.chunk)
    if (part.last) {
      if (thing.left > 0) throw violation('fewer bytes than it told')
      if (!thing.failed) thing.incoming.complete()
      this.#close(part.request, part.index)
    }
    return refused && !part.last ? { type: 'cancel', request: part.request, indexes: [part.index] } : undefined
  }

  /** @throws {HoloError} `protocol-violation` */
  onMissing({ request, reason, indexes }: Missing, nowMs: number): void {
    this.#progressMs = nowMs
    for (const index of indexes) {
      const thing = this.#find(request, index)
      if (reason === 'not-held' && thing.left === undefined) thing.incoming.miss()
      else {
        const error = new HoloError(`${thing.label} could not be read to its end there`, {
          code: 'peer-failed',
          blame: 'source',
          hint: 'look at the log of that machine: its disk may be failing',
        })
        thing.incoming.fail(error)
      }
      this.#close(request, index)
    }
  }

  /** @throws {HoloError} `protocol-violation` */
  onHolding({ request, indexes }: Holding, nowMs: number): void {
    const question = this.#questions.get(request)
    if (question === undefined) throw violation('an answer to no question of ours')
    if (indexes.some((index) => index >= question.count)) throw violation('an answer about what was not asked')
    this.#progressMs = nowMs
    this.#questions.delete(request)
    question.resolve(indexes)
  }

  /** Since when, in ms, the peer owes us something and nothing has come; the time that we made it wait does not count. */
  idleMs(nowMs: number): number {
    if (!this.isOwed || this.#receivable < PEER_CREDIT_BYTES / 16) this.#progressMs = nowMs
    return nowMs - this.#progressMs
  }

  /** The connection has ended. */
  failAll(error: HoloError): void {
    for (const things of this.#things.values()) for (const thing of things) thing?.incoming.fail(error)
    for (const question of this.#questions.values()) question.reject(error)
    this.#things.clear()
    this.#questions.clear()
    this.#openThings = 0
  }

  #find(request: number, index: number): Open {
    const thing = this.#things.get(request)?.[index]
    if (thing === undefined) throw violation(`something that nobody asked for (request ${request}, number ${index})`)
    return thing
  }

  #close(request: number, index: number): void {
    const things = this.#things.get(request)
    if (things === undefined) return
    things[index] = undefined
    this.#openThings--
    if (things.every((thing) => thing === undefined)) this.#things.delete(request)
  }

  /** A size that cannot be right ends this thing, not the connection: the catalog that told the size may be the liar. */
  #refuse(thing: Open, encoding: 'identity' | 'gzip', storedBytes: number): boolean {
    const { sizeBytes, storedBytesMax, label } = thing
    const fits =
      sizeBytes === undefined
        ? storedBytes <= storedBytesMax
        : encoding === 'identity'
          ? storedBytes === sizeBytes
          : storedBytes <= Math.min(gzipBytesMax(sizeBytes), 2 * BLOB_BYTES_MAX)
    if (fits) return false
    thing.failed = true
    const error = new HoloError(`${label} takes ${storedBytes} bytes, which cannot be right`, {
      code: 'blob-size-wrong',
      blame: 'source',
      hint: 'run `rcc holotree check` on that machine',
    })
    thing.incoming.fail(error)
    thing.incoming.discard()
    return true
  }
}
