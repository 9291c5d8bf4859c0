/**
 * This process as a member of its fleets: discovery and peers plugged together. A daemon is one for its lifetime, a
 * command without a daemon for a moment.
 */
import { deadline, systemClock } from '../base/clock.ts'
import { messageOf } from '../base/errors.ts'
import { type HostPort, parseHostPorts } from '../base/host-port.ts'
import type { Lanes } from '../base/lane.ts'
import { CATALOG_WAIT_MS, MEMBER_WAIT_MS, WALL_CLOCK_LOOK_MS } from '../base/limits.ts'
import { roomLogger } from '../base/log.ts'
import { systemRandom } from '../base/random.ts'
import { RateLimit } from '../base/rate-limit.ts'
import type { Digest, Sha256Digest } from '../blob/digest.ts'
import type { SourceSet } from '../blob/fetch-all.ts'
import type { CatalogName } from '../catalog/tree.ts'
import type { Settings } from '../config/settings.ts'
import { loadMachineKey } from '../config/state.ts'
import type { Discovery, Joined } from '../discovery/discovery.ts'
import { startHyperswarm } from '../discovery/hyperswarm.ts'
import { startLanes } from '../lane/tcp-lanes.ts'
import type { Ban } from '../peer/bans.ts'
import type { CatalogWish } from '../peer/catalog-search.ts'
import { FleetSwarm } from '../peer/fleet-swarm.ts'
import { LeaseDesk } from '../peer/lease-desk.ts'
import { OwnHoldings } from '../peer/own-holdings.ts'
import type { PeerView } from '../peer/peer-view.ts'
import type { ServedLibrary } from '../peer/serve.ts'
import type { LibraryPieces } from '../store/served-pieces.ts'
import { catalogTopic, type Fleet, fleetTopic } from '../trust/fleet.ts'
import type { OfferJudge } from '../trust/judge.ts'
import { KeyRules } from '../trust/key-rules.ts'
import { deriveSessionKey, fingerprint, randomSecret } from '../trust/keys.ts'
import { nextExpiryMs } from '../trust/rotation.ts'
import { bootstrapsOf, countingSecrets } from './fleet.ts'
import type { Machine } from './machine.ts'
import { environmentNowhere, noFleet, noPeer } from './nobody-has-it.ts'
import { type CatalogsInTransit, PieceExchange, pieceServerOf } from './piece-exchange.ts'
import { RareAnnouncer } from './rare-catalogs.ts'
import type { FoundEnvironment } from './supply.ts'
import { VERSION } from './version.ts'

const log = roomLogger('app')

export interface FleetNodeOptions {
  readonly machine: Machine
  readonly settings: Settings
  readonly fleets: readonly Fleet[]
  /** `daemon` announces itself and hosts bootstrap nodes, `client` only looks. */
  readonly mode: 'daemon' | 'client'
  readonly served: ServedLibrary
  /** What a daemon sends in pieces, and passes on; undefined for a command, which sends nothing. */
  readonly passing: { readonly pieces: LibraryPieces; readonly transit: CatalogsInTransit } | undefined
}

export class FleetNode implements AsyncDisposable {
  readonly #topics = new Map<string, Joined>()
  #fleets: readonly Fleet[] = []
  #settings: Settings
  #rest = new AbortController()
  readonly #over = new AbortController()
  readonly #announcer: RareAnnouncer
  #unsubscribe = () => {}

  private constructor(
    readonly fingerprint: string,
    private readonly platform: string,
    private readonly swarm: FleetSwarm,
    private readonly discovery: Discovery,
    private readonly lanes: Lanes,
    readonly exchange: PieceExchange,
    /** Who brings what from substituters. */
    readonly leases: LeaseDesk,
    served: ServedLibrary,
    settings: Settings,
  ) {
    this.#settings = settings
    this.#announcer = new RareAnnouncer({
      rarity: () => ({
        held: served.catalogs().map(({ name }) => name),
        neighbours: swarm.peers().length,
        holders: (name) => swarm.holdersOf(name),
      }),
      secrets: () => this.secrets(),
      announce: (topic) => discovery.announce(topic),
      clock: systemClock,
    })
  }

  /**
   * Start to take part in every fleet of `options`.
   *
   * @throws {HoloError} blame `host`: the machine key cannot be used, no UDP port is free; `signal.reason`
   */
  static async start(options: FleetNodeOptions, signal: AbortSignal): Promise<FleetNode> {
    const { machine, settings, fleets, mode, served, passing } = options
    const machineKey = await loadMachineKey(machine.state)
    // One key cannot be in a swarm twice, and a daemon may run beside this command.
    const session = mode === 'client' ? deriveSessionKey(machineKey, randomSecret()) : undefined
    let node: FleetNode | undefined
    const secrets = () => node?.secrets() ?? countingSecrets(fleets)
    const keyPair = session?.keyPair ?? machineKey
    const { limits } = settings
    const lanes = startLanes(mode === 'daemon' ? settings.lane.port : undefined, limits.connectionMemory, systemClock)
    const ownHoldings = new OwnHoldings(systemClock)
    const leases = new LeaseDesk({ key: machineKey.publicKey, serves: mode === 'daemon' }, systemClock)
    const downloadLimit = new RateLimit(limits.download, systemClock)
    const pieceServer = passing === undefined ? undefined : pieceServerOf(passing.pieces, limits)
    const swarm = new FleetSwarm({
      secrets,
      role: mode,
      agent: `holo-peer/${VERSION}`,
      delegation: session?.delegation,
      library: served,
      rules: new KeyRules(settings.peers),
      lanes: { lanes, keyPair },
      leases,
      downloadLimit,
      ...(pieceServer === undefined ? {} : { pieceServer, ownHoldings }),
      clock: systemClock,
    })
    const discovery = await startHyperswarm(
      {
        keyPair,
        delegation: session?.delegation,
        mode,
        bootstraps: parseHostPorts(bootstrapsOf(settings, fleets)),
        port: settings.discovery.port,
        dht: settings.discovery.dht,
        secrets,
        multicast: settings.discovery.multicast,
        refuses: (key, delegation) => swarm.refuses(key, delegation),
        clock: systemClock,
        random: systemRandom,
      },
      signal,
    ).catch(async (error: unknown) => {
      await lanes[Symbol.asyncDispose]()
      throw error
    })
    discovery.onLink((link) => swarm.accept(link))
    const { os, arch } = machine.roots.platform
    const exchange = new PieceExchange({
      swarm,
      clock: systemClock,
      passingOn:
        passing === undefined ? undefined : { served: passing.pieces, holdings: ownHoldings, transit: passing.transit },
      downloadLimit,
    })
    const print = fingerprint(machineKey.publicKey)
    node = new FleetNode(print, `${os}_${arch}`, swarm, discovery, lanes, exchange, leases, served, settings)
    await node.takePart(fleets, settings)
    if (mode === 'daemon') node.#announce(served)
    return node
  }

  /** Addresses that other machines can use as bootstrap, the most useful first. Empty for a client. */
  get bootstrapAddresses(): readonly HostPort[] {
    return this.discovery.bootstrapAddresses
  }

  /** TCP port of the lanes of a daemon, undefined for a client. */
  get lanePort(): number | undefined {
    return this.lanes.own?.port
  }

  get fleets(): readonly Fleet[] {
    return this.#fleets
  }

  secrets(): readonly Uint8Array[] {
    return countingSecrets(this.#fleets)
  }

  peers(): readonly PeerView[] {
    return this.swarm.peers()
  }

  /** Whom this process shuts out for what they did. */
  bans(): readonly Ban[] {
    return this.swarm.bans()
  }

  /** Bytes of blobs and pieces sent so far. */
  get sentBytes(): number {
    return this.swarm.sentBytes
  }

  /** Take part in exactly these fleets, and follow these settings, from now on. */
  async takePart(fleets: readonly Fleet[], settings: Settings): Promise<void> {
    this.#fleets = fleets
    this.#settings = settings
    this.discovery.addBootstraps(parseHostPorts(bootstrapsOf(settings, fleets)))
    const wanted = new Map(
      countingSecrets(fleets)
        .map((secret) => fleetTopic(secret, this.platform))
        .map((topic) => [Buffer.from(topic).toString('hex'), topic]),
    )
    for (const [key, joined] of this.#topics) {
      if (wanted.has(key)) continue
      this.#topics.delete(key)
      await joined.leave()
    }
    for (const [key, topic] of wanted) if (!this.#topics.has(key)) this.#topics.set(key, this.discovery.join(topic))
    this.swarm.dropOutsiders()
    this.swarm.follow(new KeyRules(settings.peers))
    this.discovery.reconsider()
    this.#announcer.look()
    this.#awaitExpiry()
  }

  /** Tell under topics of their own that we hold what few hold, from now on. */
  #announce(served: ServedLibrary): void {
    this.#unsubscribe = served.subscribe(() => this.#announcer.look())
    void this.#announcer.run(this.#over.signal)
  }

  /** Part with those whose secret counts no more once the grace of a rotation is over. */
  #awaitExpiry(): void {
    this.#rest.abort(new Error('the fleets have changed'))
    this.#rest = new AbortController()
    const { signal } = this.#rest
    const wallMs = systemClock.wallMs()
    const expiryMs = nextExpiryMs(this.#fleets, wallMs)
    if (expiryMs === undefined) return
    // The wall clock may be set meanwhile: so it is looked at every hour.
    const waited = systemClock.sleep(Math.min(expiryMs - wallMs, WALL_CLOCK_LOOK_MS), signal)
    waited
      .then(() => this.takePart(this.#fleets, this.#settings))
      .catch((error: unknown) => {
        if (!signal.aborted) log.warning`the end of an old secret could not be taken up: ${messageOf(error)}`
      })
  }

  /**
   * Find a catalog with the members of our fleets.
   *
   * @param local SHA-256 of the decoded catalog that this machine holds, if any: it wins where members differ
   * @throws {HoloError} blame `missing`: code `no-fleet`, `no-peer` (nobody answered within `MEMBER_WAIT_MS`) or
   *   `environment-nowhere` (nobody who answered has it); blame `trust`: those who have it are not trusted; `signal.reason`
   */
  async find(
    name: CatalogName,
    local: Sha256Digest | undefined,
    judge: OfferJudge,
    signal: AbortSignal,
  ): Promise<FoundEnvironment> {
    if (this.#fleets.length === 0) throw noFleet(name)
    for (let again = false; ; again = true) {
      if (!(await this.#anyMember(signal))) throw noPeer(name, this.#fleetNames(), this.#settings, this.#fleets)
      this.discovery.lookWider()
      const found = await this.#findWide(name, local, judge, signal)
      if (found !== undefined) return found
      // Where all have gone meanwhile, nobody was asked: they may be about to come back.
      if (again || this.peers().length > 0) throw environmentNowhere(name, this.#fleetNames(), this.peers().length)
    }
  }

  /** With the neighbours, more of them than usual, and with those who announce that they hold it. */
  async #findWide(
    name: CatalogName,
    local: Sha256Digest | undefined,
    judge: OfferJudge,
    signal: AbortSignal,
  ): Promise<FoundEnvironment | undefined> {
    const enough = new AbortController()
    const late = new Error('the look-up takes too long')
    const limit = deadline(2 * CATALOG_WAIT_MS, late, AbortSignal.any([enough.signal, signal]))
    try {
      const seeking = this.secrets().map((secret) => this.discovery.seek(catalogTopic(secret, name), limit.signal))
      const sought = Promise.allSettled(seeking)
      const settled = (inner: AbortSignal) => sought.then(() => this.discovery.settled(inner))
      const wanted = { waitMs: CATALOG_WAIT_MS, settled, judge, ...(local === undefined ? {} : { local }) }
      const found = await this.swarm.find(name, wanted, signal)
      if (found !== undefined) return found
      // Those that were found late may still be connecting.
      const called = (await sought).some((each) => each.status === 'rejected' || each.value > 0)
      return called ? await this.swarm.find(name, wanted, signal) : undefined
    } finally {
      limit.clear()
      enough.abort(new Error('it has been found, or not'))
    }
  }

  /** Whether a member that is connected now holds this very catalog. */
  isHeld(sha256: Sha256Digest): boolean {
    return this.swarm.isHeld(sha256)
  }

  /** The catalog from a member that has it now, or is about to bring it within `waitMs`. @returns, @throws as `FleetSwarm.find` */
  offered(name: CatalogName, wish: CatalogWish, signal: AbortSignal): Promise<FoundEnvironment | undefined> {
    return this.swarm.find(name, wish, signal)
  }

  /** Members as sources of the blobs of this catalog. @param digests all that will be asked for */
  sourcesFor(sha256: Sha256Digest, digests: readonly Digest[]): SourceSet {
    return this.swarm.sourcesFor(sha256, digests)
  }

  async #anyMember(signal: AbortSignal): Promise<boolean> {
    if (this.peers().length > 0) return true
    const limit = deadline(MEMBER_WAIT_MS, new Error('nobody answered'), signal)
    const { promise, resolve } = Promise.withResolvers<void>()
    const unsubscribe = this.swarm.subscribe(resolve)
    limit.signal.addEventListener('abort', () => resolve(), { once: true })
    try {
      await promise
    } finally {
      unsubscribe()
      limit.clear()
    }
    signal.throwIfAborted()
    return this.peers().length > 0
  }

  #fleetNames(): string {
    const names = this.#fleets.map(({ name }) => name).join(', ')
    return this.#fleets.length === 1 ? `the fleet ${names}` : `the fleets ${names}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#rest.abort(new Error('leaving'))
    this.#over.abort(new Error('leaving'))
    this.#unsubscribe()
    await this.swarm[Symbol.asyncDispose]()
    await this.lanes[Symbol.asyncDispose]()
    await this.discovery[Symbol.asyncDispose]()
  }
}
