/**
 * Which catalogs of this machine others might look for in vain among their neighbours, and the announcing of them.
 *
 * A machine asks its neighbours only. While a fleet is small everybody is everybody's neighbour; in a larger one a catalog
 * that many hold is with some neighbour of everybody. What few hold is announced in the DHT under a topic of its own, and
 * whoever lacks it looks there. So a small fleet announces nothing, and nobody announces what is common.
 */
import type { Clock } from '../base/clock.ts'
import { messageOf } from '../base/errors.ts'
import { PEERS_WANTED, RARE_CATALOGS_MAX, RARE_HOLDERS, RARE_LOOK_MS } from '../base/limits.ts'
import { roomLogger } from '../base/log.ts'
import type { CatalogName } from '../catalog/tree.ts'
import type { Joined } from '../discovery/discovery.ts'
import { catalogTopic } from '../trust/fleet.ts'

export interface Rarity {
  /** Held here, whole. */
  readonly held: readonly CatalogName[]
  /** Members that this machine is connected with. */
  readonly neighbours: number
  /** How many of them hold it. */
  readonly holders: (name: CatalogName) => number
}

/**
 * @param announced those that are announced now: such a one stays until twice as many neighbours hold it, so that one
 *   machine more or less does not change it again and again
 * @returns `RARE_CATALOGS_MAX` at most, the rarest first
 */
export function rareCatalogs(
  { held, neighbours, holders }: Rarity,
  announced: ReadonlySet<CatalogName>,
): CatalogName[] {
  if (neighbours < PEERS_WANTED) return []
  const counted = held.map((name) => ({ name, count: holders(name) }))
  const rare = counted.filter(({ name, count }) => count < RARE_HOLDERS * (announced.has(name) ? 2 : 1))
  const sorted = rare.sort((left, right) => left.count - right.count)
  return sorted.slice(0, RARE_CATALOGS_MAX).map(({ name }) => name)
}

export interface RareAnnouncerOptions {
  readonly rarity: () => Rarity
  /** Of all fleets of this machine, old ones in their grace included. */
  readonly secrets: () => readonly Uint8Array[]
  readonly announce: (topic: Uint8Array) => Joined
  readonly clock: Clock
}

/** Keeps the announcements in step with what is held here and by the neighbours. */
export class RareAnnouncer {
  readonly #log = roomLogger('app')
  /** By topic in hex. */
  readonly #announced = new Map<string, { readonly name: CatalogName; readonly joined: Joined }>()
  #wake = () => {}

  constructor(private readonly options: RareAnnouncerOptions) {}

  /** Look again now: the library or the fleets have changed. */
  look(): void {
    this.#wake()
  }

  /** Announce until `signal` aborts; never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#settle().catch((error: unknown) => {
        if (!signal.aborted) this.#log.warning`what few hold is not announced: ${messageOf(error)}`
      })
      const woken = new AbortController()
      this.#wake = () => woken.abort()
      await this.options.clock.sleep(RARE_LOOK_MS, AbortSignal.any([woken.signal, signal])).catch(() => {})
    }
  }

  async #settle(): Promise<void> {
    const { rarity, secrets, announce } = this.options
    const rare = rareCatalogs(rarity(), new Set([...this.#announced.values()].map(({ name }) => name)))
    const topics = rare.flatMap((name) => secrets().map((secret) => ({ name, topic: catalogTopic(secret, name) })))
    const wanted = new Map(
      topics.slice(0, RARE_CATALOGS_MAX).map((each) => [Buffer.from(each.topic).toString('hex'), each]),
    )
    for (const [key, { name, joined }] of this.#announced) {
      if (wanted.has(key)) continue
      this.#announced.delete(key)
      await joined.leave().catch((error: unknown) => this.#log.debug`${name} stays announced: ${messageOf(error)}`)
    }
    for (const [key, { name, topic }] of wanted)
      if (!this.#announced.has(key)) this.#announced.set(key, { name, joined: announce(topic) })
  }
}
