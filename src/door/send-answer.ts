/** Writes one answer to its connection: at the pace of the client, who has to keep one. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { nextTurn } from '../base/clock.ts'
import { abortable } from '../base/concurrency.ts'
import { CHUNK_BYTES } from '../base/limits.ts'
import type { DoorAnswer } from './answer.ts'
import type { Connection } from './connections.ts'

/**
 * @returns once all of it has been handed to the system
 * @throws what the body throws: then the client has got a part, and the connection has to be cut
 * @throws `signal.reason` once `signal` aborts
 */
export async function sendAnswer(
  message: IncomingMessage,
  response: ServerResponse,
  { status, headers, body, sizeBytes }: DoorAnswer,
  connection: Connection,
  signal: AbortSignal,
): Promise<void> {
  response.statusCode = status
  response.setHeader('x-content-type-options', 'nosniff')
  for (const [name, value] of Object.entries(headers ?? {})) response.setHeader(name, value)
  // What the client still sends is not wanted: the connection is of no use after that.
  if (!message.complete) response.setHeader('connection', 'close')
  connection.expect('stallMs')
  if (body === undefined) {
    // A HEAD does not tell a length that is not known ahead.
    const isUnknown = message.method === 'HEAD' && sizeBytes === undefined && status === 200
    if (status !== 304 && !isUnknown) response.setHeader('content-length', sizeBytes ?? 0)
  } else {
    const bytes = typeof body === 'string' ? Buffer.from(body) : body
    const length = bytes instanceof Uint8Array ? bytes.byteLength : sizeBytes
    if (length !== undefined) response.setHeader('content-length', length)
    for await (const chunk of bytes instanceof Uint8Array ? slices(bytes) : bytes) {
      signal.throwIfAborted()
      connection.expect('stallMs')
      if (response.write(chunk)) await nextTurn()
      else await drained(response, signal)
    }
  }
  connection.expect('stallMs')
  await finished(response, signal)
  if (!message.complete) await readAway(message, connection)
}

function drained(response: ServerResponse, signal: AbortSignal): Promise<void> {
  return abortable(new Promise((resolve) => response.once('drain', resolve)), signal)
}

function finished(response: ServerResponse, signal: AbortSignal): Promise<void> {
  return abortable(new Promise((resolve) => response.end(resolve)), signal)
}

/** A client at a slow link gets its time for each part. */
function* slices(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += CHUNK_BYTES) yield bytes.subarray(at, at + CHUNK_BYTES)
}

/** Closing a connection with bytes unread would take the answer away from a client that has not read it yet. */
async function readAway(message: IncomingMessage, connection: Connection): Promise<void> {
  connection.expect('lingerMs')
  message.resume()
  await new Promise((resolve) => {
    message.once('end', resolve)
    message.once('close', resolve)
  })
}
