/**
 * The calling side of lanes: connect, compare the certificate, show the ticket, wait to be let in.
 *
 * Nothing of ours is sent before the certificate has proved to be the one that the session told of.
 */
import type { Socket } from 'bun'
import type { Clock } from '../base/clock.ts'
import { HoloError, messageOf } from '../base/errors.ts'
import { formatHostPort } from '../base/host-port.ts'
import type { LaneAddress, LaneLink } from '../base/lane.ts'
import { certificateSha256 } from './certificate.ts'
import { type Endpoint, endpointHandlers } from './endpoint.ts'
import { FrameReader, framed } from './frame-reader.ts'
import { bindingOf, encodeOpening } from './opening.ts'
import { TcpLink } from './tcp-link.ts'

export interface LaneCallOptions {
  readonly address: LaneAddress
  readonly ticket: Uint8Array
  readonly sign: (binding: Uint8Array) => Uint8Array
  readonly queueBytes: number
  readonly clock: Clock
}

/**
 * @throws {HoloError} blame `source`, code `lane-failed`: nobody there, another certificate, turned away
 * @throws `signal.reason`; what is connected later is closed at once
 */
export async function callLane(options: LaneCallOptions, signal: AbortSignal): Promise<LaneLink> {
  signal.throwIfAborted()
  const { host, port } = options.address
  const { promise, resolve, reject } = Promise.withResolvers<LaneLink>()
  const fail = (reason: string) =>
    reject(
      new HoloError(`No lane could be opened to ${formatHostPort(host, port)}: ${reason}`, {
        code: 'lane-failed',
        blame: 'source',
      }),
    )
  const caller = new Caller(options, resolve, fail)
  const onAbort = () => {
    caller.cancel()
    reject(signal.reason)
  }
  signal.addEventListener('abort', onAbort, { once: true })
  // What was rejected before the connection stood is nobody's any more.
  Bun.connect<Endpoint>({
    hostname: host,
    port,
    data: caller,
    // The certificate names nobody: it is compared with the one that the session told of.
    tls: { rejectUnauthorized: false },
    socket: endpointHandlers(
      (socket) => caller.connected(socket),
      (socket) => caller.secured(socket),
    ),
  }).catch((error: unknown) => fail(messageOf(error)))
  try {
    return await promise
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

class Caller implements Endpoint {
  readonly #reader = new FrameReader(0)
  #socket: Socket<Endpoint> | undefined
  #over = false

  constructor(
    private readonly options: LaneCallOptions,
    private readonly onLink: (link: LaneLink) => void,
    private readonly onFail: (reason: string) => void,
  ) {}

  connected(socket: Socket<Endpoint>): void {
    this.#socket = socket
    if (this.#over) socket.terminate()
  }

  secured(socket: Socket<Endpoint>): void {
    if (this.#over) return
    const { address, ticket, sign } = this.options
    const binding = bindingOf(socket)
    if (binding === undefined) {
      this.#fail('it speaks no TLS 1.3')
      return
    }
    const met = certificateSha256(socket.getPeerX509Certificate().raw)
    if (!Buffer.from(met).equals(address.certificate)) {
      this.#fail('another machine, or a man in the middle, answers')
      return
    }
    socket.write(framed(encodeOpening({ ticket, signature: sign(binding) })))
  }

  received(bytes: Uint8Array): void {
    const socket = this.#socket
    if (this.#over || socket === undefined) return
    let welcome = false
    let taken = 0
    try {
      taken = this.#reader.push(bytes, () => {
        welcome = true
        return false
      })
    } catch {
      this.#fail('it answers something else')
      return
    }
    if (!welcome) return
    this.#over = true
    const { address, clock, queueBytes } = this.options
    const link = new TcpLink(socket, formatHostPort(address.host, address.port), queueBytes, clock)
    socket.data = link
    if (taken < bytes.byteLength) link.received(bytes.subarray(taken))
    this.onLink(link)
  }

  writable(): void {}

  ended(error: Error | undefined): void {
    if (!this.#over) this.#fail(error?.message ?? 'it turned us away')
  }

  cancel(): void {
    this.#over = true
    this.#socket?.terminate()
  }

  #fail(reason: string): void {
    this.cancel()
    this.onFail(reason)
  }
}
