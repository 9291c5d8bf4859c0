/**
 * What one peer has asked us over one link and we have not answered: bounded, each request number once at a time.
 */
import { REQUESTED_DIGESTS_MAX, REQUESTS_OPEN_MAX } from '../base/limits.ts'
import { violation } from './wire.ts'

export class OpenQuestions {
  /** How many things are still to be answered, by request. */
  readonly #asked = new Map<number, number>()
  #things = 0

  /** Whether anything is still to be answered. */
  get any(): boolean {
    return this.#asked.size > 0
  }

  /** @param things that `request` asks for @throws {HoloError} `protocol-violation`: beyond the bounds */
  admit(request: number, things: number): void {
    if (this.#asked.has(request)) throw violation(`request ${request} twice`)
    if (this.#asked.size >= REQUESTS_OPEN_MAX) throw violation(`more than ${REQUESTS_OPEN_MAX} questions at once`)
    if (this.#things + things > REQUESTED_DIGESTS_MAX) throw violation('questions about too many blobs at once')
    this.#asked.set(request, things)
    this.#things += things
  }

  /** We have answered `count` things of `request`. */
  answered(request: number, count: number): void {
    const left = (this.#asked.get(request) ?? 0) - count
    this.#things -= count
    if (left > 0) this.#asked.set(request, left)
    else this.#asked.delete(request)
  }
}
