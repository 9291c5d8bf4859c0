/** One request as the routes see it: a plain path, and a body that cannot take more bytes or time than it may. */
import type { IncomingMessage } from 'node:http'
import { DOOR_WANT_BYTES_MAX } from '../base/door-limits.ts'
import { BodyTooLong, type DoorRequest } from './answer.ts'
import type { Connection } from './connections.ts'

/** @returns undefined where the target of the request is malformed */
export function doorRequest(
  message: IncomingMessage,
  connection: Connection,
  signal: AbortSignal,
): DoorRequest | undefined {
  const path = decodedPath(message.url ?? '')
  if (path === undefined) return undefined
  return {
    method: message.method ?? '',
    path,
    header: (name) => message.headers[name]?.toString(),
    body: () => boundedBody(message, connection, signal),
  }
}

/** The path of a target in origin form or, as proxies send it, absolute form. */
function decodedPath(target: string): string | undefined {
  const [, path] = /^(?:http:\/\/[^/?#]*)?(\/[^?#]*)(?:\?.*)?$/s.exec(target) ?? []
  if (path === undefined) return undefined
  try {
    const decoded = decodeURIComponent(path)
    return decoded.includes('\0') ? undefined : decoded
  } catch {
    return undefined
  }
}

async function* boundedBody(
  message: IncomingMessage,
  connection: Connection,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  if (Number(message.headers['content-length'] ?? 0) > DOOR_WANT_BYTES_MAX) throw new BodyTooLong()
  connection.expect('bodyMs')
  let total = 0
  try {
    for await (const chunk of message.iterator({ destroyOnReturn: false })) {
      signal.throwIfAborted()
      total += chunk.byteLength
      if (total > DOOR_WANT_BYTES_MAX) throw new BodyTooLong()
      yield chunk
    }
  } catch (error) {
    signal.throwIfAborted()
    throw error
  } finally {
    connection.rest()
  }
}
