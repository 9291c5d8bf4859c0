/**
 * Multicast DNS: daemons tell of themselves on every LAN that they are attached to, everybody hears and asks.
 *
 * Works beside other responders on port 5353 (avahi, systemd-resolved), which is shared. An interface without multicast,
 * a port that is barred or a packet of rubbish costs one line in the log: discovery then has its other ways. Members
 * only are told to the owner; whom a record belongs to is in beacon-record.ts.
 */
import multicastDns, { type MulticastDns, type Packet, type Remote } from 'multicast-dns'
import type { Clock } from '../base/clock.ts'
import { systemCodeOf } from '../base/errors.ts'
import type { HostPort } from '../base/host-port.ts'
import { BEACON_ANSWERS_PER_SECOND_MAX, BEACON_INTERFACES_MAX } from '../base/limits.ts'
import { type Logger, roomLogger } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import { type Beacon, encodeAsker, encodeBeacon, readAskers, readBeacons, SERVICE } from './beacon-record.ts'
import { isOnLink, type MulticastInterface } from './network.ts'

/** RFC 6762, section 6: a record is multicast once a second at most; section 5.2: so is a question. */
const AGAIN_MS = 1_000
const RARELY_MS = 240_000
/**
 * Those that answer one question wait up to so long, so that not all speak at once. RFC 6762 asks for 20 to 120 ms, for
 * networks on which packets collide; on a switched one a restore would wait for nothing.
 */
const ANSWER_SPREAD_MS = 30

export interface LanBeaconOptions {
  /** 16 random bytes, fresh for this process. */
  readonly nonce: Uint8Array
  /** UDP port to announce on interfaces of this family; undefined for who only listens. */
  readonly portOf: (family: 4 | 6) => number | undefined
  /** Whether this machine has IPv4: a peer that has it too is then found by the DHT, not called directly over IPv6. */
  readonly hasIPv4: () => boolean
  /** The tag of every fleet of this machine for a beacon with this nonce and port. */
  readonly tagsOf: (nonce: Uint8Array, port: number) => readonly Uint8Array[]
  /** Called for every beacon of a member that is heard. */
  readonly onHeard: (address: HostPort) => void
  /** UDP port from which who only listens will call those that answer; undefined for all others. */
  readonly askerPortOf: (family: 4 | 6) => number | undefined
  /** Called before a member that only listens is answered; `ours` is our address on that interface. */
  readonly onAsked: (asker: HostPort, ours: string) => void
  readonly clock: Clock
  readonly random: Random
}

interface Listener {
  readonly interface: MulticastInterface
  readonly dns: MulticastDns
  announcedMs: number
  usable: boolean
  /** Tells of what the system would not send. */
  readonly onSent: (error?: Error | null) => void
}

export class LanBeacon {
  readonly #log: Logger = roomLogger('discovery')
  readonly #over = new AbortController()
  readonly #listeners = new Map<string, Listener>()
  readonly #told = new Set<string>()
  #askedMs = Number.NEGATIVE_INFINITY
  readonly #answersAlone: PerSecond
  readonly #askersNoted: PerSecond

  constructor(private readonly options: LanBeaconOptions) {
    this.#answersAlone = new PerSecond(BEACON_ANSWERS_PER_SECOND_MAX, options.clock)
    this.#askersNoted = new PerSecond(BEACON_ANSWERS_PER_SECOND_MAX, options.clock)
  }

  /** Listen on these interfaces, and no more on others; a new one is told of us, and asked, at once. */
  follow(interfaces: readonly MulticastInterface[]): void {
    const wanted = interfaces.slice(0, BEACON_INTERFACES_MAX)
    const keys = new Set(wanted.map(keyOf))
    for (const [key, listener] of this.#listeners) {
      if (keys.has(key)) continue
      this.#listeners.delete(key)
      listener.dns.destroy()
    }
    for (const each of wanted) if (!this.#listeners.has(keyOf(each))) this.#listen(each)
  }

  /**
   * Ask who is there; answers come to `onHeard`. Too soon after the last time nothing is asked.
   *
   * @param alone whether nobody is connected. Else it is for the case only that two parts of a fleet have not heard of
   *   each other: everybody answers every question, so it is asked rarely
   */
  ask(alone: boolean): void {
    const nowMs = this.options.clock.nowMs()
    if (nowMs - this.#askedMs < (alone ? AGAIN_MS : RARELY_MS)) return
    this.#askedMs = nowMs
    for (const listener of this.#listeners.values()) if (listener.usable) this.#ask(listener)
  }

  /** Tell all again, since the fleets of this machine have changed. */
  announce(): void {
    for (const listener of this.#listeners.values()) if (listener.usable) this.#announce(listener)
  }

  /** Say goodbye and close. */
  async close(): Promise<void> {
    if (this.#over.signal.aborted) return
    this.#over.abort(new Error('the beacon has ended'))
    for (const listener of this.#listeners.values()) {
      const port = this.options.portOf(listener.interface.family)
      if (listener.usable && port !== undefined)
        listener.dns.respond({ answers: this.#records(listener, port, true) }, null, () => {})
    }
    const closed = [...this.#listeners.values()].map(({ dns }) => {
      const { promise, resolve } = Promise.withResolvers<void>()
      // One turn, in which the goodbye leaves.
      setImmediate(() => dns.destroy(resolve))
      return promise
    })
    this.#listeners.clear()
    await Promise.all(closed)
  }

  #listen(where: MulticastInterface): void {
    const six = where.family === 6
    const dns = multicastDns({
      type: six ? 'udp6' : 'udp4',
      bind: six ? '::' : '0.0.0.0',
      interface: six ? `::%${where.name}` : where.address,
      ...(six ? { ip: 'ff02::fb' } : {}),
    })
    // Either the system refuses something, or a packet is none of DNS, which is nobody's business.
    const onTrouble = (error?: Error | null) => {
      const code = systemCodeOf(error)
      if (code !== undefined)
        this.#tell(`multicast does not work on ${where.name} (${code}): peers are found there by addresses only`)
      else if (error) this.#log.debug(`Multicast on ${where.name}: ${error.message}`)
    }
    const announcedMs = Number.NEGATIVE_INFINITY
    const listener: Listener = { interface: where, dns, announcedMs, usable: false, onSent: onTrouble }
    this.#listeners.set(keyOf(where), listener)
    dns.on('error', (error) => this.#tell(`${where.name} cannot be used for multicast: ${error.message}`))
    dns.on('warning', onTrouble)
    dns.on('ready', () => {
      if (this.#over.signal.aborted) return
      listener.usable = true
      this.#announce(listener)
      this.#ask(listener)
    })
    dns.on('response', (packet, from) => this.#hear(packet, from))
    dns.on('query', (packet, from) => {
      const asked = packet.questions.some(({ name, type }) => name === SERVICE && (type === 'PTR' || type === 'ANY'))
      if (!asked || !isOnLink(where, from.address)) return
      this.#noteAskers(packet, from, where.address)
      void this.#answer(listener, from).catch(() => {})
    })
  }

  /** By multicast, for all to hear; to the asker alone where that was done just now. */
  async #answer(listener: Listener, from: Remote): Promise<void> {
    const { clock, random, portOf } = this.options
    const port = portOf(listener.interface.family)
    if (port === undefined) return
    const recent = clock.nowMs() - listener.announcedMs < AGAIN_MS
    if (recent && !this.#answersAlone.allows()) return
    if (!recent) listener.announcedMs = clock.nowMs()
    await clock.sleep(random.next() * ANSWER_SPREAD_MS, this.#over.signal)
    const answers = this.#records(listener, port)
    listener.dns.respond({ answers }, recent ? { address: from.address, port: from.port } : null, listener.onSent)
  }

  #ask({ dns, onSent, interface: { family } }: Listener): void {
    const { askerPortOf, nonce, tagsOf } = this.options
    const port = askerPortOf(family)
    const additionals = port === undefined ? [] : encodeAsker({ nonce, port, tags: tagsOf(nonce, port) })
    dns.query({ questions: [{ name: SERVICE, type: 'PTR' }], additionals }, onSent)
  }

  #noteAskers(packet: Packet, from: Remote, ours: string): void {
    if (this.options.portOf(from.address.includes(':') ? 6 : 4) === undefined) return
    for (const asker of readAskers(packet)) {
      if (!this.#isMember(asker) || !this.#askersNoted.allows()) continue
      this.options.onAsked({ host: from.address, port: asker.port }, ours)
    }
  }

  /** Whether it is of a fleet of ours, and not of ourselves. */
  #isMember({ nonce, port, tags }: Beacon): boolean {
    if (Buffer.from(nonce).equals(this.options.nonce)) return false
    const ours = this.options.tagsOf(nonce, port)
    return tags.some((tag) => ours.some((own) => Buffer.from(own).equals(tag)))
  }

  #announce(listener: Listener): void {
    const { portOf, clock } = this.options
    const port = portOf(listener.interface.family)
    if (port === undefined) return
    listener.announcedMs = clock.nowMs()
    listener.dns.respond({ answers: this.#records(listener, port) }, null, listener.onSent)
  }

  #records({ interface: { address } }: Listener, port: number, leaving = false) {
    const { nonce, tagsOf, hasIPv4 } = this.options
    const tags = tagsOf(nonce, port)
    return encodeBeacon({ nonce, port, direct: !hasIPv4(), tags, addresses: [address] }, leaving)
  }

  #hear(packet: Packet, from: Remote): void {
    for (const beacon of readBeacons(packet)) {
      const { port, direct, addresses } = beacon
      if (from.address.includes(':') && !direct && this.options.hasIPv4()) continue
      if (!this.#isMember(beacon)) continue
      // Where it came from reaches us; the name of a link-local IPv6 address is of use on this machine only.
      const named = addresses.find((address) => address.includes(':') && !address.startsWith('fe80:'))
      const host = from.address.startsWith('fe80:') ? (named ?? from.address) : from.address
      this.options.onHeard({ host, port })
    }
  }

  #tell(problem: string): void {
    if (this.#told.has(problem) || this.#over.signal.aborted) return
    this.#told.add(problem)
    this.#log.warn(problem)
  }
}

/** A bound on what others can make us do in a second. */
class PerSecond {
  #sinceMs = Number.NEGATIVE_INFINITY
  #count = 0

  constructor(
    private readonly most: number,
    private readonly clock: Clock,
  ) {}

  /** Whether once more is within the bound. */
  allows(): boolean {
    const nowMs = this.clock.nowMs()
    if (nowMs - this.#sinceMs >= 1_000) {
      this.#sinceMs = nowMs
      this.#count = 0
    }
    return ++this.#count <= this.most
  }
}

function keyOf({ name, address, family }: MulticastInterface): string {
  return `${name} ${family} ${address}`
}
