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
import type { FetchProgress, FoundEnvironment, Supply } from './supply.ts'
import type { TrustOptions } from './trust.ts'

const log = roomLogger('app')

/** Nobody looks more often; what was fetched is told in full at the end. */
const PROGRESS_EVERY_MS = 25

/** One entry of the list. */
export interface OrderedEntry extends Pick<Supply, 'label' | 'fetch'>, AsyncDisposable {
  /** As `Supply.find`. @param trust how what is found is judged */
  find(
    name: CatalogName,
    local: Sha256Digest | undefined,
    trust: TrustOptions,
    signal: AbortSignal,
  ): Promise<FoundEnvironment | undefined>
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
    const asked = await askInOrder(
      this.entries,
      {
        ask: (entry, inner) => entry.find(name, local, trust, inner),
        silence: (entry, inner) => this.clock.sleep(entry.budgetMs(), inner),
      },
      signal,
    )
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
    const asked = await askInOrder(
      ordered,
      {
        ask: async (entry, inner) => {
          const own = parts.get(entry) ?? emptyTotals()
          const blobsBefore = totals.blobs
          await entry.fetch(
            catalog,
            own,
            (_own, blobs) => {
              const nowMs = this.clock.nowMs()
              if (nowMs - toldMs < PROGRESS_EVERY_MS) return
              toldMs = nowMs
              add()
              onProgress(totals, blobsBefore + blobs)
            },
            inner,
          )
          return true
        },
        silence: (entry, inner) => this.#silence(entry, parts.get(entry) ?? emptyTotals(), inner),
      },
      signal,
    ).finally(add)
    for (const entry of asked.silent) entry.wasSlow()
    for (const { source, error } of asked.failures) log.info`${source.label} is passed over: ${messageOf(error)}`
    if (asked.answer === undefined) throw nowhere(`The environment ${catalog.name}`, this.entries, asked)
  }

  /** Resolves once nothing has come for a while. */
  async #silence({ silenceMs }: OrderedEntry, totals: FetchTotals, signal: AbortSignal): Promise<void> {
    for (let before = -1; before !== totals.wireBytes; ) {
      before = totals.wireBytes
      await this.clock.sleep(silenceMs, signal)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const entry of [...this.entries].reverse()) await entry[Symbol.asyncDispose]()
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
