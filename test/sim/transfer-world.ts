/**
 * A crowd that fetches one environment: hosts, links, and what goes wrong between them, all from one seed.
 *
 * Machines come, vanish and come back; some lie; the network parts and heals. Whoever is parted from a peer, and has not
 * banned it, calls it again after a while.
 */
import { type Random, seededRandom } from '../../src/base/random.ts'
import { EventQueue } from './event-queue.ts'
import { type Behaviour, type Connection, SimHost } from './transfer-host.ts'
import { type LinkRates, Network, type Stream } from './transfer-network.ts'

export interface HostPlan extends LinkRates {
  readonly isSeed: boolean
  readonly behaviour: Behaviour
  readonly startMs: number
  /** It is cut off from then on, or until it comes back, with what it holds. */
  readonly vanishMs?: number
  readonly returnMs?: number
}

export interface Partition {
  readonly fromMs: number
  readonly toMs: number
  /** One side of it. */
  readonly hosts: ReadonlySet<number>
}

export interface WorldOptions {
  readonly seed: number
  readonly pieceBytes: readonly number[]
  readonly wireBytes: readonly number[]
  /** The ranges of the blob that a piece is a range of; undefined for a group of whole blobs. */
  readonly blobOf: (piece: number) => readonly number[] | undefined
  readonly hasTable: boolean
  readonly hosts: readonly HostPlan[]
  /** By host: whom it is linked with. */
  readonly links: readonly ReadonlySet<number>[]
  readonly partitions: readonly Partition[]
  readonly latencyMs: number
  readonly announceMs: number
  readonly slots: number
  readonly inFlightBytesMax: number
  /** Whether machines can be asked for the rest of a piece; undefined: they can. */
  readonly sendsRests?: boolean
}

const RECONNECT_MS = 2_000

export class World {
  readonly queue = new EventQueue()
  readonly network: Network
  readonly hosts: readonly SimHost[]
  readonly #streams = new Map<string, Stream>()
  #healed: (() => void)[] = []
  #waitedFor = 0
  /** Pieces that came from two machines. */
  togetherCount = 0

  constructor(readonly options: WorldOptions) {
    this.network = new Network(this.queue, options.latencyMs)
    const random = seededRandom(options.seed)
    this.hosts = options.hosts.map(({ behaviour, isSeed, ...rates }) => {
      const id = this.network.addHost(rates)
      return new SimHost(this, id, behaviour, isSeed, seededRandom(random.next() * 2 ** 32))
    })
    for (const [id, { startMs, vanishMs, returnMs }] of options.hosts.entries()) {
      const host = this.hosts[id]
      if (host === undefined) continue
      if (host.behaviour === 'honest' && !host.isSeed && (vanishMs === undefined || returnMs !== undefined))
        this.#waitedFor++
      this.queue.at(startMs, () => this.#come(host))
      if (vanishMs !== undefined) this.queue.at(vanishMs, () => this.#vanish(host))
      if (returnMs !== undefined) this.queue.at(returnMs, () => this.#come(host))
    }
    for (const { fromMs, toMs } of options.partitions) {
      this.queue.at(fromMs, () => this.#blockStreams())
      this.queue.at(toMs, () => this.#heal())
    }
  }

  /** @returns whether everybody who should be done is, in time */
  run(untilMs: number): boolean {
    while (this.#waitedFor > 0 && this.queue.step(untilMs)) {
      // Everything happens in the events.
    }
    return this.#waitedFor === 0
  }

  onDone(host: SimHost): void {
    host.doneMs = this.queue.nowMs
    const { vanishMs, returnMs } = this.options.hosts[host.id] ?? {}
    if (host.behaviour === 'honest' && (vanishMs === undefined || returnMs !== undefined)) this.#waitedFor--
  }

  isBlocked(one: number, other: number): boolean {
    const { nowMs } = this.queue
    return this.options.partitions.some(
      ({ fromMs, toMs, hosts }) => nowMs >= fromMs && nowMs < toMs && hosts.has(one) !== hosts.has(other),
    )
  }

  whenHealed(then: () => void): void {
    this.#healed.push(then)
  }

  /** End the connection of two hosts. @param forGood where one of them has banned the other */
  part(one: SimHost, other: SimHost, forGood: boolean): void {
    one.disconnect(other.name)
    other.disconnect(one.name)
    if (!forGood) this.queue.after(RECONNECT_MS, () => this.#connect(one, other))
  }

  #come(host: SimHost): void {
    host.isUp = true
    for (const id of this.options.links[host.id] ?? []) {
      const other = this.hosts[id]
      if (other !== undefined) this.#connect(host, other)
    }
  }

  #vanish(host: SimHost): void {
    for (const { peer } of [...host.connections.values()]) this.part(host, peer, true)
    host.isUp = false
  }

  #connect(one: SimHost, other: SimHost): void {
    if (!one.isUp || !other.isUp || one.connections.has(other.name)) return
    if (one.banned.has(other.name) || other.banned.has(one.name)) return
    if (this.isBlocked(one.id, other.id)) {
      this.queue.after(RECONNECT_MS, () => this.#connect(one, other))
      return
    }
    one.connect(this.#connection(one, other))
    other.connect(this.#connection(other, one))
  }

  #connection(from: SimHost, to: SimHost): Connection {
    const out = this.network.stream(from.id, to.id)
    this.#streams.set(`${from.id}>${to.id}`, out)
    return { peer: to, out, alive: true, sending: undefined }
  }

  #blockStreams(): void {
    for (const [ends, stream] of this.#streams) {
      const [from = 0, to = 0] = ends.split('>').map(Number)
      stream.block(this.isBlocked(from, to))
    }
  }

  #heal(): void {
    this.#blockStreams()
    const healed = this.#healed
    this.#healed = []
    for (const then of healed) then()
  }
}

/** Pieces of about `rawBytes`, on the wire a third of it, give or take 30 %. */
export function somePieces(
  count: number,
  rawBytes: number,
  random: Random,
): Pick<WorldOptions, 'pieceBytes' | 'wireBytes'> {
  const pieceBytes = Array.from({ length: count }, () => Math.round(rawBytes * (0.9 + 0.1 * random.next())))
  const wireBytes = pieceBytes.map((bytes) => Math.round((bytes / 3) * (0.7 + 0.6 * random.next())))
  return { pieceBytes, wireBytes }
}

/** Everybody is linked with everybody. */
export function fullMesh(hosts: number): ReadonlySet<number>[] {
  return Array.from({ length: hosts }, (_, own) => {
    const others = new Set<number>()
    for (let other = 0; other < hosts; other++) if (other !== own) others.add(other)
    return others
  })
}
