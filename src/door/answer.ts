/**
 * What a route of rcc's door is asked and answers, and the answers that HTTP makes from content: whole, a range of it,
 * its head, or that the client has it already (RFC 9110). Pure; sending is the affair of `serve-door.ts`.
 */
import { type ByteRange, parseByteRange } from './byte-range.ts'

export interface DoorRequest {
  readonly method: string
  /** Decoded, without a query, with single slashes. */
  readonly path: string
  /** Of a header, by its name in lower case. */
  header(name: string): string | undefined
  /** The body, as it comes; bounded in bytes and time by the door. @throws {BodyTooLong} while iterating */
  body(): AsyncIterable<Uint8Array>
}

export interface DoorAnswer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  /** Sent after the headers; none for HEAD, 204 and 304. */
  readonly body?: Uint8Array | string | AsyncIterable<Uint8Array>
  /** Length of a streamed body; undefined where that is not known ahead. */
  readonly sizeBytes?: number
}

/** @returns undefined where the path is none of its own */
export type DoorRoute = (request: DoorRequest, signal: AbortSignal) => Promise<DoorAnswer> | undefined

/** The body is longer than a request may have. */
export class BodyTooLong extends Error {
  override readonly name = 'BodyTooLong'
}

export interface Content {
  readonly type: string
  /** Strong: the same tag means the same bytes. Without quotes. */
  readonly tag: string
  readonly sizeBytes: number
  readonly headers?: Readonly<Record<string, string>>
  /** @param range within the content */
  bytes(range: ByteRange): Uint8Array | AsyncIterable<Uint8Array>
}

/** A text with its final newline, for people. */
export function textAnswer(status: number, text: string, headers: Readonly<Record<string, string>> = {}): DoorAnswer {
  return { status, headers: { 'content-type': 'text/plain; charset=utf-8', ...headers }, body: text }
}

export function methodNotAllowed(allowed: string): DoorAnswer {
  return { status: 405, headers: { allow: allowed } }
}

/** Answer with `content`, as the request's conditions and range ask. */
export function contentAnswer(
  { method, header }: Pick<DoorRequest, 'method' | 'header'>,
  content: Content,
): DoorAnswer {
  const tag = `"${content.tag}"`
  const headers = { ...content.headers, etag: tag, 'accept-ranges': 'bytes' }
  const isRead = method === 'GET' || method === 'HEAD'
  if (isRead && matches(header('if-none-match'), tag)) return { status: 304, headers }
  const condition = header('if-range')
  const asked = condition === undefined || condition === tag ? header('range') : undefined
  const { sizeBytes } = content
  // A HEAD tells of the whole.
  const range = method === 'HEAD' ? 'whole' : parseByteRange(asked, sizeBytes)
  if (range === 'unsatisfiable')
    return { status: 416, headers: { ...headers, 'content-range': `bytes */${sizeBytes}` } }
  const typed = { ...headers, 'content-type': content.type }
  if (method === 'HEAD') return { status: 200, headers: typed, sizeBytes }
  if (range === 'whole') {
    return { status: 200, headers: typed, body: content.bytes({ from: 0, end: sizeBytes }), sizeBytes }
  }
  const { from, end } = range
  const part = { ...typed, 'content-range': `bytes ${from}-${end - 1}/${sizeBytes}` }
  return { status: 206, headers: part, body: content.bytes(range), sizeBytes: end - from }
}

/** Weak comparison, which is what If-None-Match asks for. */
function matches(condition: string | undefined, tag: string): boolean {
  if (condition === undefined) return false
  return condition.split(',').some((each) => ['*', tag].includes(each.trim().replace(/^W\//, '')))
}
