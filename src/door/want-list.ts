/**
 * The digests that a client wants, one a line, read from a request's body as it comes.
 *
 * As rccremote reads it (formats.md §14): blanks around a line and whatever stands before its last slash do not count,
 * a line that names nothing is passed over, and a last newline is optional. What one list may take is bounded.
 */
import { DOOR_WANT_LINE_BYTES_MAX } from '../base/door-limits.ts'

const NEWLINE = 10

/**
 * The lines of a body, trimmed, without empty ones, some at a time; a line beyond `DOOR_WANT_LINE_BYTES_MAX` is passed over.
 *
 * @throws whatever `body` throws
 */
export async function* wantedLines(body: AsyncIterable<Uint8Array>): AsyncGenerator<string[]> {
  let rest = Buffer.alloc(0)
  let tooLong = false
  for await (const chunk of body) {
    const lines: string[] = []
    let from = 0
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
      const line = lineOf(rest, chunk.subarray(from, end))
      if (line !== '' && !tooLong) lines.push(line)
      rest = Buffer.alloc(0)
      tooLong = false
      from = end + 1
    }
    const tail = chunk.subarray(from)
    if (rest.byteLength + tail.byteLength > DOOR_WANT_LINE_BYTES_MAX) {
      rest = Buffer.alloc(0)
      tooLong = true
    } else if (tail.byteLength > 0) rest = Buffer.concat([rest, tail])
    yield lines
  }
  const last = lineOf(rest, new Uint8Array(0))
  if (last !== '' && !tooLong) yield [last]
}

function lineOf(left: Uint8Array, right: Uint8Array): string {
  if (left.byteLength + right.byteLength > DOOR_WANT_LINE_BYTES_MAX) return ''
  const whole =
    left.byteLength === 0 ? Buffer.from(right.buffer, right.byteOffset, right.byteLength) : Buffer.concat([left, right])
  return whole.toString('latin1').trim()
}

/** What stands behind the last slash, as Go's filepath.Base for a path that does not end in one. */
export function lastElement(line: string): string {
  return line.slice(line.lastIndexOf('/') + 1)
}
