/**
 * A UDP socket: datagrams for its owner, packets for the streams that run over it.
 *
 * Binds synchronously and throws at once, sends in batches, and does not close before its streams have. Packets that the
 * system refuses are lost, as on any network; what it cannot take right now waits in a bounded backlog.
 */
import { EventEmitter } from 'node:events'
import { isIP } from 'node:net'
import type { PacketPort } from './path.ts'
import type { BindOptions, BoundPort } from './port.ts'
import type { UDXStream } from './stream.ts'
import { Traffic } from './traffic.ts'
import type { UDX } from './udx.ts'

export interface SocketOptions {
  ipv6Only?: boolean
  reuseAddress?: boolean
}

export interface Address {
  host: string
  family: 4 | 6
  port: number
}

interface SocketEvents {
  message: [Buffer, Address]
  listening: []
  idle: []
  busy: []
  close: []
}

export class UDXSocket extends EventEmitter<SocketEvents> implements PacketPort {
  readonly udx: UDX
  readonly streams = new Set<UDXStream>()
  userData: unknown = null
  readonly traffic = new Traffic()
  readonly #options: BindOptions
  #port: BoundPort | undefined
  #address: Address | undefined
  #closing: Promise<void> | undefined
  #closed = false

  constructor(udx: UDX, options: SocketOptions = {}) {
    super()
    this.udx = udx
    this.#options = { ipv6Only: options.ipv6Only === true, reuseAddress: options.reuseAddress === true }
  }

  get bound(): boolean {
    return this.#address !== undefined
  }

  get closing(): boolean {
    return this.#closing !== undefined
  }

  get idle(): boolean {
    return this.streams.size === 0
  }

  get busy(): boolean {
    return this.streams.size > 0
  }

  get bytesTransmitted(): number {
    return this.traffic.bytesTransmitted
  }

  get packetsTransmitted(): number {
    return this.traffic.packetsTransmitted
  }

  get bytesReceived(): number {
    return this.traffic.bytesReceived
  }

  get packetsReceived(): number {
    return this.traffic.packetsReceived
  }

  /** Always -1, unknown: Bun does not pass the kernel's counter on. */
  get packetsDroppedByKernel(): number {
    return this.bound ? -1 : 0
  }

  toJSON(): Record<string, unknown> {
    return {
      bound: this.bound,
      closing: this.closing,
      streams: this.streams.size,
      address: this.address(),
      ...this.#options,
      idle: this.idle,
      busy: this.busy,
    }
  }

  /** Where the socket is bound; null before. */
  address(): Address | null {
    return this.#address === undefined ? null : { ...this.#address }
  }

  /**
   * Bind now. Without a host: to all addresses of both families, or of IPv4 where there is no IPv6.
   *
   * @throws {Error} when bound or closing already, when `host` is no IP address, and with the system's code, such as
   * EADDRINUSE, when it refuses
   */
  bind(port = 0, host?: string): void {
    if (this.bound) throw new Error('Already bound')
    if (this.closing) throw new Error('Socket is closed')
    const wanted = port || 0
    if (host) {
      if (isIP(host) === 0) throw new Error(`${host} is not a valid IP address`)
      this.#open(wanted, host)
    } else {
      try {
        this.#open(wanted, '::')
      } catch {
        this.#open(wanted, '0.0.0.0')
      }
    }
    this.emit('listening')
  }

  /** Close once no stream uses the socket any more. Resolves after `close` has been emitted; idempotent. */
  close(): Promise<void> {
    if (this.#closing === undefined) {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#closing = promise
      this.once('close', resolve)
      this.#closeMaybe()
    }
    return this.#closing
  }

  /**
   * Send one datagram.
   *
   * @param ttl hops for this datagram alone; 0 takes the socket's own
   * @returns whether the system took it; false on a closing socket
   * @throws {Error} when `host` is no IP address
   */
  async send(buffer: Uint8Array, port: number, host = '127.0.0.1', ttl = 0): Promise<boolean> {
    if (this.closing) return false
    const { promise, resolve } = Promise.withResolvers<boolean>()
    this.#sendDatagram(buffer, port, host || '127.0.0.1', ttl, resolve)
    return promise
  }

  /** Send one datagram and forget it. @throws {Error} when `host` is no IP address */
  trySend(buffer: Uint8Array, port: number, host = '127.0.0.1', ttl = 0): void {
    if (this.closing) return
    this.#sendDatagram(buffer, port, host || '127.0.0.1', ttl, undefined)
  }

  /** Hops for everything that is sent without a `ttl` of its own, 1 to 255. */
  setTTL(ttl: number): void {
    this.#active().setTTL(ttl)
  }

  getRecvBufferSize(): number {
    return this.#active().bufferBytes('receive')
  }

  /** @returns what the system granted, 0 where it cannot be known */
  setRecvBufferSize(bytes: number): number {
    return this.#active().setBufferBytes('receive', bytes)
  }

  getSendBufferSize(): number {
    return this.#active().bufferBytes('send')
  }

  /** @returns what the system granted, 0 where it cannot be known */
  setSendBufferSize(bytes: number): number {
    return this.#active().setBufferBytes('send', bytes)
  }

  /** Join a multicast group. @throws {Error} when not bound, and with the system's code */
  addMembership(group: string, interfaceAddress?: string): void {
    this.#active().setMembership(group, interfaceAddress || undefined, true)
  }

  /** Leave a multicast group. @throws {Error} when not bound, and with the system's code */
  dropMembership(group: string, interfaceAddress?: string): void {
    this.#active().setMembership(group, interfaceAddress || undefined, false)
  }

  // PacketPort, for streams

  get writable(): boolean {
    return this.#port?.writable === true
  }

  get probesSize(): boolean {
    return this.#port?.dontFragment === true
  }

  queue(bytes: Uint8Array, port: number, host: string): void {
    if (this.#port === undefined) return
    this.traffic.sent(bytes.byteLength)
    this.udx.traffic.sent(bytes.byteLength)
    this.#port.queue(bytes, port, host)
  }

  sendFragmentable(bytes: Uint8Array, port: number, host: string): void {
    if (this.#port === undefined) return
    this.traffic.sent(bytes.byteLength)
    this.udx.traffic.sent(bytes.byteLength)
    this.#port.sendFragmentable(bytes, port, host)
  }

  flush(): void {
    this.#port?.flush()
  }

  /** For streams: this one sends over the socket now. */
  addStream(stream: UDXStream): void {
    if (this.streams.has(stream)) return
    this.streams.add(stream)
    if (this.streams.size === 1) this.emit('busy')
  }

  /** For streams: this one does so no longer. */
  removeStream(stream: UDXStream): void {
    if (!this.streams.delete(stream)) return
    if (this.idle && !this.#closeMaybe()) this.emit('idle')
  }

  #open(port: number, host: string): void {
    const bound = this.udx.bind(port, host, this.#options, {
      onData: (data, from, sender) => this.#onData(data, from, sender),
      onWritable: () => {
        for (const stream of this.streams) stream.onWritable()
      },
    })
    this.#port = bound
    this.#address = { host, family: bound.family, port: bound.port }
  }

  #onData(data: Buffer, port: number, from: string): void {
    this.traffic.received(data.byteLength)
    if (this.udx.receive(this, data, port, from)) return
    const host = unmapped(from)
    this.emit('message', data, { host, family: host.includes(':') ? 6 : 4, port })
  }

  #sendDatagram(buffer: Uint8Array, port: number, host: string, ttl: number, done?: (sent: boolean) => void): void {
    if (isIP(host) === 0) throw new Error(`${host} is not a valid IP address`)
    if (!this.bound) this.bind(0)
    this.traffic.sent(buffer.byteLength)
    this.udx.traffic.sent(buffer.byteLength)
    this.#active().send(buffer, port, host, ttl, done)
  }

  #closeMaybe(): boolean {
    if (this.#closed || this.#closing === undefined) return this.#closed
    if (this.busy) return false
    this.#closed = true
    if (this.#port === undefined) {
      this.emit('close')
      return true
    }
    this.udx.linger.leave(this)
    this.#port.close()
    this.#port = undefined
    this.udx.clock.defer({ run: () => this.emit('close') })
    return true
  }

  #active(): BoundPort {
    if (this.#port === undefined) throw new Error('Socket not active')
    return this.#port
  }
}

/** An IPv4 address as IPv4 writes it, also where a dual-stack socket reports it mapped into IPv6. */
export function unmapped(host: string): string {
  return host.startsWith('::ffff:') && host.includes('.') ? host.slice(7) : host
}
