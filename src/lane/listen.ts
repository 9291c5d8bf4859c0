/**
 * The called side of lanes: a TCP port that sends nobody a byte of ours who has not shown a ticket.
 *
 * Callers are strangers until the gate lets them in: bounded in number and time, with memory for one opening frame each.
 * Whoever sends anything else is cut off, counted, and told of in the log once a second at most.
 */
import type { Socket, TCPSocketListener } from 'bun'
import type { Clock } from '../base/clock.ts'
import { hostError, messageOf, systemCodeOf } from '../base/errors.ts'
import { formatHostPort } from '../base/host-port.ts'
import type { LaneGate, LaneLink } from '../base/lane.ts'
import { LANE_OPENING_MS, LANE_STRANGERS_MAX } from '../base/lane-limits.ts'
import { roomLogger } from '../base/log.ts'
import { type Certificate, makeCertificate } from './certificate.ts'
import { type Endpoint, endpointHandlers } from './endpoint.ts'
import { FrameReader } from './frame-reader.ts'
import { bindingOf, decodeOpening, OPENING_BYTES, WELCOME } from './opening.ts'
import { TcpLink } from './tcp-link.ts'

const TOLD_EVERY_MS = 1_000

export class LaneListener implements AsyncDisposable {
  /** Callers that were turned away so far, whatever the reason. */
  turnedAway = 0
  readonly #log = roomLogger('lane')
  readonly #clock: Clock
  readonly #certificate: Certificate = makeCertificate()
  readonly #strangers = new Set<Stranger>()
  readonly #links = new Set<LaneLink>()
  readonly #listener: TCPSocketListener<Endpoint>
  #gate: LaneGate = () => 'came too early'
  #toldMs = Number.NEGATIVE_INFINITY

  /**
   * @param queueBytes what may wait for the network per lane
   * @param port TCP; where it is taken, and where it is 0, a free one is used
   * @throws {HoloError} blame `host`: no port can be listened on
   */
  constructor(
    port: number,
    private readonly queueBytes: number,
    clock: Clock,
  ) {
    this.#clock = clock
    this.#listener = this.#listen(port)
    if (port !== 0 && this.port !== port) this.#log.warn(`TCP port ${port} is taken; using ${this.port}`)
  }

  get port(): number {
    return this.#listener.port
  }

  /** SHA-256 of the certificate that callers meet. */
  get certificate(): Uint8Array {
    return this.#certificate.sha256
  }

  admit(gate: LaneGate): void {
    this.#gate = gate
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.stop()
    for (const stranger of this.#strangers) stranger.leave()
    for (const link of this.#links) link.destroy()
  }

  /** Both families where there are both; a free port where `port` is taken. */
  #listen(port: number): TCPSocketListener<Endpoint> {
    const attempts = [
      ['::', port],
      ['0.0.0.0', port],
      ['::', 0],
      ['0.0.0.0', 0],
    ] as const
    let failure: unknown
    let taken = false
    for (const [hostname, number] of attempts) {
      // IPv4 alone would share a number with somebody who has it for IPv6.
      if (taken && number !== 0) continue
      try {
        return this.#bind(hostname, number)
      } catch (error) {
        failure = error
        taken ||= systemCodeOf(error) === 'EADDRINUSE'
      }
    }
    throw hostError(`listen on a TCP port for bulk`, failure)
  }

  #bind(hostname: string, port: number): TCPSocketListener<Endpoint> {
    const { certificate, privateKey } = this.#certificate
    return Bun.listen<Endpoint>({
      hostname,
      port,
      exclusive: true,
      tls: { cert: certificate, key: privateKey },
      socket: endpointHandlers(
        (socket) => this.#meet(socket),
        (socket) => {
          if (socket.data instanceof Stranger) socket.data.secured()
        },
      ),
    })
  }

  #meet(socket: Socket<Endpoint>): void {
    const address = formatHostPort(socket.remoteAddress.replace(/^::ffff:/, ''), socket.remotePort)
    const stranger = new Stranger(socket, address, this.queueBytes, this.#clock, {
      onCall: (call) => this.#gate(call),
      onLink: (link) => this.#links.add(link),
      onLinkClosed: (link) => this.#links.delete(link),
      onOver: (reason) => {
        this.#strangers.delete(stranger)
        if (reason !== undefined) this.#turnAway(address, reason)
      },
    })
    socket.data = stranger
    this.#strangers.add(stranger)
    if (this.#strangers.size > LANE_STRANGERS_MAX) stranger.turnAway('is one of too many at once')
  }

  #turnAway(address: string, reason: string): void {
    this.turnedAway++
    const nowMs = this.#clock.nowMs()
    if (nowMs - this.#toldMs < TOLD_EVERY_MS) return
    this.#toldMs = nowMs
    this.#log.info(`A caller from ${address} was turned away: it ${reason} (${this.turnedAway} so far)`)
  }
}

interface StrangerEvents {
  readonly onCall: LaneGate
  onLink(link: LaneLink): void
  onLinkClosed(link: LaneLink): void
  /** @param reason why it was turned away, undefined where it was let in or left by itself */
  onOver(reason: string | undefined): void
}

/** A caller that has shown nothing yet. */
class Stranger implements Endpoint {
  readonly #reader = new FrameReader(OPENING_BYTES)
  readonly #over = new AbortController()
  #binding: Uint8Array | undefined

  constructor(
    private readonly socket: Socket<Endpoint>,
    private readonly address: string,
    private readonly queueBytes: number,
    private readonly clock: Clock,
    private readonly events: StrangerEvents,
  ) {
    void clock.sleep(LANE_OPENING_MS, this.#over.signal).then(
      () => this.turnAway(`showed no ticket within ${LANE_OPENING_MS / 1000} seconds`),
      () => {},
    )
  }

  secured(): void {
    this.#binding = bindingOf(this.socket)
    if (this.#binding === undefined) this.turnAway('speaks no TLS 1.3')
  }

  received(bytes: Uint8Array): void {
    if (this.#over.signal.aborted) return
    let opening: Uint8Array | undefined
    let taken = 0
    try {
      taken = this.#reader.push(bytes, (frame) => {
        // A copy: the frame is lent for this call only.
        opening = new Uint8Array(frame)
        return false
      })
    } catch (error) {
      this.turnAway(`sent ${messageOf(error)}`)
      return
    }
    if (opening !== undefined) this.#call(opening, bytes.subarray(taken))
  }

  writable(): void {}

  ended(error: Error | undefined): void {
    this.#end(error === undefined ? 'left without a ticket' : `broke off: ${error.message}`)
  }

  turnAway(reason: string): void {
    if (this.#over.signal.aborted) return
    this.#end(reason)
    this.socket.terminate()
  }

  leave(): void {
    this.#end(undefined)
    this.socket.terminate()
  }

  /** @param rest what came behind the opening */
  #call(frame: Uint8Array, rest: Uint8Array): void {
    const opening = decodeOpening(frame)
    const binding = this.#binding
    if (opening === undefined || binding === undefined) {
      this.turnAway('sent something else than a ticket')
      return
    }
    const answer = this.events.onCall({ ...opening, binding, address: this.address })
    if (typeof answer === 'string') {
      this.turnAway(answer)
      return
    }
    this.#end(undefined)
    const link = new TcpLink(this.socket, this.address, this.queueBytes, this.clock)
    this.socket.data = link
    this.events.onLink(link)
    void link.closed.then(() => this.events.onLinkClosed(link))
    link.send(WELCOME)
    answer(link)
    if (rest.byteLength > 0) link.received(rest)
  }

  #end(reason: string | undefined): void {
    if (this.#over.signal.aborted) return
    this.#over.abort(new Error('no stranger any more'))
    this.events.onOver(reason)
  }
}
