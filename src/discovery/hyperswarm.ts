/**
 * Discovery by Hyperswarm over a private DHT: the only importer of hyperswarm.
 *
 * A daemon hosts bootstrap nodes of its own, announces itself and looks for others; a client only looks, and is gone
 * without a trace. On a private DHT machines are taken for directly reachable (no NAT between them), which needs no
 * samples of other nodes: one bootstrap is enough. The public DHT is opt-in, and there NAT is found out and punched.
 * Whatever a network does (dead bootstraps, names without address, lost peers) is logged and passed over.
 */
import HyperDHT from 'hyperdht'
import Hyperswarm, { type Discovery as TopicSession } from 'hyperswarm'
import type { Clock } from '../base/clock.ts'
import { messageOf } from '../base/errors.ts'
import type { HostPort } from '../base/host-port.ts'
import { PEERS_MAX, SWARM_CLOSE_MS } from '../base/limits.ts'
import type { FrameLink } from '../base/link.ts'
import { roomLogger } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import type { KeyPair } from '../trust/keys.ts'
import { adoptBootstrap, BootstrapNodes } from './bootstrap-nodes.ts'
import type { Route } from './bootstrap-plan.ts'
import type { Discovery, Joined } from './discovery.ts'
import { localAddresses, routeTo } from './network.ts'
import { streamLink } from './stream-link.ts'

/** UDP ports of the swarm itself, first and after the last; where both are taken a free one is used. */
const SWARM_PORTS: [number, number] = [49738, 49740]
/** How often a DHT request is repeated, about a second apart. */
const LAN_RETRIES = 2
/** Connection attempts at once: enough that some dead peers do not hold up the live ones. */
const CONNECTS_AT_ONCE = 16
/** We look for peers again after so long, then twice as long each time, up to these while alone and while not. */
const LOOK_AGAIN_MS_MIN = 250
const ALONE_LOOK_AGAIN_MS_MAX = 30_000
const LOOK_AGAIN_MS_MAX = 300_000

export interface HyperswarmOptions {
  readonly keyPair: KeyPair
  /** `daemon` announces itself and hosts bootstrap nodes, `client` only looks. */
  readonly mode: 'daemon' | 'client'
  readonly bootstraps: readonly HostPort[]
  /** UDP port of a daemon's own bootstrap nodes on a private DHT; a taken one moves to the next. */
  readonly port: number
  readonly dht: 'private' | 'public'
  /** Whether a key is refused before a handshake costs anything. */
  readonly isBanned: (publicKey: Uint8Array) => boolean
  readonly clock: Clock
  readonly random: Random
}

/** A configured bootstrap, and what has become of it. */
interface Bootstrap {
  readonly configured: HostPort
  state: 'new' | 'resolving' | 'tried'
  /** Undefined while its name has no address, or the system no way to it. */
  route: Route | undefined
  /** Whether the log has told of a problem with it. */
  told: boolean
}

/** A DHT node that tells others that it can be reached directly, at the address they see. */
class DirectDht extends HyperDHT {
  /** On a LAN an answer comes at once or never: dht-rpc's five repeats let one dead node hold up a look-up for 6 s. */
  override query(request: unknown, options?: { retries?: number }): unknown {
    return super.query(request, { ...options, retries: LAN_RETRIES })
  }

  override remoteAddress(): HostPort | null {
    const port = this.io.serverSocket?.address().port
    const host = localAddresses()[0] ?? '127.0.0.1'
    return port === undefined ? null : { host, port }
  }
}

/**
 * Start to take part; topics are joined afterwards.
 *
 * @throws {HoloError} blame `host`: no UDP port is free; `signal.reason`
 */
export async function startHyperswarm(options: HyperswarmOptions, signal: AbortSignal): Promise<Discovery> {
  const started = new HyperswarmDiscovery(options)
  try {
    await started.start(signal)
  } catch (error) {
    await started[Symbol.asyncDispose]()
    throw error
  }
  return started
}

class HyperswarmDiscovery implements Discovery {
  readonly #log = roomLogger('discovery')
  readonly #over = new AbortController()
  readonly #topics = new Set<TopicSession>()
  #nodes: BootstrapNodes | undefined
  #swarm: Hyperswarm | undefined
  #listener: ((link: FrameLink) => void) | undefined
  #kept: FrameLink[] = []
  /** By `host:port` as configured. */
  readonly #bootstraps = new Map<string, Bootstrap>()
  #refreshing = false
  /** A daemon looks for others at once, and announces itself when its server can be found. */
  #listening = false

  constructor(private readonly options: HyperswarmOptions) {}

  get bootstrapAddresses(): readonly HostPort[] {
    return this.#nodes?.addresses ?? []
  }

  async start(signal: AbortSignal): Promise<void> {
    const { mode, bootstraps, port, keyPair, isBanned, dht } = this.options
    // On the public DHT others store who is where; and a NAT is found out by what they see of us, not by our own nodes.
    if (mode === 'daemon' && dht === 'private') {
      this.#nodes = await BootstrapNodes.start(port, localAddresses(), () => this.#refreshSoon())
      if (this.#nodes.port !== port) this.#log.warn(`UDP port ${port} is taken; using ${this.#nodes.port}`)
    }
    signal.throwIfAborted()
    const swarm = new Hyperswarm({
      dht: this.#dht(),
      keyPair: { publicKey: keyPair.publicKey, secretKey: keyPair.secretKey },
      maxPeers: PEERS_MAX,
      maxParallel: CONNECTS_AT_ONCE,
      firewall: isBanned,
    })
    this.#swarm = swarm
    this.addBootstraps(bootstraps)
    if (mode === 'daemon') {
      void swarm.listen().then(
        () => {
          this.#listening = true
          this.#refresh()
        },
        (error: unknown) => {
          if (!this.#over.signal.aborted) this.#log.error(`Others cannot find this machine: ${messageOf(error)}`)
        },
      )
    }
    swarm.on('connection', (stream) => this.#take(streamLink(stream, this.options.clock)))
    void this.#lookAgain().catch((error: unknown) => {
      if (!this.#over.signal.aborted) this.#log.error(`Looking for peers stopped: ${messageOf(error)}`)
    })
  }

  onLink(listener: (link: FrameLink) => void): void {
    this.#listener = listener
    for (const link of this.#kept.splice(0)) listener(link)
  }

  join(topic: Uint8Array): Joined {
    const swarm = this.#swarm
    if (swarm === undefined || this.#over.signal.aborted) throw new Error('Discovery is not running')
    const session = swarm.join(Buffer.from(topic), { server: this.#listening, client: true })
    this.#topics.add(session)
    return {
      flushed: async (signal) => {
        signal.throwIfAborted()
        const { promise, reject } = Promise.withResolvers<never>()
        promise.catch(() => {})
        const onAbort = () => reject(signal.reason)
        signal.addEventListener('abort', onAbort, { once: true })
        await Promise.race([session.flushed(), promise])
        signal.removeEventListener('abort', onAbort)
      },
      leave: async () => {
        this.#topics.delete(session)
        await session.destroy()
      },
    }
  }

  addBootstraps(bootstraps: readonly HostPort[]): void {
    for (const { host, port } of bootstraps) {
      const key = `${host}:${port}`
      if (this.#bootstraps.has(key)) continue
      this.#bootstraps.set(key, { configured: { host, port }, state: 'new', route: undefined, told: false })
    }
    this.#useBootstraps()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#over.signal.aborted) return
    this.#over.abort(new Error('discovery has ended'))
    const swarm = this.#swarm
    const { clock } = this.options
    const patience = new AbortController()
    // In order first, so that others forget us at once; a network that has gone must not hold us.
    const inOrder = (async () => await swarm?.destroy())().catch(() => {})
    await Promise.race([inOrder, clock.sleep(SWARM_CLOSE_MS, patience.signal).catch(() => {})])
    patience.abort(new Error('no need to wait'))
    await swarm?.destroy({ force: true }).catch(() => {})
    await this.#nodes?.destroy()
  }

  /** Resolve what is not resolved yet, each on its own since some names never do, and take up those that answer. */
  #useBootstraps(): void {
    for (const bootstrap of this.#bootstraps.values()) {
      if (bootstrap.route !== undefined) this.#greet(bootstrap.route)
      else if (bootstrap.state !== 'resolving') void this.#resolve(bootstrap)
    }
  }

  async #resolve(bootstrap: Bootstrap): Promise<void> {
    const onProblem = (problem: string) => {
      if (!bootstrap.told) this.#log.warn(`A bootstrap is passed over for now: ${problem}`)
      bootstrap.told = true
    }
    bootstrap.state = 'resolving'
    try {
      const route = await routeTo(bootstrap.configured, onProblem, this.#over.signal)
      if (route?.source === undefined) return
      bootstrap.route = route
      this.#nodes?.addRoute(route)
      this.#greet(route)
    } catch {
      // Discovery has ended.
    } finally {
      bootstrap.state = 'tried'
    }
  }

  /** A client asks the bootstrap itself, if it answers now; a daemon's nodes do it for the daemon. */
  #greet({ bootstrap }: Route): void {
    const dht = this.#swarm?.dht
    if (dht === undefined || this.#nodes !== undefined) return
    void adoptBootstrap(dht, bootstrap).then((fresh) => fresh && this.#refresh())
  }

  #dht(): HyperDHT {
    if (this.options.dht === 'public') return new HyperDHT({ port: SWARM_PORTS, bootstrap: [...HyperDHT.BOOTSTRAP] })
    // A daemon asks its own nodes, which know the living ones of the others, and a client begins with none: so no
    // look-up waits for a dead bootstrap.
    const bootstrap = this.bootstrapAddresses.map(({ host, port }) => ({ host, port }))
    return new DirectDht({ port: SWARM_PORTS, bootstrap, firewalled: false, ephemeral: true })
  }

  #take(link: FrameLink): void {
    this.#log.debug(`Link with ${link.address}`)
    void link.closed.then(() => {
      if (this.#swarm?.connections.size === 0) this.#refreshSoon()
    })
    if (this.#over.signal.aborted) link.destroy()
    else if (this.#listener === undefined) this.#kept.push(link)
    else this.#listener(link)
  }

  /** Look again at once, for instance since the DHT has grown; once per turn of some milliseconds. */
  #refreshSoon(): void {
    if (this.#refreshing) return
    this.#refreshing = true
    void this.options.clock.sleep(20, this.#over.signal).then(
      () => {
        this.#refreshing = false
        this.#refresh()
      },
      () => {},
    )
  }

  #refresh(): void {
    for (const session of this.#topics) void session.refresh({ client: true, server: this.#listening }).catch(() => {})
  }

  /** Look again, ever less often; Hyperswarm itself looks every ten minutes, too rarely for machines that start together. */
  async #lookAgain(): Promise<void> {
    const { clock, random } = this.options
    let waitMs = LOOK_AGAIN_MS_MIN
    while (!this.#over.signal.aborted) {
      await clock.sleep(waitMs * (0.75 + random.next() / 2), this.#over.signal)
      await this.#followAddresses()
      this.#nodes?.refresh()
      this.#useBootstraps()
      this.#refresh()
      const alone = this.#swarm?.connections.size === 0
      waitMs = Math.min(2 * waitMs, alone ? ALONE_LOOK_AGAIN_MS_MAX : LOOK_AGAIN_MS_MAX)
    }
  }

  /** A network may have come up, or given us another address, since we started. */
  async #followAddresses(): Promise<void> {
    const nodes = this.#nodes
    if (nodes === undefined || !(await nodes.follow(localAddresses()))) return
    const asked = this.#swarm?.dht.bootstrapNodes ?? []
    asked.splice(0, asked.length, ...nodes.addresses.map(({ host, port }) => ({ host, port })))
    for (const bootstrap of this.#bootstraps.values()) bootstrap.route = undefined
    this.#log.info(`This machine is now found at ${nodes.addresses.map(({ host }) => host).join(', ')}`)
  }
}
