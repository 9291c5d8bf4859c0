/**
 * The place of all measurements: one LAN with a seed, a second holder and receivers, one fleet, one environment.
 *
 * The seed has the environment in both forms, in homes of its own, of which one is served at a time. Between two
 * measurements every daemon is stopped and every receiver emptied, so that each begins as the first did.
 */
import * as fs from 'node:fs'
import { join } from 'node:path'
import { statePaths } from '../../src/catalog/layout.ts'
import { rootsIn } from '../../test/support/golden.ts'
import { type Host, Lan } from '../../test/support/lan.ts'
import type { Form } from '../restore/home.ts'
import { type Binary, type Fetched, Machine } from './machine.ts'
import type { Stock } from './stock.ts'

/** UDP port of the daemon's bootstrap node: free on every host. */
const BOOTSTRAP_PORT = 49737

/** What one lone fetch moved: what "environment" means in ratios of bytes. */
export interface Moved {
  /** By the seed. */
  readonly sentBytes: number
  /** By both ends. */
  readonly allBytes: number
}

export interface SiteOptions {
  readonly stock: Stock
  readonly binary: Binary
  readonly receivers: number
  /** In which the hosts get their folders. */
  readonly folder: string
  /** The forms that the seed has. */
  readonly forms: readonly Form[]
}

export class Site implements AsyncDisposable {
  readonly stock: Stock
  readonly receivers: readonly Machine[]
  /** The rate that crowds are measured at: halved for good once the processors set the pace. */
  crowdMegabits = 100
  /** Blobs of all libraries inspected so far that had other bytes than they should. */
  wrongBlobs = 0
  readonly #lan: Lan
  readonly #seeds = new Map<Form, Machine>()
  readonly #second: Machine

  private constructor(lan: Lan, { stock, binary, receivers, forms }: SiteOptions) {
    this.#lan = lan
    this.stock = stock
    const host = lan.host()
    for (const form of forms) {
      const home = join(host.folder, form)
      fs.mkdirSync(home)
      stock.install(home, form)
      this.#seeds.set(form, new Machine(host, binary, home))
    }
    this.#second = new Machine(lan.host(), binary)
    this.receivers = Array.from({ length: receivers }, () => new Machine(lan.host(), binary))
  }

  static async open(options: SiteOptions): Promise<Site> {
    const lan = new Lan(88, options.folder)
    try {
      const site = new Site(lan, options)
      await site.#found()
      return site
    } catch (error) {
      await lan[Symbol.asyncDispose]()
      throw error
    }
  }

  /** One fleet; the seed has the same key in both homes. */
  async #found(): Promise<void> {
    const [first, ...others] = this.#seeds.values()
    if (first === undefined) throw new Error('a seed needs a form')
    const invite = await first.createFleet()
    for (const { home } of others) {
      const [from, to] = [statePaths(rootsIn(first.home)).directory, statePaths(rootsIn(home)).directory]
      fs.cpSync(from, to, { recursive: true })
    }
    const bootstrap = `${first.host.address}:${BOOTSTRAP_PORT}`
    for (const machine of [this.#second, ...this.receivers]) await machine.join(invite, bootstrap)
  }

  /** The seed as it is in one form. @throws {Error} this site has none in that form */
  seed(form: Form): Machine {
    const seed = this.#seeds.get(form)
    if (seed === undefined) throw new Error(`the seed has no ${form} library`)
    return seed
  }

  get hasForms(): readonly Form[] {
    return [...this.#seeds.keys()]
  }

  /** A receiver. @throws {Error} this site has fewer */
  receiver(index = 0): Machine {
    const receiver = this.receivers[index]
    if (receiver === undefined) throw new Error(`there is no receiver ${index}`)
    return receiver
  }

  /** The second holder, with an honest library of that form; its daemon does not run. */
  async second(form: Form): Promise<Machine> {
    await this.#second.stop()
    this.#second.empty()
    this.stock.install(this.#second.home, form)
    return this.#second
  }

  /** Stop all daemons, lift all limits, and empty the receivers. */
  async reset(): Promise<void> {
    await Promise.all([...this.#seeds.values(), this.#second, ...this.receivers].map((machine) => machine.stop()))
    for (const host of this.#hosts) this.#lan.shape(host, undefined)
    for (const receiver of this.receivers) receiver.empty()
  }

  /** Limit the links of these machines, each way; undefined lifts the limit. */
  shape(machines: readonly Machine[], megabits: number | undefined): void {
    for (const { host } of machines) this.#lan.shape(host, megabits)
  }

  /** Count bytes on all links from now on. */
  count(): { sentBy(machine: Machine): number; receivedBy(machine: Machine): number; all(): number } {
    const before = this.#lan.traffic()
    const since = (host: Host, way: 'sentBytes' | 'receivedBytes') =>
      (this.#lan.traffic().get(host)?.[way] ?? 0) - (before.get(host)?.[way] ?? 0)
    return {
      sentBy: ({ host }) => since(host, 'sentBytes'),
      receivedBy: ({ host }) => since(host, 'receivedBytes'),
      all: () => this.#hosts.reduce((sum, host) => sum + since(host, 'sentBytes'), 0),
    }
  }

  /** Hold the library of a machine against the source, and note what is wrong. @throws {Error} it lacks or has too much */
  inspect(machine: Machine): void {
    const { lacking, wrong, strays } = this.stock.inspect(machine.home)
    this.wrongBlobs += wrong
    if (lacking + strays === 0) return
    throw new Error(`the library of ${machine.host.address} lacks ${lacking} blobs, and ${strays} files are strays`)
  }

  /** Let one machine fetch, and inspect what it has then. */
  async fetched(machine: Machine, limitMs: number, signal: AbortSignal): Promise<Fetched & Moved> {
    const counted = this.count()
    const done = await machine.fetch(this.stock.robotFile, limitMs, signal)
    const moved = { sentBytes: counted.sentBy(this.#anySeed), allBytes: counted.all() }
    this.inspect(machine)
    return { ...done, ...moved }
  }

  /** Milliseconds: as if the link carried the raw bytes six times, and a minute beside. */
  limitMs(megabits = 1_000): number {
    return 60_000 + (6 * this.stock.rawBytes * 8) / (megabits * 1_000)
  }

  get #anySeed(): Machine {
    const [seed = this.#second] = this.#seeds.values()
    return seed
  }

  get #hosts(): Host[] {
    return [this.#anySeed, this.#second, ...this.receivers].map(({ host }) => host)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lan[Symbol.asyncDispose]()
  }
}
