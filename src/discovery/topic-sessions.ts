/**
 * The topics of this process at its Hyperswarm: those that fleets meet under, those under which it only tells that it is
 * there, and look-ups of a moment.
 *
 * Knows nothing of what topics stand for. How often the topics of fleets are looked up again is its owner's business.
 */
import type Hyperswarm from 'hyperswarm'
import type { Discovery as TopicSession } from 'hyperswarm'
import type { Clock } from '../base/clock.ts'
import { abortable } from '../base/concurrency.ts'
import type { HostPort } from '../base/host-port.ts'
import { PEERS_SOUGHT_MAX } from '../base/limits.ts'
import type { Joined } from './discovery.ts'
import type { FleetDht } from './fleet-dht.ts'

/** How long a peer that was sought keeps its precedence: the budget of a connection on a LAN, and some more. */
const SOUGHT_MS = 5_000
/** Several nodes come to know others at once: one look for all of them. */
const SOON_MS = 20

export class TopicSessions {
  readonly #meeting = new Set<TopicSession>()
  /** Keys in hex. */
  readonly #sought = new Set<string>()
  #refreshing = false
  /** A daemon looks for others at once, and announces itself when its server can be found. */
  #listening = false

  constructor(
    private readonly swarm: Hyperswarm,
    private readonly dht: FleetDht,
    private readonly clock: Clock,
    private readonly over: AbortSignal,
  ) {
    swarm.on('connection', (_stream, { publicKey }) => this.#release(publicKey))
  }

  /** This process can be found from now on. */
  listening(): void {
    this.#listening = true
    this.refresh()
  }

  /** Announce ourselves and look for others. */
  meet(topic: Uint8Array): Joined {
    const session = this.swarm.join(Buffer.from(topic), { server: this.#listening, client: true })
    this.#meeting.add(session)
    return this.#joined(session)
  }

  /** Announce ourselves only; Hyperswarm does so again every ten to twelve minutes. */
  announce(topic: Uint8Array): Joined {
    return this.#joined(this.swarm.join(Buffer.from(topic), { server: true, client: false }))
  }

  /**
   * Call those who are announced under `topic` now, before others and beyond `maxPeers`, `PEERS_SOUGHT_MAX` at most.
   *
   * @returns how many are called or connected already, once the look-up is through @throws `signal.reason`
   */
  async seek(topic: Uint8Array, signal: AbortSignal): Promise<number> {
    const found = new Set<string>()
    const query = this.dht.lookup(Buffer.from(topic))
    const calling = async () => {
      for await (const { peers } of query)
        for (const { publicKey, relayAddresses } of peers) {
          const key = hex(publicKey)
          if (found.has(key)) continue
          if (found.size >= PEERS_SOUGHT_MAX) return
          found.add(key)
          this.#call(publicKey, relayAddresses)
        }
    }
    try {
      await abortable(calling(), signal)
    } finally {
      query.destroy()
    }
    return found.size
  }

  /** Resolves once look-ups are through, and all whom they found are connected or were tried. @throws `signal.reason` */
  async settled(signal: AbortSignal): Promise<void> {
    await abortable(this.swarm.flush(), signal)
  }

  /** Look the topics of fleets up again, and announce ourselves there. */
  refresh(): void {
    for (const session of this.#meeting) void session.refresh({ client: true, server: this.#listening }).catch(() => {})
  }

  /** The same in some milliseconds, once however often it is called. */
  refreshSoon(): void {
    if (this.#refreshing) return
    this.#refreshing = true
    void this.clock.sleep(SOON_MS, this.over).then(
      () => {
        this.#refreshing = false
        this.refresh()
      },
      () => {},
    )
  }

  #joined(session: TopicSession): Joined {
    return {
      flushed: async (signal) => void (await abortable(session.flushed(), signal)),
      leave: async () => {
        this.#meeting.delete(session)
        await session.destroy()
      },
    }
  }

  #call(publicKey: Uint8Array, relayAddresses: readonly HostPort[]): void {
    const key = hex(publicKey)
    if (this.#sought.has(key) || this.over.aborted) return
    this.#sought.add(key)
    this.dht.expect(publicKey, relayAddresses)
    this.swarm.joinPeer(publicKey)
    // One that has been found already waits in a queue, and joinPeer leaves it there.
    this.swarm._attemptClientConnections()
    this.clock.sleep(SOUGHT_MS, this.over).then(
      () => this.#release(publicKey),
      () => {},
    )
  }

  #release(publicKey: Uint8Array): void {
    if (!this.#sought.delete(hex(publicKey))) return
    this.swarm.leavePeer(publicKey)
    this.dht.forget(publicKey)
  }
}

function hex(key: Uint8Array): string {
  return Buffer.from(key).toString('hex')
}
