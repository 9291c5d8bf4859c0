/**
 * Which machine of a fleet brings an environment from a substituter, while the others wait and get it from there: leases, one
 * for each catalog name (docs/protocol.md, "Leases").
 *
 * Pure: what members say, what happens here and the time go in, turns and messages come out. A lease is worth as much as
 * what comes of it: one that is not renewed runs out, and whoever holds one while nothing comes is waited for no more, so
 * that a member that turned bad costs a bounded time. Knows nothing of how an environment is brought.
 */
import {
  LEASE_ALONE_MS,
  LEASE_CLAIM_MS,
  LEASE_CLAIMS_MAX,
  LEASE_DISTRUST_MS,
  LEASE_DISTRUSTED_MAX,
  LEASE_HOLDERS_IN_VAIN_MAX,
  LEASE_LAPSES_MAX,
  LEASE_MS,
  LEASE_PATIENCE_MS,
  LEASE_RENEWAL_MS,
  LEASE_SETTLE_MS,
  LEASES_MAX,
} from '../base/substituter-limits.ts'
import { sha256Of } from '../blob/digest.ts'
import type { CatalogName } from '../catalog/tree.ts'
import type { HeldCatalog, Lease } from './messages.ts'
import { violation } from './wire.ts'

/** A member that knows of leases. */
export interface LeaseMember {
  /** Unique among the connections of this process. */
  readonly id: string
  /** As in every error and log line. */
  readonly name: string
  /** Of its machine. */
  readonly key: Uint8Array
  /** Whether others can get from it what it brings: one that does not is never waited for. */
  readonly serves: boolean
}

export type Turn =
  /** This machine is to bring it. */
  | { readonly turn: 'ours' }
  /** That member does; `lookMs` is when to ask again at the latest. */
  | { readonly turn: 'theirs'; readonly member: LeaseMember; readonly lookMs: number }
  /** It is not settled yet who does. */
  | { readonly turn: 'open'; readonly lookMs: number }

/** One environment that this machine is to bring, or waits for. */
export interface LeaseView {
  readonly name: CatalogName
  /** Undefined: this machine. */
  readonly holder: LeaseMember | undefined
}

interface Claim {
  readonly name: CatalogName
  readonly state: 'wish' | 'held'
  readonly catalog: Lease['catalog']
  readonly heardMs: number
  readonly member: LeaseMember
  /** Of its member for this name: the smallest one comes first. */
  readonly rank: string
}

interface Own {
  readonly name: CatalogName
  readonly rank: string
  readonly sinceMs: number
  uses: number
  /** Whether others hear of it. */
  speaks: boolean
  state: 'wish' | 'held'
  catalog: Lease['catalog']
  saidMs: number
  /** When something of it came here last. */
  cameMs: number
  /** Since when nobody holds it. */
  openSinceMs: number | undefined
  waiting: { readonly member: LeaseMember; readonly sinceMs: number } | undefined
  /** Whether a lease of this machine has run out, and another one taken it over. */
  ranOut: boolean
  /** By key in hex: leases that ended without anything. */
  readonly lapses: Map<string, number>
  /** Holders that are waited for no more because of that. */
  inVain: number
}

/** All leases that one process knows of. */
export class Leases {
  readonly #members = new Map<string, { readonly member: LeaseMember; readonly claims: Map<CatalogName, Claim> }>()
  readonly #own = new Map<CatalogName, Own>()
  /** By key in hex, with the time when its leases count again. */
  readonly #distrusted = new Map<string, number>()
  #said: Lease[] = []

  constructor(private readonly self: Pick<LeaseMember, 'key' | 'serves'>) {}

  /** What has to be told to every member, in order; each is returned once. */
  takeSaid(): readonly Lease[] {
    const said = this.#said
    this.#said = []
    return said
  }

  /** @returns what a member that has just come has to know */
  add(member: LeaseMember): readonly Lease[] {
    this.#members.set(member.id, { member, claims: new Map() })
    return [...this.#own.values()].filter(({ speaks }) => speaks).map(messageOf)
  }

  remove(id: string): void {
    this.#members.delete(id)
  }

  /** @throws {HoloError} `protocol-violation`: more leases than one machine may ask for */
  hear(id: string, { name, state, catalog }: Lease, nowMs: number): void {
    const known = this.#members.get(id)
    if (known === undefined) return
    const { member, claims } = known
    if (state === 'none') claims.delete(name)
    else claims.set(name, { name, state, catalog, heardMs: nowMs, member, rank: rankOf(member, name) })
    if (claims.size > LEASES_MAX) throw violation(`more than ${LEASES_MAX} leases`)
  }

  /** The catalog that a member brings and has told of: it is to be had there before its blobs are. */
  offered(id: string, name: CatalogName): HeldCatalog | undefined {
    const known = this.#members.get(id)
    const claim = known?.claims.get(name)
    if (claim?.catalog === undefined || known?.member.serves !== true) return undefined
    return { name, ...claim.catalog }
  }

  /**
   * This machine lacks an environment from now on. To be ended by `release`, once for each call.
   *
   * @param mayPay false: it waits for others, and brings nothing itself
   */
  want(name: CatalogName, mayPay: boolean, nowMs: number): void {
    const own = this.#own.get(name) ?? this.#newOwn(name, nowMs)
    own.uses++
    const speaking = [...this.#own.values()].filter(({ speaks }) => speaks).length
    if (own.speaks || !mayPay || !this.self.serves || speaking >= LEASES_MAX) return
    own.speaks = true
    this.#say(own, nowMs)
  }

  /** Whose turn it is to bring what is wanted here. */
  turn(name: CatalogName, nowMs: number): Turn {
    const own = this.#own.get(name)
    if (own === undefined) throw new TypeError(`whose turn it is for ${name} was asked without wanting it`)
    for (;;) {
      const turn = this.#turn(own, nowMs)
      if (turn !== 'again') return turn
    }
  }

  /** What is wanted is this catalog. */
  knows(name: CatalogName, catalog: Omit<HeldCatalog, 'name'>, nowMs: number): void {
    const own = this.#own.get(name)
    if (own === undefined || own.catalog?.sha256 === catalog.sha256) return
    own.catalog = catalog
    if (own.speaks && own.state === 'held') this.#say(own, nowMs)
  }

  /** Something of it has come, from whomever. */
  came(name: CatalogName, nowMs: number): void {
    const own = this.#own.get(name)
    if (own === undefined) return
    own.cameMs = nowMs
    if (own.speaks && own.state === 'held' && nowMs - own.saidMs >= LEASE_RENEWAL_MS) this.#say(own, nowMs)
  }

  release(name: CatalogName): void {
    const own = this.#own.get(name)
    if (own === undefined || --own.uses > 0) return
    this.#own.delete(name)
    if (own.speaks) this.#said.push({ type: 'lease', name, state: 'none', catalog: undefined })
  }

  /** What this machine brings, or waits for, now. */
  list(): readonly LeaseView[] {
    return [...this.#own.values()]
      .filter(({ state, waiting }) => state === 'held' || waiting !== undefined)
      .map(({ name, state, waiting }) => ({ name, holder: state === 'held' ? undefined : waiting?.member }))
  }

  #turn(own: Own, nowMs: number): Turn | 'again' {
    const aloneMs = Math.max(own.sinceMs, own.cameMs) + LEASE_ALONE_MS
    const isAlone = own.inVain >= LEASE_HOLDERS_IN_VAIN_MAX || nowMs >= aloneMs
    const claims = isAlone ? [] : this.#claimsBeside(own, nowMs)
    const holder = claims.find(({ state }) => state === 'held')
    if (own.state === 'held') {
      // One that nobody hears of is not given up: nobody waits for it, and what has come would be lost.
      if (!own.speaks || holder === undefined) return { turn: 'ours' }
      const isFresh = nowMs < own.saidMs + LEASE_MS
      if (isFresh && holder.rank > own.rank) return { turn: 'ours' }
      own.ranOut ||= !isFresh
      own.state = 'wish'
      this.#say(own, nowMs)
    }
    if (own.waiting !== undefined && own.waiting.member.id !== holder?.member.id) {
      const { member, sinceMs } = own.waiting
      own.waiting = undefined
      const lapses = (own.lapses.get(hex(member.key)) ?? 0) + (own.cameMs < sinceMs ? 1 : 0)
      own.lapses.set(hex(member.key), lapses)
      if (lapses === LEASE_LAPSES_MAX) this.#distrust(own, member, nowMs)
      return 'again'
    }
    if (holder !== undefined) {
      own.openSinceMs = undefined
      own.waiting ??= { member: holder.member, sinceMs: nowMs }
      const patienceMs = Math.max(own.waiting.sinceMs, own.cameMs) + LEASE_PATIENCE_MS
      if (nowMs < patienceMs) {
        const lookMs = Math.min(patienceMs, holder.heardMs + LEASE_MS, aloneMs)
        return { turn: 'theirs', member: holder.member, lookMs }
      }
      own.waiting = undefined
      this.#distrust(own, holder.member, nowMs)
      return 'again'
    }
    const takeMs = this.#takeMs(own, claims, nowMs)
    if (nowMs < takeMs) return { turn: 'open', lookMs: takeMs }
    own.openSinceMs = undefined
    own.state = 'held'
    if (own.speaks) this.#say(own, nowMs)
    return { turn: 'ours' }
  }

  /** When this machine takes what nobody holds. */
  #takeMs(own: Own, wishes: readonly Claim[], nowMs: number): number {
    if (![...this.#members.values()].some(({ member }) => member.serves)) return nowMs
    const settledMs = own.sinceMs + LEASE_SETTLE_MS
    if (nowMs < settledMs) return settledMs
    own.openSinceMs ??= nowMs
    // Whose lease has run out once is not waited for a second time, and lets others go first.
    const isAhead = ({ rank, member }: Claim) => rank < own.rank && (own.lapses.get(hex(member.key)) ?? 0) === 0
    const ahead = own.ranOut ? LEASE_CLAIMS_MAX : Math.min(wishes.filter(isAhead).length, LEASE_CLAIMS_MAX)
    return own.openSinceMs + ahead * LEASE_CLAIM_MS
  }

  /** What others say of the same environment, as far as it counts, in the order of rank. */
  #claimsBeside(own: Own, nowMs: number): Claim[] {
    const claims = [...this.#members.values()].flatMap(({ claims: said }) => said.get(own.name) ?? [])
    const counting = claims.filter(({ member, state, heardMs, catalog }) => {
      const isFresh = state === 'wish' || nowMs < heardMs + LEASE_MS
      // Under one name others may bring something else.
      const isSame = catalog === undefined || own.catalog === undefined || catalog.sha256 === own.catalog.sha256
      return member.serves && isFresh && isSame && !this.#isDistrusted(member.key, nowMs)
    })
    return counting.sort((left, right) => (left.rank < right.rank ? -1 : 1))
  }

  #isDistrusted(key: Uint8Array, nowMs: number): boolean {
    return nowMs < (this.#distrusted.get(hex(key)) ?? Number.NEGATIVE_INFINITY)
  }

  #distrust(own: Own, { key }: LeaseMember, nowMs: number): void {
    own.inVain++
    this.#distrusted.delete(hex(key))
    this.#distrusted.set(hex(key), nowMs + LEASE_DISTRUST_MS)
    for (const oldest of this.#distrusted.keys()) {
      if (this.#distrusted.size <= LEASE_DISTRUSTED_MAX) break
      this.#distrusted.delete(oldest)
    }
  }

  #newOwn(name: CatalogName, nowMs: number): Own {
    const own: Own = {
      name,
      rank: rankOf(this.self, name),
      sinceMs: nowMs,
      uses: 0,
      speaks: false,
      state: 'wish',
      catalog: undefined,
      saidMs: nowMs,
      cameMs: Number.NEGATIVE_INFINITY,
      openSinceMs: undefined,
      waiting: undefined,
      ranOut: false,
      lapses: new Map(),
      inVain: 0,
    }
    this.#own.set(name, own)
    return own
  }

  #say(own: Own, nowMs: number): void {
    own.saidMs = nowMs
    this.#said.push(messageOf(own))
  }
}

function messageOf({ name, state, catalog }: Own): Lease {
  return { type: 'lease', name, state, catalog: state === 'held' ? catalog : undefined }
}

/**
 * Whoever has the smallest one comes first: by name, so that different environments are brought by different machines, and
 * those that serve nothing last.
 */
function rankOf({ key, serves }: Pick<LeaseMember, 'key' | 'serves'>, name: CatalogName): string {
  return `${serves ? 0 : 1}${sha256Of(Buffer.concat([key, Buffer.from(name, 'latin1')]))}`
}

function hex(key: Uint8Array): string {
  return Buffer.from(key).toString('hex')
}
