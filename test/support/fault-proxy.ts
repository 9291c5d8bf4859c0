/** A proxy between a client and a real server, which does to answers what bad servers and networks do. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export type Fault =
  /** This answer instead. */
  | {
      readonly kind: 'answer'
      readonly status: number
      readonly headers?: Record<string, string>
      readonly body?: Uint8Array
    }
  /** The connection closes before a byte of the answer. */
  | { readonly kind: 'close' }
  /** The head of the answer, and so many of its bytes; then the connection closes. */
  | { readonly kind: 'cut'; readonly afterBytes: number }
  /** The true head, and other bytes. */
  | { readonly kind: 'wrong' }
  /** The true head, and one byte now and then. */
  | { readonly kind: 'trickle'; readonly everyMs: number }
  /** Nothing, ever. */
  | { readonly kind: 'silent' }
  /** The true answer with other headers laid over its own. */
  | { readonly kind: 'headers'; readonly headers: Record<string, string> }

export interface ProxiedRequest {
  readonly method: string
  /** With the query. */
  readonly path: string
  readonly headers: Readonly<Record<string, string | undefined>>
  /** How many requests came before this one. */
  readonly number: number
}

export class FaultProxy implements AsyncDisposable {
  /** Every request, in order. */
  readonly requests: ProxiedRequest[] = []
  /** What to do to this one; undefined: nothing. */
  fault: (request: ProxiedRequest) => Fault | undefined = () => undefined
  /** Where to pass this one on to; undefined: upstream. */
  route: (request: ProxiedRequest) => URL | undefined = () => undefined
  /** Headers that are laid over those of a request before it is passed on. */
  rewrite: (request: ProxiedRequest) => Record<string, string> = () => ({})
  readonly #server: Server
  readonly #timers = new Set<Timer>()

  private constructor(private readonly upstream: URL) {
    this.#server = createServer((request, response) => {
      this.#handle(request, response).catch(() => response.destroy())
    })
  }

  static async start(upstream: URL): Promise<FaultProxy> {
    const proxy = new FaultProxy(upstream)
    await new Promise<void>((resolve) => {
      proxy.#server.listen(0, '127.0.0.1', resolve)
    })
    return proxy
  }

  get url(): URL {
    return new URL(`http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`)
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Uint8Array[] = []
    for await (const chunk of request) chunks.push(chunk)
    const headers = request.headers as Record<string, string | undefined>
    const asked = { method: request.method ?? 'GET', path: request.url ?? '/', headers, number: this.requests.length }
    this.requests.push(asked)
    const fault = this.fault(asked)
    if (fault?.kind === 'silent') return
    if (fault?.kind === 'close') {
      request.socket.destroy()
      return
    }
    if (fault?.kind === 'answer') {
      response.writeHead(fault.status, fault.headers)
      response.end(fault.body)
      return
    }
    const { host: _host, connection: _connection, ...passed } = headers
    const answer = await fetch(new URL(asked.path, (this.route(asked) ?? this.upstream).href).href, {
      method: asked.method,
      headers: { ...(passed as Record<string, string>), ...this.rewrite(asked) },
      redirect: 'manual',
      decompress: false,
      ...(chunks.length === 0 ? {} : { body: Buffer.concat(chunks) }),
    } as RequestInit)
    await this.#answer(answer, fault, asked.method === 'HEAD', response)
  }

  async #answer(
    answer: Response,
    fault: Fault | undefined,
    headOnly: boolean,
    response: ServerResponse,
  ): Promise<void> {
    const body = new Uint8Array(await answer.arrayBuffer())
    const head = Object.fromEntries(answer.headers)
    delete head['transfer-encoding']
    delete head.connection
    if (!headOnly) head['content-length'] = String(body.byteLength)
    response.writeHead(answer.status, { ...head, ...(fault?.kind === 'headers' ? fault.headers : {}) })
    switch (fault?.kind) {
      case 'cut':
        response.flushHeaders()
        response.write(body.subarray(0, fault.afterBytes), () => response.destroy())
        return
      case 'wrong':
        response.end(body.map((byte) => byte ^ 0x55))
        return
      case 'trickle': {
        let at = 0
        response.flushHeaders()
        const timer = setInterval(() => {
          if (at < body.byteLength) response.write(body.subarray(at, ++at))
        }, fault.everyMs)
        this.#timers.add(timer)
        return
      }
      default:
        response.end(body)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer)
    this.#server.closeAllConnections()
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve())
    })
  }
}
