/**
 * UDX for Bun: reliable, multiplexed, congestion-controlled streams over UDP, wire-compatible with udx-native.
 *
 * One UDX object is a set of sockets and streams; packets find their stream by its id, whatever socket they come in on.
 * The exported class has the interface of udx-native's; ../udx-native.cjs gives it the shape of its module.
 */
import { lookup as resolveHost } from 'node:dns/promises'
import { isIP, isIPv4, isIPv6 } from 'node:net'
import { type Clock, systemClock } from './clock.ts'
import { emptyHeader, readHeader } from './codec.ts'
import { Datagrams } from './datagrams.ts'
import { listInterfaces, type NetworkInterface, NetworkInterfaces } from './interfaces.ts'
import { Linger } from './linger.ts'
import type { BindOptions, BindPort, BoundPort, PortEvents } from './port.ts'
import { type SocketOptions, UDXSocket, unmapped } from './socket.ts'
import { type StreamOptions, UDXStream } from './stream.ts'
import { Traffic } from './traffic.ts'
import { RECEIVE_BUFFER_BYTES, SEND_BUFFER_BYTES, tune, type UDXWarning } from './warnings.ts'

export type { Clock, Task } from './clock.ts'
export type { NetworkInterface, NetworkInterfaces } from './interfaces.ts'
export type { BindOptions, BindPort, BoundPort, BufferDirection, PortEvents } from './port.ts'
export type { Address, SocketOptions, UDXSocket } from './socket.ts'
export type { ConnectOptions, Firewall, StreamOptions, UDXStream } from './stream.ts'
export type { UDXWarning } from './warnings.ts'

/** All may be left out; code written for udx-native gives none. */
export interface UDXOptions {
  /** Time for everything that this object does; the system's when left out. */
  clock?: Clock
  /** How to get a UDP port; the system's when left out. */
  bind?: BindPort
  /** Bytes to ask the system for, per socket; 4 MiB and 1 MiB when left out. */
  receiveBufferBytes?: number
  sendBufferBytes?: number
  /** Told what keeps UDX from its best on this machine, each thing once. */
  onWarning?: (warning: UDXWarning) => void
}

const bindDatagrams: BindPort = (port, host, options, events) => new Datagrams(port, host, options, events)

export class UDX {
  readonly clock: Clock
  readonly traffic = new Traffic()
  readonly linger: Linger
  readonly #streams = new Map<number, UDXStream>()
  readonly #watchers = new Set<NetworkInterfaces>()
  readonly #header = emptyHeader()
  readonly #options: UDXOptions
  readonly #warned = new Set<UDXWarning['code']>()

  constructor(options: UDXOptions = {}) {
    this.clock = options.clock ?? systemClock
    this.#options = options
    this.linger = new Linger(this.clock)
  }

  static isIPv4(host: string): boolean {
    return isIPv4(host)
  }

  static isIPv6(host: string): boolean {
    return isIPv6(host)
  }

  /** 4, 6, or 0 for what is no IP address. */
  static isIP(host: string): number {
    return isIP(host)
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

  /** Always -1, unknown. */
  get packetsDroppedByKernel(): number {
    return -1
  }

  /** Streams that are open. */
  get streamCount(): number {
    return this.#streams.size
  }

  createSocket(options?: SocketOptions): UDXSocket {
    return new UDXSocket(this, options)
  }

  /** @param id 32 bits, unique among this object's streams; the remote must know it */
  createStream(id: number, options?: StreamOptions): UDXStream {
    return new UDXStream(this, id, options)
  }

  networkInterfaces(): NetworkInterface[] {
    for (const watcher of this.#watchers) return watcher.interfaces
    return listInterfaces()
  }

  /** A watcher that is on already; destroy it when done. */
  watchNetworkInterfaces(onChange?: (interfaces: NetworkInterface[]) => void): NetworkInterfaces {
    const watcher = new NetworkInterfaces()
    this.#watchers.add(watcher)
    watcher.on('close', () => this.#watchers.delete(watcher))
    if (onChange) watcher.on('change', onChange)
    return watcher.watch()
  }

  /** Resolve a name to its first address. @throws the resolver's error, with its code */
  async lookup(host: string, options: { family?: 0 | 4 | 6 } = {}): Promise<{ host: string; family: number }> {
    const { address, family } = await resolveHost(host, { family: options.family ?? 0 })
    return { host: address, family }
  }

  /** For sockets: a bound port, tuned as far as the system allows. @throws {Error} with the system's code */
  bind(port: number, host: string, options: BindOptions, events: PortEvents): BoundPort {
    const { bind = bindDatagrams, onWarning } = this.#options
    const { receiveBufferBytes = RECEIVE_BUFFER_BYTES, sendBufferBytes = SEND_BUFFER_BYTES } = this.#options
    const bound = bind(port, host, options, events)
    for (const warning of tune(bound, receiveBufferBytes, sendBufferBytes)) {
      if (this.#warned.has(warning.code)) continue
      this.#warned.add(warning.code)
      onWarning?.(warning)
    }
    return bound
  }

  /** For streams: packets for its id go to this one. */
  addStream(stream: UDXStream): void {
    this.linger.delete(stream.id)
    this.#streams.set(stream.id, stream)
  }

  /** For streams: it has closed. */
  removeStream(stream: UDXStream): void {
    if (this.#streams.get(stream.id) !== stream) return
    this.#streams.delete(stream.id)
    const { farewell } = stream.connection
    if (farewell !== undefined) this.linger.add(stream.id, farewell)
  }

  /** For sockets: a datagram has come in. @returns false when it is no stream's */
  receive(socket: UDXSocket, bytes: Buffer, port: number, from: string): boolean {
    this.traffic.received(bytes.byteLength)
    const header = this.#header
    if (!readHeader(bytes, header)) return false
    const stream = this.#streams.get(header.id)
    if (stream === undefined) return this.linger.answer(header.id, header.flags)
    if (stream.socket !== socket) {
      const host = unmapped(from)
      if (stream.refuses(socket, port, host, host.includes(':') ? 6 : 4)) return true
      if (stream.connection.closed) return true
    }
    stream.connection.receive(bytes, header)
    return true
  }
}
