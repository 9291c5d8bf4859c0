/**
 * All connections of this process, and what the members at their ends hold.
 *
 * Takes links from discovery, keeps those whose remote is a member, answers "who holds this catalog", and shuts out
 * peers that proved bad. Which links are tried, and when, is discovery's business.
 */
import type { Clock } from '../base/clock.ts'
import { type HoloError, messageOf } from '../base/errors.ts'
import { GOODBYE_MS, PEERS_MAX, SOURCE_GRACE_MS, STRANGERS_MAX } from '../base/limits.ts'
import type { FrameLink } from '../base/link.ts'
import { roomLogger } from '../base/log.ts'
import type { Digest, Sha256Digest } from '../blob/digest.ts'
import type { SourceSet } from '../blob/fetch-all.ts'
import type { CatalogName } from '../catalog/tree.ts'
import type { KeyRules } from '../trust/key-rules.ts'
import type { Delegation } from '../trust/keys.ts'
import { Admission } from './admission.ts'
import { type Ban, Bans } from './bans.ts'
import { type CatalogWish, type FoundInSwarm, findCatalog } from './catalog-search.ts'
import { PeerConnection } from './connection.ts'
import type { ConnectionOptions } from './connection-options.ts'
import { blobSources, holdersOf, holds } from './holders.ts'
import type { LaneAccess, LaneKeeper } from './lane-keeper.ts'
import { Members } from './members.ts'
import { peerName } from './peer-name.ts'
import { type PeerView, viewOf } from './peer-view.ts'
import type { PieceFetch } from './piece-fetch.ts'
import { type FoundTable, findTable } from './table-search.ts'
import { Tickets } from './tickets.ts'

export interface SwarmOptions extends Omit<ConnectionOptions, 'secrets' | 'laneAccess'> {
  /** Secrets of all fleets of this machine; asked at each new connection, so that a fleet joined later counts. */
  readonly secrets: () => readonly Uint8Array[]
  /** The operator's allow-list and ban-list; without them everybody in the fleet is welcome. */
  readonly rules?: KeyRules
  /** How lanes are opened; without them sessions carry everything. */
  readonly lanes?: Omit<LaneAccess, 'tickets'>
}

export class FleetSwarm implements AsyncDisposable {
  readonly #options: SwarmOptions
  readonly #clock: Clock
  readonly #log = roomLogger('peer')
  /** Links that have not proved anything yet; dropped after their deadline. */
  readonly #strangers = new Set<PeerConnection>()
  readonly #members = new Members()
  readonly #bans: Bans
  readonly #admission: Admission
  readonly #listeners = new Set<() => void>()
  /** Environments on their way in pieces. */
  readonly #fetches = new Set<PieceFetch>()
  readonly #laneAccess: LaneAccess | undefined
  #firstMemberMs: number | undefined
  /** Of connections that have ended. */
  #sentBytes = 0
  #closed = false

  constructor(options: SwarmOptions) {
    this.#options = options
    this.#clock = options.clock
    this.#bans = new Bans(options.clock)
    this.#admission = new Admission(options.rules, this.#bans)
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
        onOpen: () => this.#welcome(connection, Buffer.compare(link.localKey, link.remoteKey) > 0),
        onHave: () => this.#look(connection),
        onPieces: (catalog, pieces) => this.#morePieces(connection, catalog, pieces),
        onChoke: (choked) => {
          if (!this.#members.isCurrent(connection)) return
          for (const fetch of this.#fetches) fetch.choke(connection.name, choked)
        },
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
    for (const connection of this.#members.all()) this.#partIfRefused(connection)
  }

  peers(): readonly PeerView[] {
    return [...this.#members.values()].map(viewOf).filter((view) => view !== undefined)
  }

  /** Bytes of blobs, catalogs and pieces sent so far, to those who have left, too. */
  get sentBytes(): number {
    return this.#members.all().reduce((sum, { sentBytes }) => sum + sentBytes, this.#sentBytes)
  }

  /** Whom this process shuts out for what they did, the newest first. */
  bans(): readonly Ban[] {
    return this.#bans.list()
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

  /** Whether a member holds this very catalog. @param sha256 of the decoded catalog */
  isHeld(sha256: Sha256Digest): boolean {
    return [...this.#members.values()].some((member) => holds(member, sha256))
  }

  /**
   * The members that hold this very catalog, as sources of its blobs; follows their coming and going. Where nobody holds
   * it, those that hold others are asked which of the blobs they share.
   *
   * @param sha256 of the decoded catalog
   * @param digests all that will be asked for
   */
  sourcesFor(sha256: Sha256Digest, digests: readonly Digest[]): SourceSet {
    return {
      graceMs: SOURCE_GRACE_MS,
      list: blobSources(() => this.#members.values(), sha256, digests),
      subscribe: (listener) => this.subscribe(listener),
      drop: (source, error) => this.drop(source, error),
    }
  }

  /**
   * Let `fetch` ask every member that is here or comes, until it has ended.
   *
   * @returns as `PieceFetch.run` @throws as `PieceFetch.run`
   */
  async fetchPieces(fetch: PieceFetch, signal: AbortSignal): Promise<readonly number[]> {
    this.#fetches.add(fetch)
    for (const connection of this.#members.values()) lookAt(fetch, connection)
    try {
      return await fetch.run(signal)
    } finally {
      this.#fetches.delete(fetch)
    }
  }

  /** The piece table of a catalog, from the first member that has it. @returns, @throws as `findTable` */
  findTable(catalog: Sha256Digest, pieces: number, signal: AbortSignal): Promise<FoundTable | undefined> {
    const list = () => [...this.#members.values()]
    return findTable({ list, subscribe: (listener) => this.subscribe(listener) }, catalog, pieces, signal)
  }

  /** Part with members whose secret counts no more: its fleet was left, or its grace is over. */
  dropOutsiders(): void {
    const counting = new Set(this.#options.secrets().map(hex))
    for (const connection of this.#members.all()) {
      const { remote } = connection
      if (remote === undefined || counting.has(hex(remote.secret))) continue
      this.#log.info(`${connection.name} is sent away: the secret that it has proved counts no more`)
      connection.leave('not-a-member', 'the secret that you have proved counts no more', undefined)
    }
  }

  /** Talk to this peer no more for a time. @param peer its name, as in its source and in errors */
  drop(peer: string, reason: HoloError): void {
    for (const connection of this.#members.all()) if (connection.name === peer) this.#ban(connection, reason)
  }

  /** Find a catalog among the members, waiting for the first one that holds it. @returns, @throws as `findCatalog` */
  find(name: CatalogName, wish: CatalogWish, signal: AbortSignal): Promise<FoundInSwarm | undefined> {
    const search = {
      clock: this.#clock,
      members: () => this.#members.values(),
      sinceMs: () => this.#firstMemberMs,
      subscribe: (listener: () => void) => this.subscribe(listener),
      coming: this.#options.pieceServer?.coming,
      onLie: (connection: PeerConnection, error: HoloError) => {
        this.#log.warn(error.message)
        this.#ban(connection, error)
      },
    }
    return findCatalog(name, wish, search, signal)
  }

  /** Say goodbye to all, and give it time to arrive: who hears nothing has to find out by itself. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    const connections = [...this.#strangers, ...this.#members.all()]
    for (const connection of connections) connection.leave('leaving', 'shutting down', undefined)
    const patience = new AbortController()
    const enough = this.#clock.sleep(GOODBYE_MS, patience.signal).catch(() => {})
    await Promise.race([Promise.all(connections.map(({ closed }) => closed)), enough])
    patience.abort(new Error('no need to wait'))
  }

  /** @param chooses as `Members.add` */
  #welcome(connection: PeerConnection, chooses: boolean): void {
    this.#strangers.delete(connection)
    const { remote } = connection
    if (remote === undefined) return
    if (this.#partIfRefused(connection)) return
    if (!this.#members.knows(connection) && !this.#hasRoomFor(connection)) return
    const { older, parted } = this.#members.add(connection, chooses)
    if (older !== undefined) this.#leave(older)
    parted?.leave('leaving', 'you have opened another connection', undefined)
    this.#firstMemberMs ??= this.#clock.nowMs()
    this.#log.info(`${connection.name} joined (${remote.role}, ${remote.agent})`)
    this.#look(connection)
  }

  /** Fetches ask it no more; another connection to the same machine may have the same name. */
  #leave({ name }: PeerConnection): void {
    for (const fetch of this.#fetches) fetch.leave(name)
  }

  /** It is here, or holds something else. */
  #look(connection: PeerConnection): void {
    if (!this.#members.isCurrent(connection)) return
    for (const fetch of this.#fetches) lookAt(fetch, connection)
    this.#changed()
  }

  /**
   * Whoever proves to be a member finds room: it may have come for something that only this machine holds. The daemon
   * that has been here longest of those with which nothing is under way makes it, and calls another one if it needs to.
   */
  #hasRoomFor(connection: PeerConnection): boolean {
    const all = this.#members.all()
    if (all.length < PEERS_MAX) return true
    const idle = all.find(({ remote, isBusy }) => remote?.role === 'daemon' && !isBusy)
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
    const { counted, next } = this.#members.remove(connection)
    this.#sentBytes += connection.sentBytes
    if (!counted) return
    this.#log.info(`${connection.name} left${next === undefined ? '' : ' this one of two connections'}`)
    this.#leave(connection)
    if (next === undefined) this.#changed()
    else if (!this.#partIfRefused(next)) this.#look(next)
  }

  #ban(connection: PeerConnection, reason: HoloError): void {
    this.#shutOut(connection, reason)
    connection.leave('dropped', messageOf(reason), reason)
  }

  #shutOut(connection: PeerConnection, reason: HoloError): void {
    const { remote, linkKey, name } = connection
    this.#bans.add(remote === undefined ? [linkKey] : [remote.machineKey, linkKey], name, reason)
    this.#log.warn(`${peerName(linkKey, connection.address)} is shut out: ${reason.message}`)
  }

  #morePieces(connection: PeerConnection, catalog: Sha256Digest, pieces: readonly number[] | undefined): void {
    if (!this.#members.isCurrent(connection)) return
    const peer = connection.pieces
    for (const fetch of this.#fetches) {
      if (peer === undefined || fetch.catalog !== catalog) continue
      if (pieces === undefined) fetch.look(peer)
      else fetch.got(peer, pieces)
    }
    // Who begins to fetch has the catalog, and can pass it on.
    if (pieces === undefined) this.#changed()
  }

  #changed(): void {
    for (const listener of [...this.#listeners]) listener()
  }
}

function hex(key: Uint8Array): string {
  return Buffer.from(key).toString('hex')
}

function lookAt(fetch: PieceFetch, { pieces }: PeerConnection): void {
  if (pieces !== undefined) fetch.look(pieces)
}
