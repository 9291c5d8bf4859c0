/**
 * The daemon's end of the control socket. Checks every request against its schema, hands it to the handlers, and turns
 * what they throw into the error that the command will show. Knows nothing of libraries and peers.
 */
import { chmodSync, rmSync } from 'node:fs'
import { repeat } from '../base/clock.ts'
import { HoloError, messageOf } from '../base/errors.ts'
import { roomLogger } from '../base/log.ts'
import type { z } from '../base/schema.ts'
import { controlAddress } from './control-address.ts'
import { controlAnswers } from './control-client.ts'
import {
  type BringEvent,
  CONTROL_UNKNOWN,
  type DaemonStatus,
  type FindAnswer,
  type FindRequest,
  type FoundEvent,
  fetchRequest,
  findRequest,
  type WireError,
  type WireTotals,
} from './control-protocol.ts'

const log = roomLogger('daemon')
const REQUEST_BYTES_MAX = 64 * 1024
const PROGRESS_EVERY_MS = 200

/** A fetch that a command waits for: `progress` is asked for a few times a second until `done` settles. */
export interface FetchJob {
  progress(): { totals: WireTotals; blobs: number }
  readonly done: Promise<void>
}

export interface ControlHandlers {
  status(): DaemonStatus
  find(request: FindRequest, signal: AbortSignal): Promise<FindAnswer>
  fetch(catalog: string, sha256: string): FetchJob
  /** Find, and begin to fetch what was found. */
  bring(request: FindRequest, signal: AbortSignal): Promise<{ readonly found: FoundEvent; readonly job: FetchJob }>
  /** Read the fleet file and the settings again. */
  reload(): Promise<void>
}

/**
 * Listen on `socketPath` (mode 0600; its folder is 0700), taking the place of a socket that a killed daemon left.
 *
 * @returns disposal stops listening, ends open answers and removes the socket
 * @throws {HoloError} blame `locked`, code `daemon-running`, when a daemon answers there
 */
export async function serveControl(socketPath: string, handlers: ControlHandlers): Promise<AsyncDisposable> {
  if (await controlAnswers(socketPath))
    throw new HoloError(`A daemon is already running for this library (${socketPath} answers)`, {
      code: 'daemon-running',
      blame: 'locked',
      hint: 'stop it first, or use it as it is',
    })
  rmSync(socketPath, { force: true })
  const address = controlAddress(socketPath)
  const server = Bun.serve({
    unix: address.path,
    maxRequestBodySize: REQUEST_BYTES_MAX,
    fetch: (request, self) => {
      // A question that goes on to peers may take longer than Bun's idle limit of 10 s.
      self.timeout(request, 0)
      return answer(request, handlers)
    },
    error: (error) => errorResponse(error),
  })
  chmodSync(address.path, 0o600)
  return {
    [Symbol.asyncDispose]: async () => {
      await server.stop(true)
      rmSync(address.path, { force: true })
      address[Symbol.dispose]()
    },
  }
}

async function answer(request: Request, handlers: ControlHandlers): Promise<Response> {
  const { pathname } = new URL(request.url)
  switch (`${request.method} ${pathname}`) {
    case 'GET /status':
      return Response.json(handlers.status())
    case 'POST /find': {
      return Response.json(await handlers.find(await bodyOf(request, findRequest), request.signal))
    }
    case 'POST /fetch': {
      const { catalog, sha256 } = await bodyOf(request, fetchRequest)
      return fetchResponse(handlers.fetch(catalog, sha256))
    }
    case 'POST /bring': {
      const { found, job } = await handlers.bring(await bodyOf(request, findRequest), request.signal)
      return fetchResponse(job, [found])
    }
    case 'POST /reload':
      await handlers.reload()
      return Response.json({})
    default:
      throw new HoloError(`The control socket knows no ${request.method} ${pathname}`, {
        code: CONTROL_UNKNOWN,
        blame: 'input',
        hint: 'use the same version of holo-peer for the command and the daemon',
      })
  }
}

async function bodyOf<Schema extends z.ZodType>(request: Request, schema: Schema): Promise<z.infer<Schema>> {
  const parsed = schema.safeParse(await request.json().catch(() => undefined))
  if (parsed.success) return parsed.data
  throw new HoloError(`The control request ${new URL(request.url).pathname} is malformed`, {
    code: 'control-malformed',
    blame: 'input',
    hint: 'use the same version of holo-peer for the command and the daemon',
  })
}

/**
 * Events, one JSON object a line. A command that goes away does not stop the fetch: others may wait for it.
 *
 * @param first what comes before all others
 */
function fetchResponse(job: FetchJob, first: readonly BringEvent[] = []): Response {
  const lines = new ReadableStream<Uint8Array>({
    start(controller) {
      const encoder = new TextEncoder()
      let open = true
      const send = (event: BringEvent) => {
        if (open) controller.enqueue(encoder.encode(`${JSON.stringify(event)}\n`))
      }
      const close = () => {
        stop()
        if (open) controller.close()
        open = false
      }
      first.forEach(send)
      const stop = repeat(PROGRESS_EVERY_MS, () => {
        try {
          send({ event: 'progress', ...job.progress() })
        } catch {
          // The command has gone: its stream refuses more.
          open = false
          stop()
        }
      })
      job.done.then(
        () => {
          send({ event: 'done', totals: job.progress().totals })
          close()
        },
        (error: unknown) => {
          send({ event: 'failed', totals: job.progress().totals, error: toWireError(error) })
          close()
        },
      )
    },
  })
  return new Response(lines, { headers: { 'content-type': 'application/x-ndjson' } })
}

/** The error in the form of the control socket and of `--json`; a bug is logged with its stack and blamed on `host`. */
export function toWireError(error: unknown): WireError {
  if (error instanceof HoloError)
    return {
      code: error.code,
      blame: error.blame,
      message: error.message.slice(0, 10_000),
      ...(error.hint === undefined ? {} : { hint: error.hint }),
    }
  log.error('a request failed: {error}', { error })
  return { code: 'daemon-bug', blame: 'host', message: `The daemon failed: ${messageOf(error)}`.slice(0, 10_000) }
}

function errorResponse(error: unknown): Response {
  return Response.json({ error: toWireError(error) }, { status: 400 })
}
