/**
 * A bound UDP socket of Bun: sends in batches, keeps what the system cannot take right now, sets the options that UDX
 * wants. Datagrams that the system refuses are lost, as on any network.
 */
import type { udp } from 'bun'
import type { BindOptions, BoundPort, BufferDirection, PortEvents } from './port.ts'
import { type Batch, Segments } from './segments.ts'
import * as system from './system.ts'

const TTL_DEFAULT = 64
/** What sendmmsg takes in one call on Bun. */
const BATCH_PACKETS = 64
const BACKLOG_PACKETS_MAX = 1024
/** Bun's own flags for {@link Bun.udpSocket}: libusockets.h. */
const FLAG_REUSE_ADDRESS = 16
const FLAG_IPV6_ONLY = 8

interface Waiting {
  bytes: Uint8Array
  port: number
  host: string
  ttl: number
  done: ((sent: boolean) => void) | undefined
}

type BunSocket = udp.Socket<'buffer'> & { readonly fd?: number }

export class Datagrams implements BoundPort {
  readonly family: 4 | 6
  readonly port: number
  readonly dontFragment: boolean
  readonly fd: number
  readonly #socket: BunSocket
  readonly #events: PortEvents
  readonly #batch: Batch = []
  readonly #segments: Segments | undefined
  #backlog: Waiting[] = []
  #ttl = TTL_DEFAULT

  /** Bind: see {@link BindPort}. */
  constructor(port: number, hostname: string, options: BindOptions, events: PortEvents) {
    this.#events = events
    this.family = hostname.includes(':') ? 6 : 4
    let flags = 0
    if (options.ipv6Only && this.family === 6) flags |= FLAG_IPV6_ONLY
    if (options.reuseAddress) flags |= FLAG_REUSE_ADDRESS
    const config = {
      hostname,
      port,
      flags,
      socket: {
        data: (_: unknown, data: Buffer, from: number, host: string) => this.#onData(data, from, host),
        drain: () => this.#onDrain(),
        // An ICMP error of some earlier datagram: nobody waits for it.
        error: () => {},
      },
    }
    // Bun binds before it returns: the promise is settled, and a failure has been thrown.
    const socket = Bun.peek(Bun.udpSocket(config))
    if (socket instanceof Promise) throw new Error(`binding ${hostname} port ${port} did not finish at once`)
    this.#socket = socket
    this.port = socket.port
    this.fd = this.#socket.fd ?? -1
    this.dontFragment = this.#tune()
    this.#segments = Segments.of(this.fd, this.family)
  }

  get writable(): boolean {
    return this.#backlog.length === 0
  }

  setTTL(ttl: number): void {
    this.#socket.setTTL(ttl)
    this.#ttl = ttl
  }

  bufferBytes(direction: BufferDirection): number {
    return system.bufferBytes(this.fd, direction) ?? 0
  }

  setBufferBytes(direction: BufferDirection, bytes: number): number {
    return system.setBufferBytes(this.fd, direction, bytes) ?? 0
  }

  setMembership(group: string, interfaceAddress: string | undefined, member: boolean): void {
    const socket = this.#socket
    if (member) interfaceAddress ? socket.addMembership(group, interfaceAddress) : socket.addMembership(group)
    else interfaceAddress ? socket.dropMembership(group, interfaceAddress) : socket.dropMembership(group)
  }

  queue(bytes: Uint8Array, port: number, host: string): void {
    if (this.#batch.push(bytes, port, host) >= BATCH_PACKETS * 3) this.flush()
  }

  flush(): void {
    const batch = this.#batch
    if (batch.length === 0) return
    let at = this.writable ? this.#sendBatch(batch) : 0
    for (; at < batch.length; at += 3) {
      this.#wait(batch[at] as Uint8Array, batch[at + 1] as number, batch[at + 2] as string, 0, undefined)
    }
    batch.length = 0
  }

  sendFragmentable(bytes: Uint8Array, port: number, host: string): void {
    this.flush()
    if (this.dontFragment) system.setDontFragment(this.fd, this.family, false)
    this.send(bytes, port, host, 0)
    if (this.dontFragment) system.setDontFragment(this.fd, this.family, true)
  }

  send(bytes: Uint8Array, port: number, host: string, ttl: number, done?: (sent: boolean) => void): void {
    if (this.writable && this.#sendOne(bytes, port, host, ttl)) done?.(true)
    else this.#wait(bytes, port, host, ttl, done)
  }

  close(): void {
    for (const { done } of this.#backlog) done?.(false)
    this.#backlog = []
    this.#socket.close()
  }

  #tune(): boolean {
    this.#socket.setTTL(this.#ttl)
    if (this.fd < 0) return false
    system.ignoreIcmpErrors(this.fd, this.family)
    return system.setDontFragment(this.fd, this.family, true)
  }

  #onData(data: Buffer, port: number, host: string): void {
    try {
      this.#events.onData(data, port, host)
    } catch (error) {
      // Bun would hand it to the socket's `error` above, where nobody hears it: a listener's error is the process's.
      queueMicrotask(() => {
        throw error
      })
    }
  }

  #onDrain(): void {
    const waiting = this.#backlog
    this.#backlog = []
    for (const [i, { bytes, port, host, ttl, done }] of waiting.entries()) {
      if (!this.#sendOne(bytes, port, host, ttl)) {
        this.#backlog = waiting.slice(i)
        return
      }
      done?.(true)
    }
    this.#events.onWritable()
  }

  /** @returns false when the system wants us to wait; a datagram that it refuses is gone */
  #sendOne(bytes: Uint8Array, port: number, host: string, ttl: number): boolean {
    if (ttl > 0) this.#socket.setTTL(ttl)
    try {
      return this.#socket.send(bytes, port, host)
    } catch {
      // Unreachable, too large, no route: lost, as it might have been further on.
      return true
    } finally {
      if (ttl > 0) this.#socket.setTTL(this.#ttl)
    }
  }

  /** @returns index into the batch of the first packet that the system wants us to wait with */
  #sendBatch(batch: Batch): number {
    const segments = this.#segments
    let at = 0
    while (at < batch.length) {
      const run = segments?.run(batch, at) ?? 0
      if (segments !== undefined && run > 0 && segments.send(batch, at, run)) {
        at += run * 3
        continue
      }
      const sent = this.#sendMany(batch, at, run > 0 ? at + run * 3 : this.#nextRun(batch, at))
      if (sent === 0) break
      if (run > 0) segments?.refused()
      at += sent * 3
    }
    return at
  }

  /** Index of the first packet after `batch[at]` that begins a run. */
  #nextRun(batch: Batch, at: number): number {
    if (this.#segments === undefined) return batch.length
    let end = at + 3
    while (end < batch.length && this.#segments.run(batch, end) === 0) end += 3
    return end
  }

  /** @returns how many packets from `batch[at]` to before `batch[end]` the system took */
  #sendMany(batch: Batch, at: number, end: number): number {
    try {
      return this.#socket.sendMany(at === 0 && end === batch.length ? batch : batch.slice(at, end))
    } catch {
      // The first of them is refused, perhaps because it is a probe larger than the link: it is lost.
      return 1
    }
  }

  #wait(bytes: Uint8Array, port: number, host: string, ttl: number, done: Waiting['done']): void {
    if (this.#backlog.length >= BACKLOG_PACKETS_MAX) {
      done?.(false)
      return
    }
    // The bytes are the sender's again as soon as we return.
    this.#backlog.push({ bytes: bytes.slice(), port, host, ttl, done })
  }
}
