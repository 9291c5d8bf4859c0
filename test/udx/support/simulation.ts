/**
 * A simulated network for the core of packages/udx: a clock that jumps from event to event, and links with rate, delay,
 * queue, loss and reordering, all from one seed. The same seed gives the same run.
 */
import type { Clock, Task } from '../../../packages/udx/src/clock.ts'
import { emptyHeader, readHeader } from '../../../packages/udx/src/codec.ts'
import { Connection } from '../../../packages/udx/src/connection.ts'
import type { CloseCode } from '../../../packages/udx/src/events.ts'
import { Linger } from '../../../packages/udx/src/linger.ts'
import type { PacketPort } from '../../../packages/udx/src/path.ts'

interface Event {
  at: number
  order: number
  action: (() => void) | undefined
}

export class SimulatedClock implements Clock {
  #now = 1
  #order = 0
  #tasks: Task[] = []
  readonly #heap: Event[] = []

  now(): number {
    return this.#now
  }

  timer(callback: () => void, delayMs: number): unknown {
    const event = { at: this.#now + Math.max(delayMs, 0.001), order: this.#order++, action: callback }
    this.#push(event)
    return event
  }

  clear(timer: unknown): void {
    ;(timer as Event).action = undefined
  }

  defer(task: Task): void {
    this.#tasks.push(task)
  }

  /** Timers that are still to go off. */
  get pending(): number {
    return this.#heap.filter(({ action }) => action !== undefined).length
  }

  /** Let time pass until `until` holds or `limitMs` are over. @returns milliseconds passed */
  run(limitMs: number, until: () => boolean = () => false): number {
    const start = this.#now
    const end = start + limitMs
    this.#runTasks()
    while (!until()) {
      const event = this.#pop(end)
      if (event === undefined) break
      this.#now = Math.max(this.#now, event.at)
      event.action?.()
      this.#runTasks()
    }
    if (!until()) this.#now = end
    return this.#now - start
  }

  /** Like {@link run}, with a turn of the real event loop after each event, for code that also uses microtasks. */
  async runAsync(limitMs: number, until: () => boolean = () => false): Promise<number> {
    const start = this.#now
    const end = start + limitMs
    await this.#settle()
    while (!until()) {
      const event = this.#pop(end)
      if (event === undefined) break
      this.#now = Math.max(this.#now, event.at)
      event.action?.()
      await this.#settle()
    }
    if (!until()) this.#now = end
    return this.#now - start
  }

  /** Time passes without anything happening: a machine that sleeps. Timers go off late. */
  sleep(ms: number): void {
    this.#now += ms
  }

  async #settle(): Promise<void> {
    do {
      this.#runTasks()
      await new Promise((resolve) => setImmediate(resolve))
    } while (this.#tasks.length > 0)
  }

  #runTasks(): void {
    for (let rounds = 0; this.#tasks.length > 0 && rounds < 100; rounds++) {
      for (const task of this.#tasks.splice(0)) task.run()
    }
  }

  #push(event: Event): void {
    const heap = this.#heap
    let i = heap.push(event) - 1
    while (i > 0) {
      const up = (i - 1) >> 1
      const parent = heap[up]
      if (parent === undefined || before(parent, event)) break
      heap[i] = parent
      i = up
    }
    heap[i] = event
  }

  #pop(limit: number): Event | undefined {
    const heap = this.#heap
    const first = heap[0]
    if (first === undefined || first.at > limit) return undefined
    const last = heap.pop()
    if (heap.length === 0 || last === undefined) return first
    let i = 0
    for (;;) {
      let child = 2 * i + 1
      let smaller = heap[child]
      if (smaller === undefined) break
      const right = heap[child + 1]
      if (right !== undefined && before(right, smaller)) {
        smaller = right
        child++
      }
      if (before(last, smaller)) break
      heap[i] = smaller
      i = child
    }
    heap[i] = last
    return first
  }
}

function before(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}

/** A small generator of numbers in [0, 1): mulberry32. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

export interface LinkOptions {
  delayMs: number
  /** Bytes per millisecond; unlimited when left out. */
  bytesPerMs?: number
  /** Bytes that wait before the link; more are dropped. */
  queueBytes?: number
  /** Chance that a packet is lost. */
  loss?: number
  /** Chance that a packet is held back by up to `reorderMs`. */
  reorder?: number
  reorderMs?: number
  /** Packets with more bytes, IP and UDP headers included, do not pass. */
  mtu?: number
  /** A packet for which this holds is lost. */
  drop?: (packet: Uint8Array, index: number) => boolean
}

/** One direction: a port to send into; what comes out goes to `deliver`. */
export class Link implements PacketPort {
  readonly writable = true
  readonly probesSize = true
  deliver: (packet: Uint8Array) => void = () => {}
  packets = 0
  dropped = 0
  readonly #clock: Clock
  readonly #random: () => number
  options: LinkOptions
  #freeAt = 0

  constructor(clock: Clock, random: () => number, options: LinkOptions) {
    this.#clock = clock
    this.#random = random
    this.options = options
  }

  flush(): void {}

  /** In as many pieces as it takes: no packet is too large. */
  sendFragmentable(bytes: Uint8Array): void {
    const { mtu: _, ...options } = this.options
    const whole = this.options
    this.options = options
    this.queue(bytes)
    this.options = whole
  }

  queue(bytes: Uint8Array): void {
    this.carry(bytes, (packet) => this.deliver(packet))
  }

  /** Take a copy of `bytes` over the link, if it passes. */
  carry(bytes: Uint8Array, deliver: (packet: Buffer) => void): void {
    const { delayMs, bytesPerMs, queueBytes, loss = 0, reorder = 0, reorderMs = 0, mtu = 65535, drop } = this.options
    const index = this.packets++
    const size = bytes.byteLength + 28
    const now = this.#clock.now()
    const waiting = Math.max(0, this.#freeAt - now) * (bytesPerMs ?? 0)
    const lost =
      this.#random() < loss || size > mtu || drop?.(bytes, index) || (queueBytes !== undefined && waiting > queueBytes)
    if (lost) {
      this.dropped++
      return
    }
    if (bytesPerMs !== undefined) this.#freeAt = Math.max(now, this.#freeAt) + size / bytesPerMs
    const late = this.#random() < reorder ? this.#random() * reorderMs : 0
    const packet = Buffer.from(bytes)
    const arrival = Math.max(now, bytesPerMs === undefined ? now : this.#freeAt) + delayMs + late
    this.#clock.timer(() => deliver(packet), arrival - now)
  }
}

/** One end of a simulated stream, with everything that happened to it. */
export class End {
  readonly connection: Connection
  readonly link: Link
  received: Uint8Array[] = []
  receivedBytes = 0
  keep = true
  /** What counts as read: less than all closes the window. */
  reads = true
  /** Nothing more is to be written: for tests to note. */
  closing = false
  messages: Uint8Array[] = []
  ended = false
  drains = 0
  remoteChanges = 0
  closed: { code: CloseCode | undefined; at: number } | undefined
  readonly linger: Linger
  readonly id: number

  constructor(clock: Clock, id: number, link: Link) {
    this.id = id
    this.link = link
    this.linger = new Linger(clock)
    this.connection = new Connection(clock, {
      onData: (payload) => {
        this.receivedBytes += payload.byteLength
        if (this.keep) this.received.push(payload)
      },
      onEnd: () => {
        this.ended = true
      },
      onMessage: (payload) => this.messages.push(payload),
      onDrain: () => this.drains++,
      onAcked: () => {},
      onRemoteChanged: () => this.remoteChanges++,
      onClose: (code) => {
        this.closed = { code, at: clock.now() }
        const { farewell } = this.connection
        if (farewell !== undefined) this.linger.add(id, farewell)
      },
      unreadBytes: () => (this.reads ? 0 : this.receivedBytes),
    })
  }

  /** All bytes received, joined. */
  get bytes(): Buffer {
    return Buffer.concat(this.received)
  }

  take(packet: Uint8Array): void {
    const header = emptyHeader()
    if (!readHeader(packet, header)) return
    if (header.id !== this.id || this.connection.closed) this.linger.answer(header.id, header.flags)
    else this.connection.receive(packet, header)
  }
}

/** Two connected ends over two links. */
export function simulate(seed: number, there: LinkOptions, back: LinkOptions = there) {
  const clock = new SimulatedClock()
  const random = seeded(seed)
  const left = new End(clock, 1, new Link(clock, random, there))
  const right = new End(clock, 2, new Link(clock, random, back))
  left.link.deliver = (packet) => right.take(packet)
  right.link.deliver = (packet) => left.take(packet)
  left.connection.connect(pathOver(left.link, 2))
  right.connection.connect(pathOver(right.link, 1))
  return { clock, random, left, right }
}

/** A path to the stream `remoteId` over `link`. */
export function pathOver(link: Link, remoteId: number) {
  return { port: link, remoteId, remoteHost: '192.0.2.1', remotePort: 1, overheadBytes: 48 }
}
