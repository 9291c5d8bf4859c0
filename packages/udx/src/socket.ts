/**
 * A UDP socket: datagrams for its owner, packets for the streams that run over it.
 *
 * Binds synchronously and throws at once, sends in batches, and does not close before its streams have. Packets that the
 * system refuses are lost, as on any network; what it cannot take right now waits in a bounded backlog.
 */
import { EventEmitter } from 'node:events'
import { isIP } from 'node:net'
import type { udp } from 'bun'
import { Traffic } from './connection.ts'
import type { PacketPort } from './path.ts'
import type { UDXStream } from './stream.ts'
import * as system from './system.ts'
import type { UDX } from './udx.ts'

const TTL_DEFAULT = 64
/** What sendmmsg takes in one call on Bun. */
const BATCH_PACKETS = 64
const BACKLOG_PACKETS_MAX = 1024
/** Enough for a full window of one stream while our thread is busy elsewhere. */
const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024
const SEND_BUFFER_BYTES = 1024 * 1024
/** Bun's own flags for {@link Bun.udpSocket}: libusockets.h. */
const FLAG_REUSE_ADDRESS = 16
const FLAG_IPV6_ONLY = 8

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

interface Waiting {
  bytes: Uint8Array
  port: number
  host: string
  ttl: number
  done: ((sent: boolean) => void) | undefined
}

type BunSocket = udp.Socket<'buffer'> & { readonly fd?: number }

export class UDXSocket extends EventEmitter<SocketEvents> implements PacketPort {
  readonly udx: UDX
  readonly streams = new Set<UDXStream>()
  userData: unknown = null
  readonly traffic = new Traffic()
  readonly #ipv6Only: boolean
  readonly #reuseAddress: boolean
  #bun: BunSocket | undefined
  #address: Address | undefined
  #dontFragment = false
  #ttl = TTL_DEFAULT
  #closing: Promise<void> | undefined
  #closed = false
  readonly #batch: (Uint8Array | number | string)[] = []
  #backlog: Waiting[] = []

  constructor(udx: UDX, options: SocketOptions = {}) {
    super()
    this.udx = udx
    this.#ipv6Only = options.ipv6Only === true
    this.#reuseAddress = options.reuseAddress === true
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
      ipv6Only: this.#ipv6Only,
      reuseAddress: this.#reuseAddress,
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
    this.#ttl = ttl
  }

  getRecvBufferSize(): number {
    return system.receiveBuffer(this.#fd()) ?? 0
  }

  /** @returns what the system granted, 0 where it cannot be known */
  setRecvBufferSize(bytes: number): number {
    return system.setReceiveBuffer(this.#fd(), bytes) ?? 0
  }

  getSendBufferSize(): number {
    return system.sendBuffer(this.#fd()) ?? 0
  }

  /** @returns what the system granted, 0 where it cannot be known */
  setSendBufferSize(bytes: number): number {
    return system.setSendBuffer(this.#fd(), bytes) ?? 0
  }

  addMembership(group: string, interfaceAddress?: string): void {
    const socket = this.#active()
    if (interfaceAddress) socket.addMembership(group, interfaceAddress)
    else socket.addMembership(group)
  }

  dropMembership(group: string, interfaceAddress?: string): void {
    const socket = this.#active()
    if (interfaceAddress) socket.dropMembership(group, interfaceAddress)
    else socket.dropMembership(group)
  }

  // PacketPort, for streams

  get writable(): boolean {
    return this.#backlog.length === 0
  }

  get probesSize(): boolean {
    return this.#dontFragment
  }

  queue(bytes: Uint8Array, port: number, host: string): void {
    this.#batch.push(bytes, port, host)
    this.traffic.packetsTransmitted++
    this.traffic.bytesTransmitted += bytes.byteLength
    this.udx.traffic.packetsTransmitted++
    this.udx.traffic.bytesTransmitted += bytes.byteLength
    if (this.#batch.length >= BATCH_PACKETS * 3) this.flush()
  }

  flush(): void {
    const batch = this.#batch
    if (batch.length === 0) return
    let at = this.#backlog.length > 0 ? 0 : this.#sendBatch(batch)
    for (; at < batch.length; at += 3) {
      this.#wait(batch[at] as Uint8Array, batch[at + 1] as number, batch[at + 2] as string, 0, undefined)
    }
    batch.length = 0
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

  #open(port: number, hostname: string): void {
    let flags = 0
    if (this.#ipv6Only && hostname.includes(':')) flags |= FLAG_IPV6_ONLY
    if (this.#reuseAddress) flags |= FLAG_REUSE_ADDRESS
    const options = {
      hostname,
      port,
      flags,
      socket: {
        data: (_socket: unknown, data: Buffer, from: number, host: string) => this.#onData(data, from, host),
        drain: () => this.#onDrain(),
        // An ICMP error of some earlier datagram: nobody waits for it.
        error: () => {},
      },
    }
    // Bun binds before it returns: the promise is settled, and a failure has been thrown.
    const socket = Bun.peek(Bun.udpSocket(options))
    if (socket instanceof Promise) throw new Error(`binding ${hostname} port ${port} did not finish at once`)
    this.#bun = socket
    const family = hostname.includes(':') ? 6 : 4
    this.#address = { host: hostname, family, port: socket.port }
    this.#tune(socket, family)
  }

  #tune(socket: BunSocket, family: 4 | 6): void {
    socket.setTTL(this.#ttl)
    const { fd } = socket
    if (typeof fd !== 'number' || fd < 0) return
    this.#dontFragment = system.setDontFragment(fd, family)
    system.ignoreIcmpErrors(fd, family)
    system.setReceiveBuffer(fd, RECEIVE_BUFFER_BYTES)
    system.setSendBuffer(fd, SEND_BUFFER_BYTES)
  }

  #onData(data: Buffer, port: number, from: string): void {
    this.traffic.bytesReceived += data.byteLength
    this.traffic.packetsReceived++
    if (this.udx.receive(this, data, port, from)) return
    const host = unmapped(from)
    this.emit('message', data, { host, family: host.includes(':') ? 6 : 4, port })
  }

  #onDrain(): void {
    const waiting = this.#backlog
    this.#backlog = []
    for (const [i, { bytes, port, host, ttl, done }] of waiting.entries()) {
      if (this.#sendOne(bytes, port, host, ttl)) {
        done?.(true)
        continue
      }
      this.#backlog = waiting.slice(i)
      return
    }
    for (const stream of this.streams) stream.onWritable()
  }

  #sendDatagram(
    buffer: Uint8Array,
    port: number,
    host: string,
    ttl: number,
    done: ((sent: boolean) => void) | undefined,
  ): void {
    if (isIP(host) === 0) throw new Error(`${host} is not a valid IP address`)
    if (!this.bound) this.bind(0)
    this.traffic.packetsTransmitted++
    this.traffic.bytesTransmitted += buffer.byteLength
    this.udx.traffic.packetsTransmitted++
    this.udx.traffic.bytesTransmitted += buffer.byteLength
    if (this.#backlog.length === 0 && this.#sendOne(buffer, port, host, ttl)) done?.(true)
    else this.#wait(buffer, port, host, ttl, done)
  }

  /** @returns false when the system wants us to wait; a datagram that it refuses is gone */
  #sendOne(bytes: Uint8Array, port: number, host: string, ttl: number): boolean {
    const socket = this.#bun
    if (socket === undefined) return true
    if (ttl > 0) socket.setTTL(ttl)
    try {
      return socket.send(bytes, port, host)
    } catch {
      // Unreachable, too large, no route: lost, as it might have been further on.
      return true
    } finally {
      if (ttl > 0) socket.setTTL(this.#ttl)
    }
  }

  /** @returns index into the batch of the first packet that the system wants us to wait with */
  #sendBatch(batch: (Uint8Array | number | string)[]): number {
    const socket = this.#bun
    if (socket === undefined) return batch.length
    let at = 0
    while (at < batch.length) {
      let sent: number
      try {
        sent = socket.sendMany(at === 0 ? batch : batch.slice(at))
      } catch {
        // The first of them is refused, perhaps because it is a probe larger than the link: it is lost.
        sent = 1
      }
      if (sent === 0) break
      at += sent * 3
    }
    return at
  }

  #wait(bytes: Uint8Array, port: number, host: string, ttl: number, done: ((sent: boolean) => void) | undefined): void {
    if (this.#backlog.length >= BACKLOG_PACKETS_MAX) {
      done?.(false)
      return
    }
    // The bytes are the sender's again as soon as we return.
    this.#backlog.push({ bytes: bytes.slice(), port, host, ttl, done })
  }

  #closeMaybe(): boolean {
    if (this.#closed || this.#closing === undefined) return this.#closed
    if (this.busy) return false
    this.#closed = true
    if (this.#bun === undefined) {
      this.emit('close')
      return true
    }
    this.udx.linger.leave(this)
    for (const { done } of this.#backlog) done?.(false)
    this.#backlog = []
    this.#bun.close()
    this.#bun = undefined
    setImmediate(() => this.emit('close'))
    return true
  }

  #active(): BunSocket {
    if (this.#bun === undefined) throw new Error('Socket not active')
    return this.#bun
  }

  #fd(): number {
    return this.#active().fd ?? -1
  }
}

/** An IPv4 address as IPv4 writes it, also where a dual-stack socket reports it mapped into IPv6. */
export function unmapped(host: string): string {
  return host.startsWith('::ffff:') && host.includes('.') ? host.slice(7) : host
}
