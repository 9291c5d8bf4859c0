/**
 * HyperDHT with the manners of a fleet: dead peers and dead nodes cost it next to nothing.
 *
 * A connection that does not open within its budget is given up, whoever could not be reached rests, and look-ups leave
 * the resting out, as they do whom the operator refuses. A call carries the word of our machine for the key that it is
 * made under, and the firewall reads that of others. On a private DHT this machine tells others that it can be reached
 * directly, at the address they see.
 */
import { UDX } from '@holo-peer/udx'
import HyperDHT, { type PingOptions, type Server, type ServerOptions } from 'hyperdht'
import type { SecretStream } from 'hyperswarm'
import type { Clock } from '../base/clock.ts'
import { formatHostPort, type HostPort } from '../base/host-port.ts'
import { roomLogger } from '../base/log.ts'
import type { Delegation } from '../trust/keys.ts'
import type { Refuses } from './hyperswarm-options.ts'
import { localAddresses } from './network.ts'
import type { RestingPeers } from './resting-peers.ts'
import { VouchedHandshake, type VouchedPayload } from './vouched-handshake.ts'

const log = roomLogger('discovery')

/** How often a DHT request is repeated: dht-rpc's five, a second apart, let one dead node hold up a look-up for 6 s. */
const LAN_RETRIES = 2
/** How long to wait for the answer of a DHT node that has not answered before, at the first try and the next ones. */
const LAN_ANSWER_MS = [400, 600, 900]
/** From the start of a connection until it is open. On a LAN: two round trips over a third machine, and some patience. */
const LAN_CONNECT_MS = 4_000
/** The same where a NAT may have to be punched. */
const PUBLIC_CONNECT_MS = 20_000
/** An idle connection says so often that it is there; NATs forget it after 30 s, connection tracking after 120 s. */
const LAN_KEEP_ALIVE_MS = 30_000
const PUBLIC_KEEP_ALIVE_MS = 15_000
/** How long a DHT node that has answered is believed to be there. */
const LAN_PING_MS = 45_000

export interface FleetDhtOptions {
  /** First UDP port to try, and the one after the last; where all are taken a free one is used. */
  readonly ports: readonly [number, number]
  /** IPv4, no names. */
  readonly bootstraps: readonly HostPort[]
  readonly dht: 'private' | 'public'
  readonly resting: RestingPeers
  readonly refuses: Refuses
  /** The word of our machine for the key that we call under, where that is not the machine's own. */
  readonly delegation: Delegation | undefined
  readonly clock: Clock
  /** Aborts when discovery ends. */
  readonly signal: AbortSignal
}

export class FleetDht extends HyperDHT {
  readonly #options: FleetDhtOptions
  /** By key in hex: the nodes by which those are called that are called by key alone. */
  readonly #expected = new Map<string, readonly HostPort[]>()
  /** By `host:port`; a few relays at a time. */
  readonly #pinged = new Map<string, { readonly answer: Promise<unknown>; readonly atMs: number }>()

  constructor(options: FleetDhtOptions) {
    const { ports, bootstraps, dht } = options
    const direct = dht === 'private'
    super({
      udx: new UDX({ onWarning: ({ message, hint }) => log.warning`${message}; ${hint}` }),
      port: [...ports],
      bootstrap: bootstraps.map(({ host, port }) => ({ host, port })),
      connectionKeepAlive: direct ? LAN_KEEP_ALIVE_MS : PUBLIC_KEEP_ALIVE_MS,
      ...(direct ? { firewalled: false, ephemeral: true, adaptiveTimeout: { fallback: LAN_ANSWER_MS } } : {}),
    })
    this.#options = options
  }

  override query(request: unknown, options: QueryOptions = {}): unknown {
    const { dht, resting, refuses, clock } = this.#options
    const { map } = options
    const nowMs = clock.nowMs()
    return super.query(request, {
      ...options,
      ...(dht === 'private' ? { retries: LAN_RETRIES } : {}),
      ...(map === undefined
        ? {}
        : {
            map: (reply: unknown) => {
              const found = map(reply)
              if (!isLookupReply(found)) return found
              // Who is refused is not even noted down: anybody can announce any number of keys.
              const welcome = (key: Uint8Array) => !resting.isResting(key, nowMs) && !refuses(key)
              return { ...found, peers: found.peers.filter(({ publicKey }) => welcome(publicKey)) }
            },
          }),
    })
  }

  override createServer(options: ServerOptions, onConnection?: (stream: SecretStream) => void): Server {
    const { refuses } = this.#options
    const { firewall } = options
    return super.createServer(
      {
        ...options,
        createHandshake: (keyPair, remoteKey) => new VouchedHandshake(keyPair, remoteKey, undefined),
        // Ours is asked first: Hyperswarm would note down whom it refuses, for good.
        firewall: (publicKey, payload: VouchedPayload, address) =>
          refuses(publicKey, payload.delegation) || firewall?.(publicKey, payload, address) === true,
      },
      onConnection,
    )
  }

  /** Call `publicKey` by these nodes, which a look-up has told, and not by those that it would have to be found at. */
  expect(publicKey: Uint8Array, relayAddresses: readonly HostPort[]): void {
    this.#expected.set(hex(publicKey), relayAddresses)
  }

  forget(publicKey: Uint8Array): void {
    this.#expected.delete(hex(publicKey))
  }

  #relaysTo(publicKey: Uint8Array, options: ConnectOptions): ConnectOptions {
    const relayAddresses = this.#expected.get(hex(publicKey))
    const known = options.relayAddresses ?? []
    return relayAddresses === undefined || known.length > 0 ? {} : { relayAddresses: [...relayAddresses] }
  }

  override connect(publicKey: Uint8Array, options: ConnectOptions = {}): SecretStream {
    const { dht, resting, delegation, clock, signal } = this.#options
    const stream = super.connect(publicKey, {
      ...options,
      ...this.#relaysTo(publicKey, options),
      createHandshake: (...[keyPair, remoteKey]: ConstructorParameters<typeof VouchedHandshake>) =>
        new VouchedHandshake(keyPair, remoteKey, delegation),
    })
    const settled = new AbortController()
    let opened = false
    stream.on('open', () => {
      opened = true
      settled.abort()
      resting.succeeded(publicKey)
    })
    stream.on('close', () => {
      settled.abort()
      // What ends before it has opened was refused, or found nobody; while we leave, all of them do.
      if (!opened && !signal.aborted) resting.failed(publicKey, clock.nowMs())
    })
    const budgetMs = dht === 'private' ? LAN_CONNECT_MS : PUBLIC_CONNECT_MS
    clock.sleep(budgetMs, AbortSignal.any([settled.signal, signal])).then(
      () => stream.destroy(new Error('the connection did not open in time')),
      () => {},
    )
    return stream
  }

  /**
   * A server asks the nodes that it is announced at every three seconds whether they are there: to keep a NAT open, which
   * a LAN has none of. There, one that has answered lately is believed.
   */
  override ping(to: HostPort, options?: PingOptions): Promise<unknown> {
    const { dht, clock } = this.#options
    if (dht === 'public' || options !== undefined) return super.ping(to, options)
    const key = formatHostPort(to.host, to.port)
    const known = this.#pinged.get(key)
    const nowMs = clock.nowMs()
    if (known !== undefined && nowMs - known.atMs < LAN_PING_MS) return known.answer
    const answer = super.ping(to)
    for (const [each, { atMs }] of this.#pinged) if (nowMs - atMs >= LAN_PING_MS) this.#pinged.delete(each)
    this.#pinged.set(key, { answer, atMs: nowMs })
    // A failure is not remembered: the next question may be answered.
    answer.catch(() => this.#pinged.delete(key))
    return answer
  }

  override remoteAddress(): HostPort | null {
    if (this.#options.dht === 'public') return super.remoteAddress()
    const port = this.io.serverSocket?.address().port
    const host = localAddresses()[0] ?? '127.0.0.1'
    return port === undefined ? null : { host, port }
  }
}

interface ConnectOptions {
  relayAddresses?: readonly HostPort[] | null
}

function hex(key: Uint8Array): string {
  return Buffer.from(key).toString('hex')
}

interface QueryOptions {
  retries?: number
  map?: (reply: unknown) => unknown
}

interface LookupReply {
  readonly peers: readonly { readonly publicKey: Uint8Array }[]
}

function isLookupReply(found: unknown): found is LookupReply {
  return typeof found === 'object' && found !== null && 'peers' in found && Array.isArray(found.peers)
}
