/**
 * The thin edge to HTTP: one request, with everything that keeps a bad server from hurting.
 *
 * A host that is gone is told within the connect time-out; one that is silent, or trickles, within the silence
 * time-out; what can pass is tried again. Bodies come as they are on the wire: nothing is decoded here. Credentials go
 * to the origin that they are for and, over redirects, nowhere else; no message bears more of a URL than its path.
 */
import { type Clock, deadline, repeat } from '../base/clock.ts'
import { messageOf, systemCodeOf } from '../base/errors.ts'
import { roomLogger } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import type { RateLimit } from '../base/rate-limit.ts'
import { REDIRECTS_MAX, SUBSTITUTER_SLOW_BYTES, UPLOAD_BYTES_PER_SECOND_MIN } from '../base/substituter-limits.ts'
import { dial } from './dial.ts'
import { type RequestFailure, retryAfterMs, retryPauseMs } from './retry-rule.ts'
import { SourceFailedError } from './source-failed-error.ts'

const log = roomLogger('substituters')
/** A host that answered this recently is not dialled again first. */
const DIALLED_MS = 5_000

export interface WebPatience {
  readonly connectTimeoutMs: number
  /** How long the server may be silent. */
  readonly timeoutMs: number
  /** Attempts after the first. */
  readonly retries: number
}

export interface WebEdgeOptions {
  /** Of the source, as in every message. */
  readonly name: string
  readonly patience: WebPatience
  readonly rate: RateLimit
  /** Of what comes from here and from other sources together; undefined: no bound. */
  readonly wanLimit: RateLimit | undefined
  /** False where a proxy stands between. */
  readonly dialFirst: boolean
  readonly clock: Clock
  readonly random: Random
}

export interface WebRequest {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST'
  readonly url: URL
  readonly headers?: Readonly<Record<string, string>>
  /** Sent to the origin of `url` only. */
  readonly secretHeaders?: Readonly<Record<string, string>>
  readonly body?: Uint8Array | string | Blob
  /** What is asked for, in messages: `catalog/…`. */
  readonly what: string
}

export interface WebAnswer {
  readonly status: number
  readonly headers: Headers
  /** May be read once. @throws {SourceFailedError} while iterating: it broke off, or stalled */
  bytes(): AsyncGenerator<Uint8Array>
  /** The body is not wanted. */
  discard(): void
}

export class WebEdge {
  #answeredMs = Number.NEGATIVE_INFINITY

  constructor(private readonly options: WebEdgeOptions) {}

  /**
   * @returns any answer that another attempt would not change: 2xx, and 4xx for the caller to judge
   * @throws {SourceFailedError} no connection, silence, 408, 429, 5xx, after the last attempt; `signal.reason`
   */
  async request(request: WebRequest, signal: AbortSignal): Promise<WebAnswer> {
    const { patience, random, clock, rate } = this.options
    if (request.body !== undefined) await rate.pass(lengthOf(request.body), signal)
    for (let attempt = 0; ; attempt++) {
      signal.throwIfAborted()
      const answered = await this.#attempt(request, signal)
      if ('headers' in answered) return answered
      const pauseMs = answered.final ? undefined : retryPauseMs(answered.failure, attempt, patience.retries, random)
      if (pauseMs === undefined) throw answered.error
      log.debug`${answered.error.message}; once more in ${Math.round(pauseMs)} ms`
      await clock.sleep(pauseMs, signal)
    }
  }

  async #attempt(
    request: WebRequest,
    signal: AbortSignal,
  ): Promise<WebAnswer | { failure: RequestFailure; error: SourceFailedError; final: boolean }> {
    const { name, clock } = this.options
    try {
      await this.#dial(request.url, signal)
      const answer = await this.#follow(request, signal)
      this.#answeredMs = clock.nowMs()
      const { status, headers } = answer
      if (status !== 408 && status !== 429 && status < 500) return answer
      answer.discard()
      const askedMs = retryAfterMs(headers.get('retry-after'), headers.get('date'), clock.wallMs())
      const error = new SourceFailedError(`${name} answered with status ${status} for ${request.what}`, {
        code: 'source-status',
        retryAfterMs: askedMs,
      })
      return { failure: { kind: 'status', status, retryAfterMs: askedMs }, error, final: false }
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof SourceFailedError) {
        return { failure: { kind: 'connection' }, error, final: error.code !== 'source-unreachable' }
      }
      throw error
    }
  }

  async #dial(url: URL, signal: AbortSignal): Promise<void> {
    const { clock, dialFirst, patience, name } = this.options
    if (!dialFirst || clock.nowMs() - this.#answeredMs < DIALLED_MS) return
    const host = url.hostname.replace(/^\[|\]$/g, '')
    const port = Number(url.port) || (url.protocol === 'https:' ? 443 : 80)
    try {
      await dial(host, port, patience.connectTimeoutMs, signal)
    } catch (cause) {
      signal.throwIfAborted()
      const refused = systemCodeOf(cause) === 'ECONNREFUSED'
      throw new SourceFailedError(`${name} cannot be reached: ${messageOf(cause)}`, {
        // A refused connection may be a restart; silence has cost enough.
        code: refused ? 'source-unreachable' : 'source-silent',
        cause,
      })
    }
  }

  async #follow(request: WebRequest, signal: AbortSignal): Promise<WebAnswer> {
    const { name } = this.options
    let { url } = request
    for (let hop = 0; ; hop++) {
      const answer = await this.#once({ ...request, url }, url.origin === request.url.origin, signal)
      const location = answer.headers.get('location')
      const moved = [301, 302, 303, 307, 308].includes(answer.status) && location !== null
      if (!moved || (request.method !== 'GET' && request.method !== 'HEAD')) return answer
      answer.discard()
      const next = URL.parse(location, url.href)
      const refused =
        next === null || !/^https?:$/.test(next.protocol)
          ? 'to no http or https URL'
          : url.protocol === 'https:' && next.protocol === 'http:'
            ? 'from https to http'
            : hop >= REDIRECTS_MAX
              ? `more than ${REDIRECTS_MAX} times`
              : undefined
      if (refused !== undefined || next === null)
        throw new SourceFailedError(`${name} redirects ${refused} for ${request.what}`, { code: 'source-redirect' })
      url = next
    }
  }

  async #once(request: WebRequest, sameOrigin: boolean, signal: AbortSignal): Promise<WebAnswer> {
    const { name, patience } = this.options
    const { method, url, headers, secretHeaders, body, what } = request
    const stop = new AbortController()
    const uploadMs = body === undefined ? 0 : (lengthOf(body) * 1000) / UPLOAD_BYTES_PER_SECOND_MIN
    const answerMs = patience.timeoutMs + Math.ceil(uploadMs)
    const limit = deadline(answerMs, new Error(`no answer within ${answerMs} ms`), signal)
    let response: Response
    try {
      response = await fetch(url.href, {
        method,
        headers: { 'accept-encoding': 'identity', ...headers, ...(sameOrigin ? secretHeaders : {}) },
        redirect: 'manual',
        decompress: false,
        signal: AbortSignal.any([limit.signal, stop.signal]),
        ...(body === undefined ? {} : { body }),
      } as RequestInit)
    } catch (cause) {
      signal.throwIfAborted()
      const silent = limit.signal.aborted
      throw new SourceFailedError(
        silent
          ? `${name} did not answer within ${answerMs} ms, asked for ${what}`
          : `${name} cannot be reached for ${what}: ${plain(cause)}`,
        { code: silent ? 'source-silent' : 'source-unreachable', cause },
      )
    } finally {
      limit.clear()
    }
    return {
      status: response.status,
      headers: response.headers,
      bytes: () => this.#body(response, stop, what, signal),
      discard: () => stop.abort(new Error('not wanted')),
    }
  }

  /** The body, with a watch on how much comes while we wait for it. */
  async *#body(
    response: Response,
    stop: AbortController,
    what: string,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    const { name, patience, clock, rate, wanLimit } = this.options
    const reader = response.body?.getReader()
    if (reader === undefined) return
    let bytes = 0
    let waitedMs = 0
    let waitsSinceMs: number | undefined
    let stalled = false
    const lost = Promise.withResolvers<never>()
    lost.promise.catch(() => {})
    const look = () => {
      const waitingMs = waitsSinceMs === undefined ? 0 : clock.nowMs() - waitsSinceMs
      if (waitedMs + waitingMs < patience.timeoutMs) return
      if (bytes < SUBSTITUTER_SLOW_BYTES) {
        stalled = true
        lost.reject(new Error('stalled'))
      }
      bytes = 0
      waitedMs = -waitingMs
    }
    const unwatch = repeat(Math.max(50, patience.timeoutMs / 4), look)
    const onAbort = () => lost.reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      for (;;) {
        signal.throwIfAborted()
        waitsSinceMs = clock.nowMs()
        const { done, value } = await Promise.race([reader.read(), lost.promise])
        waitedMs += clock.nowMs() - waitsSinceMs
        waitsSinceMs = undefined
        if (done) return
        bytes += value.byteLength
        await rate.pass(value.byteLength, signal)
        await wanLimit?.pass(value.byteLength, signal)
        yield value
      }
    } catch (cause) {
      signal.throwIfAborted()
      const message = stalled
        ? `${name} sent next to nothing of ${what} for ${patience.timeoutMs} ms`
        : `${name} broke off in the middle of ${what}: ${plain(cause)}`
      throw new SourceFailedError(message, { code: stalled ? 'source-stalled' : 'source-broke-off', cause })
    } finally {
      unwatch()
      signal.removeEventListener('abort', onAbort)
      stop.abort(new Error('read'))
    }
  }
}

function lengthOf(body: NonNullable<WebRequest['body']>): number {
  return typeof body === 'string' ? body.length : body instanceof Blob ? body.size : body.byteLength
}

/** What went wrong without the URL, which may be signed. */
function plain(cause: unknown): string {
  return systemCodeOf(cause) ?? messageOf(cause).replace(/\bhttps?:\/\/\S+/g, 'the URL')
}
