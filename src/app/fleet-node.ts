/**
 * This process as a member of its fleets: discovery and peers plugged together. A daemon is one for its lifetime, a
 * command without a daemon for a moment.
 */
import { deadline, systemClock } from '../base/clock.ts'
import { HoloError, messageOf } from '../base/errors.ts'
import { type HostPort, parseHostPort } from '../base/host-port.ts'
import type { Lanes } from '../base/lane.ts'
import { CATALOG_WAIT_MS, MEMBER_WAIT_MS, WALL_CLOCK_LOOK_MS } from '../base/limits.ts'
import { roomLogger } from '../base/log.ts'
import { systemRandom } from '../base/random.ts'
import type { Digest, Sha256Digest } from '../blob/digest.ts'
import type { SourceSet } from '../blob/fetch-all.ts'
import { catalogNameParts } from '../catalog/names.ts'
import type { CatalogName } from '../catalog/tree.ts'
import type { Settings } from '../config/settings.ts'
import { loadMachineKey } from '../config/state.ts'
import type { Discovery, Joined } from '../discovery/discovery.ts'
import { startHyperswarm } from '../discovery/hyperswarm.ts'
import { startLanes } from '../lane/tcp-lanes.ts'
import type { Ban } from '../peer/bans.ts'
import { FleetSwarm } from '../peer/fleet-swarm.ts'
import { OwnHoldings } from '../peer/own-holdings.ts'
import type { PeerView } from '../peer/peer-view.ts'
import { PieceServer } from '../peer/piece-server.ts'
import { RateLimit } from '../peer/rate-limit.ts'
import type { ServedLibrary } from '../peer/serve.ts'
import type { LibraryPieces } from '../store/served-pieces.ts'
import { type Fleet, fleetTopic } from '../trust/fleet.ts'
import type { OfferJudge } from '../trust/judge.ts'
import { KeyRules } from '../trust/key-rules.ts'
import { deriveSessionKey, fingerprint, randomSecret } from '../trust/keys.ts'
import { nextExpiryMs } from '../trust/rotation.ts'
import { bootstrapsOf, countingSecrets } from './fleet.ts'
import type { Machine } from './machine.ts'
import { PieceExchange } from './piece-exchange.ts'
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
  /** What a daemon sends in pieces; undefined for a command, which sends nothing. */
  readonly servedPieces: LibraryPieces | undefined
}

export class FleetNode implements AsyncDisposable {
  readonly #topics = new Map<string, Joined>()
  #fleets: readonly Fleet[] = []
  #settings: Settings
  #rest = new AbortController()

  private constructor(
    readonly fingerprint: string,
    private readonly platform: string,
    private readonly swarm: FleetSwarm,
    private readonly discovery: Discovery,
    private readonly lanes: Lanes,
    readonly exchange: PieceExchange,
    settings: Settings,
  ) {
    this.#settings = settings
  }

  /**
   * Start to take part in every fleet of `options`.
   *
   * @throws {HoloError} blame `host`: the machine key cannot be used, no UDP port is free; `signal.reason`
   */
  static async start(options: FleetNodeOptions, signal: AbortSignal): Promise<FleetNode> {
    const { machine, settings, fleets, mode, served, servedPieces } = options
    const machineKey = await loadMachineKey(machine.state)
    // One key cannot be in a swarm twice, and a daemon may run beside this command.
    const session = mode === 'client' ? deriveSessionKey(machineKey, randomSecret()) : undefined
    let node: FleetNode | undefined
    const secrets = () => node?.secrets() ?? countingSecrets(fleets)
    const keyPair = session?.keyPair ?? machineKey
    const { limits } = settings
    const lanes = startLanes(mode === 'daemon' ? settings.lane.port : undefined, limits.connectionMemory, systemClock)
    const ownHoldings = new OwnHoldings(systemClock)
    const pieceServer = servedPieces === undefined ? undefined : pieceServerOf(servedPieces, limits)
    const swarm = new FleetSwarm({
      secrets,
      role: mode,
      agent: `holo-peer/${VERSION}`,
      delegation: session?.delegation,
      library: served,
      rules: new KeyRules(settings.peers),
      lanes: { lanes, keyPair },
      ...(pieceServer === undefined ? {} : { pieceServer, ownHoldings }),
      clock: systemClock,
    })
    const discovery = await startHyperswarm(
      {
        keyPair,
        mode,
        bootstraps: hostPorts(bootstrapsOf(settings, fleets)),
        port: settings.discovery.port,
        dht: settings.discovery.dht,
        secrets,
        multicast: settings.discovery.multicast,
        refuses: (key, direction) => (direction === 'out' ? swarm.isUnwanted(key) : swarm.isBanned(key)),
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
      passingOn: servedPieces === undefined ? undefined : { served: servedPieces, holdings: ownHoldings },
      downloadLimit: rateLimit(limits.download),
    })
    const print = fingerprint(machineKey.publicKey)
    node = new FleetNode(print, `${os}_${arch}`, swarm, discovery, lanes, exchange, settings)
    await node.takePart(fleets, settings)
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

  /** Take part in exactly these fleets from now on. */
  async takePart(fleets: readonly Fleet[], settings: Settings): Promise<void> {
    this.#fleets = fleets
    this.#settings = settings
    this.discovery.addBootstraps(hostPorts(bootstrapsOf(settings, fleets)))
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
    this.#awaitExpiry()
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
    if (!(await this.#anyMember(signal))) throw this.#noPeer(name)
    this.discovery.lookWider()
    const found = await this.swarm.find(
      name,
      { waitMs: CATALOG_WAIT_MS, judge, ...(local === undefined ? {} : { local }) },
      signal,
    )
    if (found !== undefined) return found
    const { blueprint } = catalogNameParts(name)
    const machines = this.peers().length
    throw new HoloError(
      machines === 1
        ? `The one machine that answers in ${this.#fleetNames()} does not have the environment ${blueprint}`
        : `None of the ${machines} machines that answer in ${this.#fleetNames()} has the environment ${blueprint}`,
      {
        code: 'environment-nowhere',
        blame: 'missing',
        hint: 'let rcc build it on one machine that runs `holo-peer daemon`; the others then get it from there',
      },
    )
  }

  /** Whether a member that is connected now holds this very catalog. */
  isHeld(sha256: Sha256Digest): boolean {
    return this.swarm.isHeld(sha256)
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

  #noPeer(name: CatalogName): HoloError {
    const bootstraps = bootstrapsOf(this.#settings, this.#fleets)
    const multicast = this.#settings.discovery.multicast ? 'multicast' : 'no multicast'
    const where =
      bootstraps.length === 0 ? `${multicast}, no bootstrap` : `${multicast}, bootstraps: ${bootstraps.join(', ')}`
    return new HoloError(
      `No machine of ${this.#fleetNames()} answered within ${MEMBER_WAIT_MS / 1000} s, so ${name} could not be looked for (${where})`,
      {
        code: 'no-peer',
        blame: 'missing',
        hint: 'check that `holo-peer daemon` runs on another machine; where multicast does not pass, name its address: `holo-peer fleet join INVITE --bootstrap HOST:PORT`',
      },
    )
  }

  #fleetNames(): string {
    const names = this.#fleets.map(({ name }) => name).join(', ')
    return this.#fleets.length === 1 ? `the fleet ${names}` : `the fleets ${names}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#rest.abort(new Error('leaving'))
    await this.swarm[Symbol.asyncDispose]()
    await this.lanes[Symbol.asyncDispose]()
    await this.discovery[Symbol.asyncDispose]()
  }
}

/** Thrown before anything is started. */
export function noFleet(name: CatalogName): HoloError {
  return new HoloError(`The environment ${name} is not in the library, and this machine belongs to no fleet to ask`, {
    code: 'no-fleet',
    blame: 'missing',
    hint: 'join one with `holo-peer fleet join INVITE`, or let rcc build the environment',
  })
}

function hostPorts(texts: readonly string[]): HostPort[] {
  return texts.map(parseHostPort).filter((address) => address !== undefined)
}

function pieceServerOf(served: LibraryPieces, limits: Settings['limits']): PieceServer {
  return new PieceServer({
    served,
    clock: systemClock,
    random: systemRandom,
    log: roomLogger('peer'),
    slots: limits.slots,
    wantsPerPeer: limits.slotsPerPeer,
    uploadLimit: rateLimit(limits.upload),
  })
}

function rateLimit(bytesPerSecond: number | undefined): RateLimit | undefined {
  return bytesPerSecond === undefined ? undefined : new RateLimit(bytesPerSecond, systemClock)
}
