/**
 * One way to a peer for our wishes, its session or a lane: what was asked over it, and the credit given back on it.
 */
import type { HoloError } from '../base/errors.ts'
import { PEER_CREDIT_BYTES } from '../base/limits.ts'
import type { Message, Missing, Parts } from './messages.ts'
import { Requests } from './requests.ts'

export class Channel {
  readonly requests = new Requests()
  #consumedBytes = 0
  #over = false

  /** @param queue takes one message for sending */
  constructor(private readonly queue: (message: Message) => void) {}

  /** Says nothing once it has ended. */
  send(message: Message): void {
    if (!this.#over) this.queue(message)
  }

  /** What answers our wishes. @throws {HoloError} `protocol-violation` */
  take(message: Parts | Missing, nowMs: number): void {
    if (message.type === 'missing') {
      this.requests.onMissing(message, nowMs)
      return
    }
    for (const part of message.parts) {
      const cancel = this.requests.onPart(part, nowMs)
      if (cancel !== undefined) this.send(cancel)
    }
  }

  cancel(request: number, index: number): void {
    const cancel = this.requests.cancel(request, index)
    if (cancel !== undefined) this.send(cancel)
  }

  /** So many bytes need no memory any more. Credit goes back in quarters, so that it costs few frames. */
  consumed(bytes: number): void {
    this.#consumedBytes += bytes
    if (this.#consumedBytes < PEER_CREDIT_BYTES / 4 || this.#over) return
    const given = this.#consumedBytes
    this.#consumedBytes = 0
    this.requests.grant(given)
    this.send({ type: 'credit', bytes: given })
  }

  /** Whatever is under way fails with `error`. */
  end(error: HoloError): void {
    this.#over = true
    this.requests.failAll(error)
  }
}
