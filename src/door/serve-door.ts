/**
 * rcc's door: HTTP on TCP, for rcc, for curl, and for daemons that have this one as a substituter.
 *
 * The parser is that of `node:http`, fed with sockets of our own: `Bun.serve` neither counts connections, nor closes one
 * that sends its head byte by byte, nor tells the length of what is made while it is sent (tried with Bun 1.4.5). What
 * comes in is bounded in number, bytes and time before a route sees it, and whoever may not ask learns nothing else.
 * What an answer says is the affair of the routes.
 */
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer, type Server, type Socket } from 'node:net'
import { DOOR_HEAD_BYTES_MAX } from '../base/door-limits.ts'
import { HoloError, hostError, messageOf, systemCodeOf } from '../base/errors.ts'
import { formatHostPort } from '../base/host-port.ts'
import { roomLogger } from '../base/log.ts'
import { checkAccess, type DoorAccess, refusalOf } from './access.ts'
import { BodyTooLong, type DoorAnswer, type DoorRoute, textAnswer } from './answer.ts'
import { CONNECTION_BOUNDS, type Connection, type ConnectionBounds, Connections } from './connections.ts'
import { doorRequest } from './door-request.ts'
import { sendAnswer } from './send-answer.ts'

const log = roomLogger('door')

export interface DoorOptions {
  /** `localhost` for both loopback addresses, or an IP address of this machine. */
  readonly address: string
  /** 0 for any that is free. */
  readonly port: number
  readonly access: DoorAccess
  /** Asked in order; the first that knows the path answers. */
  readonly routes: readonly DoorRoute[]
  readonly bounds?: ConnectionBounds
}

export interface Door extends AsyncDisposable {
  /** `http://localhost:4653`: what RCC_REMOTE_ORIGIN is set to. */
  readonly url: string
  readonly port: number
}

/**
 * Listen.
 *
 * @returns disposal stops listening and ends open connections
 * @throws {HoloError} as `checkAccess`; blame `host`: code `door-port-taken`, or the address is none of this machine
 */
export async function serveDoor(options: DoorOptions): Promise<Door> {
  const { address, port, access, routes, bounds = CONNECTION_BOUNDS } = options
  checkAccess(address, access)
  const connections = new Connections(bounds)
  const http = createHttpServer(
    { maxHeaderSize: DOOR_HEAD_BYTES_MAX, keepAliveTimeout: bounds.headMs },
    (request, response) => {
      const connection = connections.of(request.socket)
      if (connection === undefined || connection.busy) return void request.socket.destroy()
      connection.busy = true
      respond(request, response, connection, { access, routes })
        .catch((error: unknown) => {
          log.error('an answer failed: {error}', { error })
          request.socket.destroy()
        })
        .finally(() => {
          connection.busy = false
        })
    },
  )
  http.on('clientError', (error, socket) => {
    log.debug`a request was malformed: ${messageOf(error)}`
    if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
    else socket.destroy()
  })
  const onSocket = (socket: Socket) => {
    if (connections.admit(socket) !== undefined) http.emit('connection', socket)
  }
  const listeners: Server[] = []
  const close = async () => {
    const closed = listeners.map((listener) => new Promise((resolve) => listener.close(resolve)))
    connections.closeAll()
    await Promise.all(closed)
  }
  try {
    const first = await listen(onSocket, address === 'localhost' ? '127.0.0.1' : address, port)
    listeners.push(first.listener)
    // rcc tries ::1 first; a host may have no IPv6.
    if (address === 'localhost') {
      const second = await listen(onSocket, '::1', first.port).catch(unlessNoSuchAddress)
      if (second !== undefined) listeners.push(second.listener)
    }
    return { url: `http://${formatHostPort(address, first.port)}`, port: first.port, [Symbol.asyncDispose]: close }
  } catch (error) {
    await close()
    throw error
  }
}

interface Serving {
  readonly access: DoorAccess
  readonly routes: readonly DoorRoute[]
}

async function respond(
  message: IncomingMessage,
  response: ServerResponse,
  connection: Connection,
  { access, routes }: Serving,
): Promise<void> {
  connection.rest()
  const left = new AbortController()
  response.once('close', () => left.abort(new Error('the client has left')))
  const { signal } = left
  let answer: DoorAnswer
  try {
    answer = await answerOf(message, connection, { access, routes }, signal)
  } catch (error) {
    if (signal.aborted) return
    answer = failureAnswer(error, message)
  }
  try {
    await sendAnswer(message, response, answer, connection, signal)
  } catch (error) {
    if (!signal.aborted) log.warning`an answer to ${message.method} ${message.url} broke off: ${messageOf(error)}`
    message.socket.destroy()
    return
  }
  connection.expect('headMs')
}

async function answerOf(
  message: IncomingMessage,
  connection: Connection,
  { access, routes }: Serving,
  signal: AbortSignal,
): Promise<DoorAnswer> {
  const { host, authorization } = message.headers
  const fetchSite = message.headers['sec-fetch-site']?.toString()
  const refusal = refusalOf({ host, authorization, fetchSite }, access)
  if (refusal !== undefined) {
    const { status, reason } = refusal
    return textAnswer(status, `${status} ${reason}\n`, status === 401 ? { 'www-authenticate': 'Bearer' } : {})
  }
  const request = doorRequest(message, connection, signal)
  if (request === undefined) return textAnswer(400, '400 bad request\n')
  // As Go's server, which rccremote is: a path is asked for once more in its plain form.
  const plain = plainPath(request.path)
  if (plain !== request.path) return { status: 307, headers: { location: encodeURI(plain) } }
  for (const route of routes) {
    const answer = route(request, signal)
    if (answer !== undefined) return answer
  }
  return textAnswer(404, '404 page not found\n')
}

function failureAnswer(error: unknown, { method, url }: IncomingMessage): DoorAnswer {
  if (error instanceof BodyTooLong) return textAnswer(413, '413 the body is too long\n')
  if (!(error instanceof HoloError)) throw error
  // Paths of this machine are not for whoever asks.
  log.warning`${method} ${url} could not be answered: ${error.message}`
  return { status: 500 }
}

/** Without empty, `.` and `..` elements; a slash at the end stays. */
function plainPath(path: string): string {
  const elements: string[] = []
  for (const element of path.split('/')) {
    if (element === '..') elements.pop()
    else if (element !== '' && element !== '.') elements.push(element)
  }
  const end = elements.length > 0 && /\/\.{0,2}$/.test(path) ? '/' : ''
  return `/${elements.join('/')}${end}`
}

function listen(
  onSocket: (socket: Socket) => void,
  host: string,
  port: number,
): Promise<{ listener: Server; port: number }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ listener: Server; port: number }>()
  const listener = createServer({ noDelay: true }, onSocket)
  listener.once('error', (cause) => {
    const taken = systemCodeOf(cause) === 'EADDRINUSE'
    const where = formatHostPort(host, port)
    if (!taken) return reject(hostError(`listen on ${where}`, cause))
    reject(
      new HoloError(`${where} is taken by another program`, {
        code: 'door-port-taken',
        blame: 'host',
        hint: 'stop that program, or set holo-peer.door.port',
        cause,
      }),
    )
  })
  listener.listen({ host, port, exclusive: true }, () => {
    const place = listener.address()
    resolve({ listener, port: typeof place === 'object' && place !== null ? place.port : port })
  })
  return promise
}

function unlessNoSuchAddress(error: unknown): undefined {
  const code = error instanceof HoloError ? systemCodeOf(error.cause) : undefined
  if (code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT' || code === 'EINVAL') return undefined
  throw error
}
