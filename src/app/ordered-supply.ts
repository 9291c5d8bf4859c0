/**
 * Peers and substituters as one supply, in the order of the settings: what the first ones lack comes from the next, and
 * none of them holds up the rest.
 */
import { type Clock, systemClock } from '../base/clock.ts'
import { HoloError, messageOf } from '../base/errors.ts'
import { roomLogger } from '../base/log.ts'
import type { Sha256Digest } from '../blob/digest.ts'
import { emptyTotals, type FetchTotals } from '../blob/fetch-all.ts'
import type { CatalogName } from '../catalog/tree.ts'
import { askInOrder, type OrderedAnswer } from '../substituters/ask-in-order.ts'
import type { SourceCondition } from '../substituters/guarded.ts'
import type { VerifiedCatalog } from '../trust/verify-catalog.ts'
import type { SinkLender } from './lent-sink.ts'
import type { FetchProgress, FoundEnvironment, Supply } from './supply.ts'
import type { TrustOptions } from './trust.ts'
import type { WanTurns } from './wan-turns.ts'
import type { VisitEnd, WanVisit } from './wan-visit.ts'

const log = roomLogger('app')
const WAITING = Symbol('another machine has its turn')
const WAITING_LOOK_MS = 100

/** What an entry is to bring. */
export interface EntryFetch {
  readonly catalog: VerifiedCatalog
  /** What the call does is added to it, also when it throws. */
  readonly totals: FetchTotals
  readonly onProgress: FetchProgress
  /** Where pieces come to rest that others go on with; undefined: in a sink of its own. */
  readonly lend: SinkLender | undefined
}

/** Nobody looks more often; what was fetched is told in full at the end. */
const PROGRESS_EVERY_MS = 25

/** One entry of the list. */
export interface OrderedEntry extends Pick<Supply, 'label'>, AsyncDisposable {
  /** As `Supply.find`. @param trust how what is found is judged */
  find(
    name: CatalogName,
    local: Sha256Digest | undefined,
    trust: TrustOptions,
    signal: AbortSignal,
  ): Promise<FoundEnvironment | undefined>
  /** As `Supply.fetch`. */
  fetch(what: EntryFetch, signal: AbortSignal): Promise<void>
  /**
   * `pays`: what comes from it crosses the WAN, so one machine of the fleet asks it for all; `waits`: nobody else is asked
   * after it, so it waits for such a machine; `never`: neither.
   */
  readonly wan: 'pays' | 'waits' | 'never'
  /** How long it is asked alone, in milliseconds. */
  budgetMs(): number
  /** While it fetches: nothing has come from it for so long that the next one is asked, too; in milliseconds. */
  readonly silenceMs: number
  /** It was silent for all of that, and another one had the answer. */
  wasSlow(): void
  /** Forget what it did not have, and that it failed. */
  refresh(): void
  /** Undefined where there is nothing to say, as of peers. */
  condition(): SourceCondition | undefined
}

export class OrderedSupply implements AsyncDisposable {
  constructor(
    /** In the order of asking. */
    private readonly entries: readonly OrderedEntry[],
    private readonly turns: WanTurns,
    private readonly clock: Clock = systemClock,
  ) {}

  conditions(): SourceCondition[] {
    return this.entries.map((entry) => entry.condition()).filter((condition) => condition !== undefined)
  }

  refresh(): void {
    for (const entry of this.entries) entry.refresh()
  }

  /** @throws {HoloError} blame `missing`: nobody has it; blame `trust`: who has it is not believed; else as `Supply.find` */
  async find(
    name: CatalogName,
    local: Sha256Digest | undefined,
    trust: TrustOptions,
    signal: AbortSignal,
  ): Promise<FoundEnvironment> {
    const visit = this.turns.visit(name)
    const ask = (entry: OrderedEntry, inner: AbortSignal) => {
      const find = (each: AbortSignal) => entry.find(name, local, trust, each)
      return entry.wan === 'pays' ? visit.find({ local, trust }, find, inner) : find(inner)
    }
    const silence = (entry: OrderedEntry, inner: AbortSignal) =>
      this.#silence(entry.budgetMs(), () => (visit.isWaiting ? WAITING : 0), inner)
    const asked = await ending(visit, 'found', askInOrder(this.entries, { ask, silence }, signal))
    for (const entry of asked.silent) entry.wasSlow()
    for (const { source, error } of asked.failures) log.info`${source.label} is passed over: ${messageOf(error)}`
    if (asked.answer !== undefined) return asked.answer.value
    throw nowhere(`The environment ${name}`, this.entries, asked)
  }

  /** As `Supply.fetch`. */
  async fetch(
    catalog: VerifiedCatalog,
    totals: FetchTotals,
    onProgress: FetchProgress,
    signal: AbortSignal,
  ): Promise<void> {
    const before = { ...totals, bySource: new Map(totals.bySource), dropped: new Map(totals.dropped) }
    const parts = new Map<OrderedEntry, FetchTotals>(this.entries.map((entry) => [entry, emptyTotals()]))
    const add = () => Object.assign(totals, sumOf([before, ...parts.values()]))
    let toldMs = Number.NEGATIVE_INFINITY
    // Who was silent a moment ago, when the catalog was looked for, comes after those who were not.
    const slow = this.entries.filter((entry) => entry.budgetMs() === 0)
    const ordered = [...this.entries.filter((entry) => !slow.includes(entry)), ...slow]
    const visit = this.turns.visit(catalog.name)
    const ask = async (entry: OrderedEntry, inner: AbortSignal): Promise<true> => {
      const own = parts.get(entry) ?? emptyTotals()
      const blobsBefore = totals.blobs
      const told: FetchProgress = (_own, blobs) => {
        const nowMs = this.clock.nowMs()
        if (nowMs - toldMs < PROGRESS_EVERY_MS) return
        toldMs = nowMs
        add()
        onProgress(totals, blobsBefore + blobs)
      }
      const what = { catalog, totals: own, onProgress: told }
      const fetch = (lend: SinkLender | undefined, each: AbortSignal) => entry.fetch({ ...what, lend }, each)
      if (entry.wan === 'never') await fetch(undefined, inner)
      else await visit.fetch({ ...what, mayPay: entry.wan === 'pays' }, fetch, inner)
      return true
    }
    const silence = (entry: OrderedEntry, inner: AbortSignal) =>
      this.#silence(entry.silenceMs, () => (visit.isWaiting ? WAITING : parts.get(entry)?.wireBytes), inner)
    const asked = await ending(visit, 'fetched', askInOrder(ordered, { ask, silence }, signal)).finally(add)
    for (const entry of asked.silent) entry.wasSlow()
    for (const { source, error } of asked.failures) log.info`${source.label} is passed over: ${messageOf(error)}`
    if (asked.answer === undefined) throw nowhere(`The environment ${catalog.name}`, this.entries, asked)
  }

  /** Resolves once `state` has stayed the same for a while, and was not `WAITING`. */
  async #silence(silenceMs: number, state: () => unknown, signal: AbortSignal): Promise<void> {
    for (;;) {
      const before = state()
      await this.clock.sleep(before === WAITING ? Math.max(silenceMs, WAITING_LOOK_MS) : silenceMs, signal)
      if (before !== WAITING && state() === before) return
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.turns[Symbol.asyncDispose]()
    for (const entry of [...this.entries].reverse()) await entry[Symbol.asyncDispose]()
  }
}

/** Ends the visit together with what was asked. @param how it ends where there is an answer */
async function ending<Answer>(
  visit: WanVisit,
  how: VisitEnd,
  asking: Promise<OrderedAnswer<OrderedEntry, Answer>>,
): Promise<OrderedAnswer<OrderedEntry, Answer>> {
  let end: VisitEnd = 'failed'
  try {
    const asked = await asking
    if (asked.answer !== undefined) end = how
    return asked
  } finally {
    await visit.end(end)
  }
}

/**
 * The one error of many: with one entry its own; what concerns trust before all else; else that nobody has it, with what
 * each one says.
 */
function nowhere<Answer>(
  what: string,
  entries: readonly OrderedEntry[],
  { failures }: OrderedAnswer<OrderedEntry, Answer>,
): HoloError {
  const [first] = failures
  if (first !== undefined && entries.length === 1) return first.error
  const trust = failures.find(({ error }) => error.blame === 'trust')
  if (trust !== undefined) return trust.error
  const said = entries.map((entry) => {
    const failure = failures.find(({ source }) => source === entry)
    return `${entry.label}: ${failure === undefined ? 'does not have it' : messageOf(failure.error)}`
  })
  const corrupt = failures.find(({ error }) => error.code === 'blob-corrupt')
  return new HoloError(`${what} could not be had from any source (${said.join('; ')})`, {
    code: corrupt === undefined ? 'environment-nowhere' : 'blob-corrupt',
    blame: corrupt === undefined ? 'missing' : 'source',
    hint:
      first?.error.hint ?? 'let rcc build it on one machine that runs `holo-peer daemon`, or push it to a substituter',
  })
}

function sumOf(parts: readonly FetchTotals[]): FetchTotals {
  const sum = emptyTotals()
  for (const { blobs, blobBytes, wireBytes, firstByteMs, bySource, dropped } of parts) {
    sum.blobs += blobs
    sum.blobBytes += blobBytes
    sum.wireBytes += wireBytes
    sum.firstByteMs ??= firstByteMs
    for (const [source, count] of bySource) sum.bySource.set(source, (sum.bySource.get(source) ?? 0) + count)
    for (const [source, error] of dropped) sum.dropped.set(source, error)
  }
  return sum
}
