/**
 * A command's end of the control socket. A daemon that is absent, hung or speaks rubbish never blocks a command:
 * every wait is bounded, and the caller goes on without it.
 */
import { deadline } from '../base/clock.ts'
import { HoloError } from '../base/errors.ts'
import { CONTROL_ANSWER_MS, CONTROL_FIND_MS } from '../base/limits.ts'
import { z } from '../base/schema.ts'
import { controlAddress } from './control-address.ts'
import {
  type BringEvent,
  bringEvent,
  CONTROL_UNKNOWN,
  type DaemonStatus,
  type FetchEvent,
  type FindAnswer,
  type FindRequest,
  fetchEvent,
  findAnswer,
  status,
  wireError,
} from './control-protocol.ts'
import { DaemonUnusableError } from './daemon-unusable-error.ts'

/** Whether anything accepts connections on `socketPath`, a hung daemon included. */
export async function controlAnswers(socketPath: string): Promise<boolean> {
  try {
    using address = controlAddress(socketPath)
    const socket = await Bun.connect({ unix: address.path, socket: { data() {}, error() {} } })
    socket.terminate()
    return true
  } catch {
    return false
  }
}

/**
 * @returns undefined where no daemon runs
 * @throws {DaemonUnusableError} it does not answer within `CONTROL_ANSWER_MS`, or answers rubbish
 */
export async function daemonStatus(socketPath: string, signal: AbortSignal): Promise<DaemonStatus | undefined> {
  if (!(await controlAnswers(socketPath))) return undefined
  const response = await send(socketPath, 'GET', '/status', undefined, CONTROL_ANSWER_MS, signal)
  return parsed(status, await response.json())
}

/** Make a running daemon read its fleet file again. @returns false where none runs */
export async function reloadDaemon(socketPath: string, signal: AbortSignal): Promise<boolean> {
  if (!(await controlAnswers(socketPath))) return false
  await send(socketPath, 'POST', '/reload', {}, CONTROL_FIND_MS, signal)
  return true
}

/** @throws {DaemonUnusableError} see `daemonStatus`; {HoloError} the daemon's own error */
export async function daemonFind(socketPath: string, request: FindRequest, signal: AbortSignal): Promise<FindAnswer> {
  const response = await send(socketPath, 'POST', '/find', request, CONTROL_FIND_MS, signal)
  return parsed(findAnswer, await response.json())
}

/**
 * Let the daemon fetch a catalog and its blobs into the library that it shares with this command.
 *
 * @returns the events, ending with `done` or `failed`
 * @throws {DaemonUnusableError} no line came for `CONTROL_ANSWER_MS`, or rubbish
 */
export async function* daemonFetch(
  socketPath: string,
  request: { catalog: string; sha256: string },
  signal: AbortSignal,
): AsyncGenerator<FetchEvent> {
  yield* eventsOf(await send(socketPath, 'POST', '/fetch', request, CONTROL_ANSWER_MS, signal), fetchEvent, signal)
}

/**
 * Let the daemon find an environment, and fetch it at once: as `daemonFind` and `daemonFetch`, but the catalog need not travel.
 *
 * @returns the events, beginning with `found`
 * @throws as both
 */
export async function* daemonBring(
  socketPath: string,
  request: FindRequest,
  signal: AbortSignal,
): AsyncGenerator<BringEvent> {
  yield* eventsOf(await send(socketPath, 'POST', '/bring', request, CONTROL_FIND_MS, signal), bringEvent, signal)
}

/** The events of an answer, until one of them ends it. @throws {DaemonUnusableError} as `daemonFetch` */
async function* eventsOf<Event extends BringEvent>(
  response: Response,
  schema: z.ZodType<Event>,
  signal: AbortSignal,
): AsyncGenerator<Event> {
  const reader = response.body?.getReader()
  if (reader === undefined) throw new DaemonUnusableError('its answer is empty')
  const decoder = new TextDecoder()
  let rest = ''
  try {
    for (;;) {
      const wait = deadline(CONTROL_ANSWER_MS, new DaemonUnusableError('it stopped answering'), signal)
      const read = reader.read().catch((cause: unknown) => {
        signal.throwIfAborted()
        throw new DaemonUnusableError('it has gone in the middle of a fetch', cause)
      })
      const { done, value } = await Promise.race([read, rejection(wait.signal)]).finally(wait.clear)
      if (done) throw new DaemonUnusableError('it closed the connection in the middle of a fetch')
      const lines = (rest + decoder.decode(value, { stream: true })).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) {
        const event = parsed(schema, JSON.parse(line))
        yield event
        if (event.event === 'done' || event.event === 'failed') return
      }
    }
  } finally {
    await reader.cancel().catch(() => {})
  }
}

async function send(
  socketPath: string,
  method: string,
  path: string,
  body: unknown,
  waitMs: number,
  signal: AbortSignal,
): Promise<Response> {
  using address = controlAddress(socketPath)
  const wait = deadline(waitMs, new DaemonUnusableError(`it did not answer within ${waitMs} ms`), signal)
  try {
    const response = await fetch(`http://holo-peer${path}`, {
      method,
      unix: address.path,
      signal: wait.signal,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    if (response.ok) return response
    const { error } = parsed(z.object({ error: wireError }), await response.json())
    if (error.code === CONTROL_UNKNOWN) throw new DaemonUnusableError(`it is of another version, and knows no ${path}`)
    throw fromWireError(error)
  } catch (error) {
    if (wait.signal.aborted) throw wait.signal.reason
    if (error instanceof HoloError) throw error
    throw new DaemonUnusableError(error instanceof Error ? error.message : String(error), error)
  } finally {
    wait.clear()
  }
}

/** The daemon's error, as if it had happened here. */
export function fromWireError({ code, blame, message, hint }: z.infer<typeof wireError>): HoloError {
  return new HoloError(message, { code, blame, ...(hint === undefined ? {} : { hint }) })
}

function parsed<Schema extends z.ZodType>(schema: Schema, value: unknown): z.infer<Schema> {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  throw new DaemonUnusableError('its answer is not of this version', result.error)
}

function rejection(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason)
    else signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}
