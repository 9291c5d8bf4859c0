/** Fetches of a daemon, one per catalog at a time however many commands wait for it. */
import { HoloError } from '../base/errors.ts'
import { roomLogger } from '../base/log.ts'
import { parseSha256, type Sha256Digest } from '../blob/digest.ts'
import { emptyTotals, type FetchTotals } from '../blob/fetch-all.ts'
import type { BlobRef } from '../blob/source.ts'
import type { CatalogName } from '../catalog/tree.ts'
import type { DaemonStatus } from '../daemon/control-protocol.ts'
import type { FetchJob } from '../daemon/control-server.ts'
import { IngestPool } from '../store/ingest-pool.ts'
import type { Library } from '../store/library.ts'
import type { VerifiedCatalog } from '../trust/verify-catalog.ts'
import { wireTotals } from './daemon-supply.ts'
import { localCatalog } from './local-catalog.ts'
import { localJudge } from './local-judge.ts'
import type { Machine } from './machine.ts'
import type { OrderedSupply } from './ordered-supply.ts'
import { settingsOf } from './settings-of.ts'
import type { FoundEnvironment } from './supply.ts'
import type { TrustOptions } from './trust.ts'

const log = roomLogger('daemon')

/** An environment that was found, and is being fetched. */
export interface BegunFetch extends FoundEnvironment {
  /** What the library lacked of it before. */
  readonly missing: readonly BlobRef[]
  readonly job: FetchJob
}

export class FetchJobs {
  readonly #jobs = new Map<string, FetchJob & { readonly catalog: CatalogName }>()
  #found: VerifiedCatalog | undefined

  /** @param signal ends all of them */
  constructor(
    private readonly machine: Machine,
    private readonly library: Library,
    private readonly outside: OrderedSupply,
    private readonly signal: AbortSignal,
  ) {}

  /** What is on its way. */
  get underWay(): DaemonStatus['fetching'] {
    return [...this.#jobs.values()].map(({ catalog, progress }) => {
      const { totals, blobs } = progress()
      return { catalog, blobs, done: totals.blobs, wireBytes: totals.wireBytes }
    })
  }

  /** As `OrderedSupply.find`: what a command had found it will have fetched next, and then it need not travel again. */
  async find(...wish: Parameters<OrderedSupply['find']>): Promise<FoundEnvironment> {
    const found = await this.outside.find(...wish)
    this.#found = found.catalog
    return found
  }

  /** Find an environment with peers and substituters, and fetch it. @throws {HoloError} as `OrderedSupply` */
  async bring(name: CatalogName): Promise<void> {
    const local = await this.#local(name)
    const { catalog } = await this.find(name, local?.sha256, { allowRollback: false }, this.signal)
    await this.start(name, catalog.sha256).done
  }

  /**
   * The same for a command of this machine, which hears how it goes on: Workers start while the environment is looked
   * for, which strangers at the door could have them do for nothing.
   *
   * @throws as `find`
   */
  async begin(
    name: CatalogName,
    local: Sha256Digest | undefined,
    trust: TrustOptions,
    signal: AbortSignal,
  ): Promise<BegunFetch> {
    const workers = IngestPool.startAhead(this.library)
    let job: FetchJob | undefined
    try {
      const found = await this.find(name, local, trust, signal)
      const missing = await this.library.missing(found.catalog.catalog, signal)
      job = this.start(name, found.catalog.sha256)
      return { ...found, missing, job }
    } finally {
      const end = () => workers?.[Symbol.asyncDispose]()
      if (job === undefined) await end()
      else job.done.then(end, end)
    }
  }

  /** @param sha256 64 hex digits */
  start(name: CatalogName, sha256: string): FetchJob {
    const wanted = parseSha256(sha256)
    if (wanted === undefined) throw new TypeError('the control socket let a malformed SHA-256 through')
    const key = `${name} ${wanted}`
    const running = this.#jobs.get(key)
    if (running !== undefined) return running
    const totals = emptyTotals()
    let blobs = 0
    const done = this.#fetch(name, wanted, totals, (count) => {
      blobs = count
    }).finally(() => this.#jobs.delete(key))
    const job = { catalog: name, progress: () => ({ totals: wireTotals(totals), blobs }), done }
    this.#jobs.set(key, job)
    return job
  }

  async #fetch(
    name: CatalogName,
    wanted: Sha256Digest,
    totals: FetchTotals,
    onBlobs: (count: number) => void,
  ): Promise<void> {
    const local = await this.#local(name)
    const known = [local, this.#found]
    const catalog =
      known.find((each) => each?.name === name && each.sha256 === wanted) ?? (await this.#remote(name, wanted))
    await this.outside.fetch(catalog, totals, (_totals, blobs) => onBlobs(blobs), this.signal)
    log.info`fetched ${totals.blobs} blobs of ${name}, ${totals.wireBytes} bytes on the wire`
  }

  /** @returns undefined also where its key is revoked: then another one is wanted */
  async #local(name: CatalogName): Promise<VerifiedCatalog | undefined> {
    try {
      return localCatalog(
        name,
        this.library,
        await localJudge(this.machine, await settingsOf(this.machine)),
        (why) => log.warning`${why}`,
      )
    } catch (error) {
      if (!(error instanceof HoloError) || error.blame !== 'trust') throw error
      log.warning`${error.message}`
      return undefined
    }
  }

  async #remote(name: CatalogName, wanted: Sha256Digest): Promise<VerifiedCatalog> {
    const { catalog } = await this.outside.find(name, wanted, { allowRollback: false }, this.signal)
    if (catalog.sha256 === wanted) return catalog
    throw new HoloError(`The environment ${name} changed at its sources while it was about to be fetched`, {
      code: 'catalog-differs',
      blame: 'source',
      hint: 'run the same command again',
    })
  }

  /** Wait for the fetches under way, which end soon once the signal has aborted. */
  async settled(): Promise<void> {
    await Promise.allSettled([...this.#jobs.values()].map(({ done }) => done))
  }
}
