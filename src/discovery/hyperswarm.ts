/**
 * Discovery by Hyperswarm over a private DHT: the only importer of hyperswarm.
 *
 * The DHT is found by configured addresses and by multicast on the LAN. A daemon hosts bootstrap nodes of its own,
 * announces itself and looks for others; a client only looks, and is gone without a trace. On a private DHT machines are
 * taken for directly reachable (no NAT between them), which needs no samples of other nodes: one bootstrap is enough. The
 * public DHT is opt-in, and there NAT is found out and punched. Whatever a network does (dead bootstraps, names without
 * address, lost peers) is logged and passed over.
 */
import { isIPv6 } from 'node:net'
import Hyperswarm from 'hyperswarm'
import { messageOf } from '../base/errors.ts'
import type { HostPort } from '../base/host-port.ts'
import { HELLO_DEADLINE_MS, PEERS_WANTED, PEERS_WIDE, SWARM_CLOSE_MS } from '../base/limits.ts'
import type { FrameLink } from '../base/link.ts'
import { roomLogger } from '../base/log.ts'
import { beaconTag } from '../trust/fleet.ts'
import { randomSecret } from '../trust/keys.ts'
import { NONCE_BYTES } from './beacon-record.ts'
import { adoptBootstrap, BootstrapNodes } from './bootstrap-nodes.ts'
import { BootstrapSearch } from './bootstrap-search.ts'
import { DirectLinks } from './direct-links.ts'
import type { Discovery, Joined } from './discovery.ts'
import { FleetDht } from './fleet-dht.ts'
import { watchForFloods } from './flood-watch.ts'
import type { HyperswarmOptions } from './hyperswarm-options.ts'
import { LanBeacon } from './lan-beacon.ts'
import { LinkRoutes } from './link-routes.ts'
import { localAddresses, localAddresses6, multicastInterfaces, routeTo } from './network.ts'
import { Pace } from './pace.ts'
import { answering, publicBootstraps } from './public-bootstraps.ts'
import { RestingPeers } from './resting-peers.ts'
import { streamLink } from './stream-link.ts'
import { TopicSessions } from './topic-sessions.ts'

/** UDP ports of the swarm itself, first and after the last; where both are taken a free one is used. */
const SWARM_PORTS: [number, number] = [49738, 49740]
/** With so many links the DHT has been found, and looking again at the usual pace is enough. */
const SETTLED_LINKS = 3
/** How long `lookWider` lasts; the links that it makes stay. */
const WIDER_MS = 30_000
/** Connection attempts at once: enough that some dead peers do not hold up the live ones. */
const CONNECTS_AT_ONCE = 16

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
  #topics: TopicSessions | undefined
  #nodes: BootstrapNodes | undefined
  #swarm: Hyperswarm | undefined
  #listener: ((link: FrameLink) => void) | undefined
  #kept: FrameLink[] = []
  readonly #search: BootstrapSearch
  readonly #routes = new LinkRoutes()
  readonly #resting: RestingPeers
  #beacon: LanBeacon | undefined
  #direct: DirectLinks | undefined
  readonly #links = new Set<FrameLink>()
  readonly #pace: Pace

  constructor(private readonly options: HyperswarmOptions) {
    const { clock, random } = options
    this.#resting = new RestingPeers(random)
    this.#pace = new Pace(clock, random)
    this.#search = new BootstrapSearch({
      ask: (address, signal) => this.#greet(address, signal),
      clock,
      random,
    })
  }

  get bootstrapAddresses(): readonly HostPort[] {
    const four = this.#nodes?.addresses ?? []
    const port = this.#direct?.port
    if (port === undefined || this.options.mode === 'client') return four
    const six = localAddresses6().map((host) => ({ host, port }))
    return [...four.slice(0, -1), ...six, ...four.slice(-1)]
  }

  async start(signal: AbortSignal): Promise<void> {
    const { mode, bootstraps, port, keyPair, refuses, dht } = this.options
    // On the public DHT others store who is where; and a NAT is found out by what they see of us, not by our own nodes.
    if (mode === 'daemon' && dht === 'private') {
      this.#nodes = await BootstrapNodes.start(port, localAddresses(), this.options.clock, () => {
        // The first nodes lead to the first peers; of those of a crowd each would cost a look-up of its own.
        if (this.#links.size < SETTLED_LINKS) this.#topics?.refreshSoon()
      })
      if (this.#nodes.port !== port) this.#log.warn(`UDP port ${port} is taken; using ${this.#nodes.port}`)
    }
    signal.throwIfAborted()
    const known = dht === 'public' ? [...bootstraps, ...publicBootstraps()] : bootstraps
    const fleetDht = await this.#dht(known, signal)
    const swarm = new Hyperswarm({
      dht: fleetDht,
      keyPair: { publicKey: keyPair.publicKey, secretKey: keyPair.secretKey },
      maxPeers: mode === 'daemon' ? PEERS_WANTED : PEERS_WIDE,
      maxParallel: CONNECTS_AT_ONCE,
      // Who calls us was held against this by the DHT already.
      firewall: (publicKey, payload) => payload === null && refuses(publicKey),
    })
    this.#swarm = swarm
    const topics = new TopicSessions(swarm, fleetDht, this.options.clock, this.#over.signal)
    this.#topics = topics
    swarm.dht.on('network-change', () => this.#pace.hurry())
    void watchForFloods(swarm.dht, this.options.clock)
    this.#startDirect()
    await fleetDht.bind()
    this.#startBeacon()
    this.addBootstraps(known)
    void this.#search.run(this.#over.signal)
    if (mode === 'daemon') {
      void swarm.listen().then(
        () => topics.listening(),
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
    return this.#running().meet(topic)
  }

  announce(topic: Uint8Array): Joined {
    return this.#running().announce(topic)
  }

  async seek(topic: Uint8Array, signal: AbortSignal): Promise<number> {
    return this.#running().seek(topic, signal)
  }

  #running(): TopicSessions {
    if (this.#topics === undefined || this.#over.signal.aborted) throw new Error('Discovery is not running')
    return this.#topics
  }

  async settled(signal: AbortSignal): Promise<void> {
    await this.#search.settled(signal)
    await this.#topics?.settled(signal)
  }

  addBootstraps(bootstraps: readonly HostPort[]): void {
    this.#search.add(bootstraps, 'configured')
    // Whoever changes these has changed fleets too.
    this.#beacon?.announce()
  }

  reconsider(): void {
    for (const peer of this.#swarm?.peers.values() ?? []) peer.ban(false)
    this.#topics?.refresh()
    this.#search.restart()
    this.#beacon?.ask(true)
  }

  lookWider(): void {
    const swarm = this.#swarm
    if (swarm === undefined || swarm.maxPeers === PEERS_WIDE) return
    swarm.maxPeers = PEERS_WIDE
    this.#topics?.refresh()
    void this.options.clock.sleep(WIDER_MS, this.#over.signal).then(
      () => {
        swarm.maxPeers = PEERS_WANTED
      },
      () => {},
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#over.signal.aborted) return
    this.#over.abort(new Error('discovery has ended'))
    const swarm = this.#swarm
    const { clock } = this.options
    const patience = new AbortController()
    // In order first, so that others forget us at once; a network that has gone must not hold us.
    const inOrder = (async () => {
      await this.#beacon?.close()
      await this.#direct?.close()
      await swarm?.destroy()
    })().catch(() => {})
    await Promise.race([inOrder, clock.sleep(SWARM_CLOSE_MS, patience.signal).catch(() => {})])
    patience.abort(new Error('no need to wait'))
    await swarm?.destroy({ force: true }).catch(() => {})
    await this.#nodes?.destroy()
  }

  /** Once this machine has an IPv6 address that means something to others. */
  #startDirect(): void {
    const { dht, mode, port, keyPair, delegation, secrets, refuses, clock } = this.options
    const swarm = this.#swarm
    if (dht === 'public' || this.#direct !== undefined || swarm === undefined || localAddresses6().length === 0) return
    this.#direct = DirectLinks.start(mode === 'daemon' ? (this.#nodes?.port ?? port) : 0, {
      dht: swarm.dht,
      keyPair,
      delegation,
      secrets,
      refuses,
      isLinked: (key) => [...swarm.connections].some(({ remotePublicKey }) => Buffer.from(remotePublicKey).equals(key)),
      onStream: (stream) => this.#take(streamLink(stream, clock)),
      clock,
    })
  }

  #startBeacon(): void {
    const { multicast, secrets, clock, random, dht, mode } = this.options
    if (!multicast || dht === 'public') return
    const ownPort = () => this.#swarm?.dht.io.serverSocket?.address().port
    this.#beacon = new LanBeacon({
      nonce: randomSecret(NONCE_BYTES),
      portOf: (family) => (mode === 'client' ? undefined : family === 4 ? this.#nodes?.port : this.#direct?.port),
      hasIPv4: () => localAddresses().length > 0,
      tagsOf: (nonce, port) => secrets().map((secret) => beaconTag(secret, nonce, port)),
      onHeard: (address) => this.#search.add([address], 'heard'),
      askerPortOf: (family) => (mode === 'daemon' ? undefined : family === 4 ? ownPort() : this.#direct?.port),
      // By the time it hears our answer and calls, our own firewall expects it.
      onAsked: (asker, ours) => {
        if (isIPv6(ours)) return this.#direct?.open(asker)
        this.#nodes?.open(asker, ours)
        void this.#swarm?.dht.io.serverSocket?.send(Buffer.from([0]), asker.port, asker.host)
      },
      clock,
      random,
    })
    this.#beacon.follow(multicastInterfaces())
  }

  /** Over IPv6 the machine is called; a client asks a bootstrap itself; a daemon's nodes do it for the daemon. @returns whether it answered */
  async #greet(address: HostPort, signal: AbortSignal): Promise<boolean> {
    const route = await routeTo(address, signal)
    if (isIPv6(route.bootstrap.host)) return (await this.#direct?.call(route.bootstrap, signal)) ?? false
    const dht = this.#swarm?.dht
    if (this.#nodes !== undefined) return this.#nodes.join(route)
    if (dht === undefined) return false
    const answer = await adoptBootstrap(dht, route.bootstrap)
    if (answer === 'adopted') {
      if (this.options.dht === 'public') dht.refresh()
      this.#topics?.refresh()
    }
    return answer !== 'silent'
  }

  /** @param known used on the public DHT only */
  async #dht(known: readonly HostPort[], signal: AbortSignal): Promise<FleetDht> {
    const { dht, refuses, delegation, clock } = this.options
    // A daemon asks its own nodes, which know the living ones of the others, and a client begins with none: so no
    // look-up waits for a dead bootstrap.
    const bootstraps = dht === 'public' ? await answering(known, clock, signal) : (this.#nodes?.addresses ?? [])
    return new FleetDht({
      ports: SWARM_PORTS,
      bootstraps,
      dht,
      resting: this.#resting,
      refuses,
      delegation,
      clock,
      signal: this.#over.signal,
    })
  }

  #take(link: FrameLink): void {
    this.#log.debug(`Link with ${link.address}`)
    const { clock } = this.options
    const sinceMs = clock.nowMs()
    this.#resting.succeeded(link.remoteKey)
    this.#links.add(link)
    void this.#routes.add(link, this.#over.signal)
    void link.closed.then(() => {
      // Of two that called each other at the same time one call has failed: the peer was alive all the same.
      this.#resting.succeeded(link.remoteKey)
      this.#links.delete(link)
      // Who is sent away at once, a stranger for instance, would keep us looking without a pause.
      const lasted = clock.nowMs() - sinceMs > HELLO_DEADLINE_MS
      if (lasted && link.address.startsWith('[')) this.#search.restart()
      if (lasted && this.#links.size === 0) this.#pace.hurry()
    })
    if (this.#over.signal.aborted) link.destroy()
    else if (this.#listener === undefined) this.#kept.push(link)
    else this.#listener(link)
  }

  async #lookAgain(): Promise<void> {
    for (;;) {
      await this.#pace.wait(this.#links.size === 0, this.#over.signal)
      await this.#followAddresses()
      this.#beacon?.ask(this.#links.size === 0)
      this.#topics?.refresh()
    }
  }

  /** A network may have come up, or given us another address, since we started. */
  async #followAddresses(): Promise<void> {
    this.#startDirect()
    this.#beacon?.follow(multicastInterfaces())
    this.#routes.dropGone([...localAddresses(), ...localAddresses6()])
    const nodes = this.#nodes
    if (nodes === undefined || !(await nodes.follow(localAddresses()))) return
    const asked = this.#swarm?.dht.bootstrapNodes ?? []
    asked.splice(0, asked.length, ...nodes.addresses.map(({ host, port }) => ({ host, port })))
    this.#search.restart()
    this.#resting.clear()
    this.#pace.hurry()
    this.#log.info(`This machine is now found at ${nodes.addresses.map(({ host }) => host).join(', ')}`)
  }
}
