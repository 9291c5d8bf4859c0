/**
 * A simulated network for whole UDX objects: hosts with an address, ports that can be bound, a link for each direction
 * between two hosts. With {@link SimulatedClock}, everything above the operating system runs in simulated time.
 */
import type { BindPort, BoundPort, PortEvents } from '../../../packages/udx/src/port.ts'
import { UDX } from '../../../packages/udx/src/udx.ts'
import { Link, type LinkOptions, SimulatedClock, seeded } from './simulation.ts'

const EPHEMERAL_PORT = 40_000

export class Network {
  readonly clock = new SimulatedClock()
  /** Every datagram that was sent: time, sender, receiver, length. */
  readonly trace: string[] = []
  keepTrace = true
  options: LinkOptions
  readonly #random: () => number
  readonly #links = new Map<string, Link>()
  readonly #ports = new Map<string, { events: PortEvents; address: string; port: number }>()
  #nextPort = EPHEMERAL_PORT

  constructor(seed: number, options: LinkOptions) {
    this.#random = seeded(seed)
    this.options = options
  }

  /** A UDX object on the host with this address. */
  udx(address: string): UDX {
    return new UDX({ clock: this.clock, bind: this.#binder(address) })
  }

  /** Ports that are bound. */
  get bound(): number {
    return this.#ports.size
  }

  #binder(address: string): BindPort {
    return (wanted, _host, _options, events) => {
      const port = wanted || this.#nextPort++
      const key = `${address} ${port}`
      if (this.#ports.has(key)) throw Object.assign(new Error(`EADDRINUSE: ${key}`), { code: 'EADDRINUSE' })
      this.#ports.set(key, { events, address, port })
      return this.#boundPort(address, port, key)
    }
  }

  #boundPort(address: string, port: number, key: string): BoundPort {
    const queue = (bytes: Uint8Array, remotePort: number, host: string) =>
      this.#send(bytes, address, port, remotePort, host)
    const sizes = { receive: 0, send: 0 }
    return {
      family: address.includes(':') ? 6 : 4,
      port,
      dontFragment: true,
      writable: true,
      queue,
      flush() {},
      sendFragmentable: queue,
      send(bytes, remotePort, host, _ttl, done) {
        queue(bytes, remotePort, host)
        done?.(true)
      },
      setTTL() {},
      bufferBytes: (direction) => sizes[direction],
      setBufferBytes(direction, bytes) {
        sizes[direction] = bytes
        return bytes
      },
      setMembership() {},
      close: () => this.#ports.delete(key),
    }
  }

  #send(bytes: Uint8Array, from: string, fromPort: number, toPort: number, to: string): void {
    const route = `${from} ${to}`
    let link = this.#links.get(route)
    if (link === undefined) {
      link = new Link(this.clock, this.#random, this.options)
      this.#links.set(route, link)
    }
    link.options = this.options
    if (this.keepTrace) {
      this.trace.push(`${this.clock.now().toFixed(3)} ${from}:${fromPort} ${to}:${toPort} ${bytes.byteLength}`)
    }
    link.carry(bytes, (packet) => this.#ports.get(`${to} ${toPort}`)?.events.onData(packet, fromPort, from))
  }
}
