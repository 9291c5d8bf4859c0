/**
 * All connections of this process, and what the members at their ends hold.
 *
 * Takes links from discovery, keeps those whose remote is a member, answers "who holds this catalog", and shuts out
 * peers that proved bad. Which links are tried, and when, is discovery's business.
 */
import { type Clock, deadline } from '../base/clock.ts'
import { HoloError, messageOf } from '../base/errors.ts'
import { GOODBYE_MS, MAJORITY_GRACE_MS, PEERS_MAX, SOURCE_GRACE_MS, STRANGERS_MAX } from '../base/limits.ts'
import type { FrameLink } from '../base/link.ts'
import { roomLogger } from '../base/log.ts'
import type { Sha256Digest } from '../blob/digest.ts'
import type { SourceSet } from '../blob/fetch-all.ts'
import type { BlobSource } from '../blob/source.ts'
import type { CatalogName } from '../catalog/tree.ts'
import type { KeyRules } from '../trust/key-rules.ts'
import type { Delegation } from '../trust/keys.ts'
import { type VerifiedCatalog, verifyCatalog } from '../trust/verify-catalog.ts'
import { Admission } from './admission.ts'
import { type Choice, chooseCatalog } from './choose.ts'
import { type ConnectionOptions, PeerConnection, peerName } from './connection.ts'
import { holdersOf, offersOf } from './holders.ts'
import type { LaneAccess, LaneKeeper } from './lane-keeper.ts'
import { type PeerView, viewOf } from './peer-view.ts'
import { Tickets } from './tickets.ts'

export interface SwarmOptions extends Omit<ConnectionOptions, 'secrets' | 'laneAccess'> {
  /** Secrets of all fleets of this machine; asked at each new connection, so that a fleet joined later counts. */
  readonly secrets: () => readonly Uint8Array[]
  /** The operator's allow-list and ban-list; without them everybody in the fleet is welcome. */
  readonly rules?: KeyRules
  /** How lanes are opened; without them sessions carry everything. */
  readonly lanes?: Omit<LaneAccess, 'tickets'>
}

/** What `find` found: the catalog, and what the user should know about how. */
export interface FoundInSwarm {
  readonly catalog: VerifiedCatalog
  readonly warnings: readonly string[]
}

export class FleetSwarm implements AsyncDisposable {
  readonly #options: SwarmOptions
  readonly #clock: Clock
  readonly #log = roomLogger('peer')
  /** Links that have not proved anything yet; dropped after their deadline. */
  readonly #strangers = new Set<PeerConnection>()
  /** By the key of their link, in hex: the daemon and a command of one machine are two members. */
  readonly #members = new Map<string, PeerConnection>()
  readonly #admission: Admission
  readonly #listeners = new Set<() => void>()
  readonly #laneAccess: LaneAccess | undefined
  #firstMemberMs: number | undefined
  #closed = false

  constructor(options: SwarmOptions) {
    this.#options = options
    this.#clock = options.clock
    this.#admission = new Admission(options.rules)
    const { lanes, clock } = options
    if (lanes === undefined) return
    const tickets = new Tickets<LaneKeeper>()
    this.#laneAccess = { ...lanes, tickets }
    lanes.lanes.admit((call) => {
      const keeper = tickets.redeem(call, clock.nowMs())
      return typeof keeper === 'string' ? keeper : (link) => keeper.accept(link)
    })
  }

  /** Take over a link; banned ones, and strangers beyond the bound, are closed. */
  accept(link: FrameLink): void {
    if (this.#closed || this.#strangers.size >= STRANGERS_MAX || this.isBanned(link.remoteKey)) {
      link.destroy()
      return
    }
    const connection = new PeerConnection(
      link,
      {
        ...this.#options,
        secrets: this.#options.secrets(),
        ...(this.#laneAccess === undefined ? {} : { laneAccess: this.#laneAccess }),
      },
      {
        onOpen: () => this.#welcome(connection),
        onHave: () => this.#changed(),
        onEnd: (error) => this.#forget(connection, error),
      },
    )
    this.#strangers.add(connection)
    connection.start()
  }

  /** As `Admission.isBanned`. */
  isBanned(publicKey: Uint8Array): boolean {
    return this.#admission.isBanned(publicKey)
  }

  /** As `Admission.refuses`: for the firewall of discovery, before a handshake costs anything. */
  refuses(publicKey: Uint8Array, delegation?: Delegation): boolean {
    return this.#admission.refuses(publicKey, delegation)
  }

  /** Follow these rules from now on, and part with the members that they refuse. */
  follow(rules: KeyRules): void {
    this.#admission.follow(rules)
    for (const connection of [...this.#members.values()]) this.#partIfRefused(connection)
  }

  peers(): readonly PeerView[] {
    return [...this.#members.values()].map(viewOf).filter((view) => view !== undefined)
  }

  /** How many members hold a catalog of this name. */
  holdersOf(name: CatalogName): number {
    return holdersOf(this.#members.values(), name).length
  }

  /** Call `listener` whenever a member comes, goes, or holds something else. @returns ends the subscription */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /**
   * The members that hold this very catalog, as sources of its blobs; follows their coming and going.
   *
   * @param sha256 of the decoded catalog; where nobody has it, holders of another one under this name are asked, since
   *   two builds of one blueprint share most blobs
   */
  sourcesFor(name: CatalogName, sha256: Sha256Digest): SourceSet {
    return {
      graceMs: SOURCE_GRACE_MS,
      list: () => holdersOf(this.#members.values(), name, sha256).map(({ source }): BlobSource => source),
      subscribe: (listener) => this.subscribe(listener),
      drop: (source, error) => this.drop(source, error),
    }
  }

  /** Part with members whose secret counts no more: its fleet was left, or its grace is over. */
  dropOutsiders(): void {
    const counting = new Set(this.#options.secrets().map(hex))
    for (const connection of [...this.#members.values()]) {
      const { remote } = connection
      if (remote === undefined || counting.has(hex(remote.secret))) continue
      this.#log.info(`${connection.name} is sent away: the secret that it has proved counts no more`)
      connection.leave('not-a-member', 'the secret that you have proved counts no more', undefined)
    }
  }

  /**
   * Never talk to this peer again in this process.
   *
   * @param peer its name, as in its source and in errors
   */
  drop(peer: string, reason: HoloError): void {
    for (const connection of this.#members.values()) {
      if (connection.name === peer) this.#ban(connection, reason)
    }
  }

  /**
   * Find a catalog among the members, waiting for the first one that holds it.
   *
   * Where members differ the local one wins, else the majority; a holder that then sends another one is dropped.
   *
   * @param local SHA-256 of the decoded catalog that this machine holds, if any
   * @param waitMs for the first holder; 0 asks only who is connected now
   * @returns undefined where no member holds it
   * @throws `signal.reason`
   */
  async find(
    name: CatalogName,
    { local, waitMs }: { readonly local?: Sha256Digest; readonly waitMs: number },
    signal: AbortSignal,
  ): Promise<FoundInSwarm | undefined> {
    const warnings: string[] = []
    const missed = new Set<PeerConnection>()
    const limit = deadline(waitMs, new Error('nobody holds it'), signal)
    try {
      for (;;) {
        const choose = () => chooseCatalog(name, offersOf(this.#members.values(), name, missed), local)
        const choice = await this.#awaitChoice(choose, limit.signal, signal)
        if (choice === undefined) return undefined
        if (choice.warning !== undefined && !warnings.includes(choice.warning)) warnings.push(choice.warning)
        for (const connection of choice.holders) {
          const catalog = await this.#fetchCatalog(connection, name, warnings, signal)
          if (catalog !== undefined) return { catalog, warnings }
          missed.add(connection)
        }
      }
    } finally {
      limit.clear()
    }
  }

  /** Say goodbye to all, and give it time to arrive: who hears nothing has to find out by itself. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    const connections = [...this.#strangers, ...this.#members.values()]
    for (const connection of connections) connection.leave('leaving', 'shutting down', undefined)
    const patience = new AbortController()
    const enough = this.#clock.sleep(GOODBYE_MS, patience.signal).catch(() => {})
    await Promise.race([Promise.all(connections.map(({ closed }) => closed)), enough])
    patience.abort(new Error('no need to wait'))
  }

  /** The choice among present holders, once a fresh swarm has had time to hear of others; undefined after `limit`. */
  async #awaitChoice(
    choose: () => Choice<PeerConnection> | undefined,
    limit: AbortSignal,
    signal: AbortSignal,
  ): Promise<Choice<PeerConnection> | undefined> {
    for (;;) {
      signal.throwIfAborted()
      const choice = choose()
      if (choice !== undefined && choice.holders.length > 0) {
        const freshMs = MAJORITY_GRACE_MS - (this.#clock.nowMs() - (this.#firstMemberMs ?? 0))
        if (freshMs <= 0) return choice
        await this.#clock.sleep(freshMs, signal)
        continue
      }
      if (limit.aborted) return undefined
      await this.#nextChange(limit)
    }
  }

  async #fetchCatalog(
    connection: PeerConnection,
    name: CatalogName,
    warnings: string[],
    signal: AbortSignal,
  ): Promise<VerifiedCatalog | undefined> {
    const held = connection.catalogs.get(name)
    if (held === undefined) return undefined
    try {
      const found = await connection.source.findCatalog(held, signal)
      return found === undefined ? undefined : verifyCatalog(found)
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof HoloError) || error.blame !== 'source') throw error
      this.#log.warn(error.message)
      warnings.push(`${error.message}; it was dropped`)
      this.#ban(connection, error)
      return undefined
    }
  }

  #welcome(connection: PeerConnection): void {
    this.#strangers.delete(connection)
    const { remote } = connection
    if (remote === undefined) return
    if (this.#partIfRefused(connection)) return
    // A peer that comes back while its old link still hangs keeps the new one.
    const key = hex(connection.linkKey)
    const older = this.#members.get(key)
    if (older === undefined && !this.#hasRoomFor(connection)) return
    this.#members.set(key, connection)
    older?.leave('leaving', 'you have opened another connection', undefined)
    this.#firstMemberMs ??= this.#clock.nowMs()
    this.#log.info(`${connection.name} joined (${remote.role}, ${remote.agent})`)
    this.#changed()
  }

  /**
   * Whoever proves to be a member finds room: it may have come for something that only this machine holds. The daemon
   * that has been here longest of those with which nothing is under way makes it, and calls another one if it needs to.
   */
  #hasRoomFor(connection: PeerConnection): boolean {
    if (this.#members.size < PEERS_MAX) return true
    const idle = [...this.#members.values()].find(({ remote, isBusy }) => remote?.role === 'daemon' && !isBusy)
    const leaving = idle ?? connection
    leaving.leave('leaving', 'this machine has no room for more connections', undefined)
    return leaving !== connection
  }

  #partIfRefused(connection: PeerConnection): boolean {
    const { remote } = connection
    if (remote === undefined || !this.refuses(remote.machineKey)) return false
    const ban = this.#admission.reasonAgainst(remote.machineKey)
    if (ban !== undefined) {
      connection.leave('dropped', 'this machine was dropped', ban)
      return true
    }
    this.#log.info(`${connection.name} is sent away: settings.yaml does not let it in`)
    connection.leave('dropped', 'the settings of this machine do not let you in', undefined)
    return true
  }

  #forget(connection: PeerConnection, error: HoloError | undefined): void {
    this.#strangers.delete(connection)
    if (error !== undefined) this.#log.warn(error.message)
    if (error?.code === 'protocol-violation') this.#shutOut(connection, error)
    const key = hex(connection.linkKey)
    if (this.#members.get(key) !== connection) return
    this.#members.delete(key)
    this.#log.info(`${connection.name} left`)
    this.#changed()
  }

  #ban(connection: PeerConnection, reason: HoloError): void {
    this.#shutOut(connection, reason)
    connection.leave('dropped', messageOf(reason), reason)
  }

  #shutOut(connection: PeerConnection, reason: HoloError): void {
    this.#admission.shutOut(connection.linkKey, reason)
    if (connection.remote !== undefined) this.#admission.shutOut(connection.remote.machineKey, reason)
    this.#log.warn(`${peerName(connection.linkKey, connection.address)} is shut out: ${reason.message}`)
  }

  #changed(): void {
    for (const listener of [...this.#listeners]) listener()
  }

  /** Resolves at the next change, or when `signal` aborts. */
  #nextChange(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const unsubscribe = this.subscribe(resolve)
    signal.addEventListener('abort', () => resolve(), { once: true })
    return promise.finally(unsubscribe)
  }
}

function hex(key: Uint8Array): string {
  return Buffer.from(key).toString('hex')
}
