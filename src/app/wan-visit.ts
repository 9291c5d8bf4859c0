/**
 * One pays the WAN: what a machine lacks and only a substituter has, one machine of the fleet brings, and the others get from
 * there (`peer/leases` decides who).
 *
 * A visit is one look-up or one fetch. While somebody else brings the environment, its pieces are taken from the peers as they
 * come; when that ends, or leads to nothing, this machine first takes what peers have of it, and brings the rest. A machine
 * without peers asks its substituters at once.
 */
import type { Clock } from '../base/clock.ts'
import { HoloError } from '../base/errors.ts'
import { roomLogger } from '../base/log.ts'
import {
  LEASE_CATALOG_MS,
  LEASE_LINGER_MS,
  LEASE_PATIENCE_MS,
  LEASE_RENEWAL_MS,
  LEASE_SETTLE_MS,
  LEASE_SWEEP_MS,
} from '../base/substituter-limits.ts'
import type { Digest, Sha256Digest } from '../blob/digest.ts'
import type { FetchTotals } from '../blob/fetch-all.ts'
import type { CatalogName } from '../catalog/tree.ts'
import type { WantedLease } from '../peer/lease-desk.ts'
import type { Library } from '../store/library.ts'
import type { LibraryPieceSink } from '../store/piece-sink.ts'
import type { VerifiedCatalog } from '../trust/verify-catalog.ts'
import { fetchEnvironment } from './fetch-environment.ts'
import type { FleetNode } from './fleet-node.ts'
import { type SinkLender, sinkOf } from './lent-sink.ts'
import type { Machine } from './machine.ts'
import type { CatalogsInTransit } from './piece-exchange.ts'
import type { FetchProgress, FoundEnvironment } from './supply.ts'
import { offerJudge, type TrustOptions } from './trust.ts'

const log = roomLogger('app')
/** How often is looked whether something has come. */
const LOOK_MS = LEASE_RENEWAL_MS / 4

export interface WanPlace {
  readonly machine: Machine
  readonly library: Library
  /** Undefined in a command, from which nobody gets anything. */
  readonly transit: CatalogsInTransit | undefined
}

/** How one visit ended: `found`, the fetch is still to come; `fetched`, it is through. */
export type VisitEnd = 'found' | 'fetched' | 'failed'

/** What is fetched, and where that is counted. */
export interface WanFetch {
  readonly catalog: VerifiedCatalog
  readonly totals: FetchTotals
  readonly onProgress: FetchProgress
  /** False: nobody is asked here but peers, so this machine only waits. */
  readonly mayPay: boolean
}

export interface CatalogQuestion {
  /** SHA-256 of the decoded catalog that the library holds, if any. */
  readonly local: Sha256Digest | undefined
  readonly trust: TrustOptions
}

type Pay = (lend: SinkLender | undefined, signal: AbortSignal) => Promise<void>

interface Entered {
  readonly node: FleetNode
  readonly lease: WantedLease
}

export class WanVisit {
  #entered: Promise<Entered | undefined> | undefined
  #passing: Disposable | undefined
  #catalog: VerifiedCatalog | undefined
  #sink: LibraryPieceSink | undefined
  #waiting = 0

  constructor(
    private readonly name: CatalogName,
    private readonly nodeOf: () => Promise<FleetNode | undefined>,
    private readonly place: WanPlace,
    private readonly clock: Clock,
    private readonly closed: AbortSignal,
  ) {}

  /** Whether it is somebody else's turn: then silence means nothing. */
  get isWaiting(): boolean {
    return this.#waiting > 0
  }

  /**
   * Look for the catalog: with whoever is about to bring the environment, else by `ask`.
   *
   * @returns, @throws as `ask`
   */
  async find(
    wish: CatalogQuestion,
    ask: (signal: AbortSignal) => Promise<FoundEnvironment | undefined>,
    signal: AbortSignal,
  ): Promise<FoundEnvironment | undefined> {
    const entered = await this.#enter(true)
    if (entered === undefined) return ask(signal)
    const { node, lease } = entered
    const turn = await this.#patiently(() => lease.settled(signal))
    if (turn.turn === 'theirs') {
      const offered = await this.#patiently(() => this.#offered(node, lease, wish, signal))
      return offered ?? ask(signal)
    }
    const found = await ask(signal)
    if (found !== undefined) this.#knows(lease, found.catalog)
    return found
  }

  /** Bring what the library lacks of `catalog`: from whoever is bringing it, else by `pay`. @throws as `pay`; blame `host` */
  async fetch(what: WanFetch, pay: Pay, signal: AbortSignal): Promise<void> {
    const entered = await this.#enter(what.mayPay)
    if (entered === undefined) return pay(undefined, signal)
    const { node, lease } = entered
    if (!what.mayPay && node.isHeld(what.catalog.sha256)) return pay(undefined, signal)
    lease.knows(factsOf(what.catalog))
    for (;;) {
      const turn = await this.#patiently(() => lease.settled(signal))
      if (turn.turn === 'theirs') {
        log.info`${this.name} is being brought by ${turn.member.name}: waiting for it`
        if (await this.#patiently(() => this.#await(entered, what, signal))) return
      } else if (!what.mayPay) return pay(undefined, signal)
      else if (await this.#pay(entered, what, pay, signal)) return
    }
  }

  /** To be called once, last. Others hear of it at once, or where more is to come of it a little later. */
  async end(how: VisitEnd): Promise<void> {
    this.#leave(how)
    await this.#sink?.[Symbol.asyncDispose]()
  }

  #leave(how: VisitEnd): void {
    void this.#entered?.then(async (entered) => {
      if (entered === undefined) return
      using _passing = this.#passing
      using _lease = entered.lease
      const { transit } = this.place
      const sha256 = this.#catalog?.sha256
      if (how === 'failed' || transit === undefined || sha256 === undefined) return
      // Else those who wait would think that nobody brings it any more.
      const endMs = this.clock.nowMs() + LEASE_LINGER_MS
      while (this.clock.nowMs() < endMs && (how === 'found' || !transit.has(sha256))) {
        await this.clock.sleep(LOOK_MS, this.closed).catch(() => {})
        if (this.closed.aborted) return
      }
    })
  }

  #enter(mayPay: boolean): Promise<Entered | undefined> {
    this.#entered ??= this.#node().then((node) =>
      node === undefined ? undefined : { node, lease: node.leases.want(this.name, mayPay) },
    )
    return this.#entered
  }

  /** A command's node that is not there yet when peers have had their turn holds up nothing. */
  async #node(): Promise<FleetNode | undefined> {
    const enough = new AbortController()
    const late = this.clock.sleep(LEASE_SETTLE_MS, enough.signal).then(
      () => undefined,
      () => undefined,
    )
    try {
      return await Promise.race([this.nodeOf(), late])
    } finally {
      enough.abort(new Error('it is there'))
    }
  }

  async #patiently<Value>(wait: () => Promise<Value>): Promise<Value> {
    this.#waiting++
    try {
      return await wait()
    } finally {
      this.#waiting--
    }
  }

  /** Those who take over from each other go on with one sink, so that parts of large blobs are not lost. */
  #lender(node: FleetNode, catalog: VerifiedCatalog): SinkLender {
    return () => {
      this.#sink ??= sinkOf(this.place.library, catalog, node.exchange)
      return this.#sink
    }
  }

  /** Peers get it from here from now on. */
  #knows(lease: WantedLease, catalog: VerifiedCatalog): void {
    this.#catalog = catalog
    this.#passing ??= this.place.transit?.passOn(catalog)
    lease.knows(factsOf(catalog))
  }

  /** @returns undefined where whoever is to bring it tells of none in time */
  async #offered(
    node: FleetNode,
    lease: WantedLease,
    { local, trust }: CatalogQuestion,
    signal: AbortSignal,
  ): Promise<FoundEnvironment | undefined> {
    const over = new AbortController()
    const inner = AbortSignal.any([over.signal, signal])
    lease.changed(inner).then(
      () => over.abort(new Error('nobody brings it any more')),
      () => {},
    )
    try {
      const judge = await offerJudge(this.place.machine, trust)
      const wish = { waitMs: LEASE_CATALOG_MS, judge, ...(local === undefined ? {} : { local }) }
      return await node.offered(this.name, wish, inner)
    } catch (error) {
      signal.throwIfAborted()
      // What a peer offers may not be trusted, and the same of a substituter be.
      if (over.signal.aborted || (error instanceof HoloError && error.blame === 'trust')) return undefined
      throw error
    } finally {
      over.abort(new Error('it has been found, or not'))
    }
  }

  /** @returns whether all is here; else it is to be settled anew whose turn it is */
  async #await(
    { node, lease }: Entered,
    { catalog, totals, onProgress }: WanFetch,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { machine, library } = this.place
    const place = {
      library,
      stateDirectory: machine.state.directory,
      exchange: node.exchange,
      sourcesFor: (digests: readonly Digest[]) => node.sourcesFor(catalog.sha256, digests),
      lend: this.#lender(node, catalog),
      isAwaited: true,
    }
    const stop = new AbortController()
    const inner = AbortSignal.any([stop.signal, signal])
    let idleMs = 0
    const watching = this.#watch(totals, inner, (came) => {
      if (came) lease.came()
      idleMs = came ? 0 : idleMs + LOOK_MS
      // What peers have of it need not cross the WAN again; whoever has all of it may be busy.
      const graceMs = node.isHeld(catalog.sha256) ? LEASE_PATIENCE_MS : LEASE_SWEEP_MS
      if (lease.turn().turn === 'ours' && idleMs >= graceMs) stop.abort(new Error('nobody brings the rest'))
    })
    try {
      await fetchEnvironment(place, catalog, totals, onProgress, inner)
      return true
    } catch (error) {
      signal.throwIfAborted()
      if (!stop.signal.aborted) throw error
      return false
    } finally {
      stop.abort(new Error('it is here, or not'))
      await watching
    }
  }

  /** @returns whether all is here; else somebody else brings the rest */
  async #pay({ node, lease }: Entered, { catalog, totals }: WanFetch, pay: Pay, signal: AbortSignal): Promise<boolean> {
    this.#knows(lease, catalog)
    const stop = new AbortController()
    const inner = AbortSignal.any([stop.signal, signal])
    const watching = this.#watch(totals, inner, (came) => {
      if (came) lease.came()
    })
    let yields = false
    const yielding = lease.changed(inner).then(
      () => {
        yields = true
        stop.abort(new Error('another machine brings it'))
      },
      () => {},
    )
    try {
      await pay(this.#lender(node, catalog), inner)
      return true
    } catch (error) {
      signal.throwIfAborted()
      if (!yields) throw error
      return false
    } finally {
      stop.abort(new Error('it is here, or not'))
      await Promise.all([watching, yielding])
    }
  }

  /** Look again and again whether bytes have come, until `signal` aborts. */
  async #watch(totals: FetchTotals, signal: AbortSignal, onLook: (came: boolean) => void): Promise<void> {
    for (let before = totals.wireBytes; !signal.aborted; ) {
      await this.clock.sleep(LOOK_MS, signal).catch(() => {})
      if (signal.aborted) return
      onLook(totals.wireBytes !== before)
      before = totals.wireBytes
    }
  }
}

function factsOf({ sha256, stored }: VerifiedCatalog) {
  return { sha256, storedBytes: stored.byteLength }
}
