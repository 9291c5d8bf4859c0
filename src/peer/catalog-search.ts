/**
 * Looking for a catalog among the members that are connected, and those that come while one waits.
 *
 * Where members differ the local one wins, else the majority; a holder that then sends another one is a liar.
 */
import { type Clock, deadline } from '../base/clock.ts'
import { HoloError } from '../base/errors.ts'
import { MAJORITY_GRACE_MS, MAJORITY_TOLD_MS } from '../base/limits.ts'
import type { Sha256Digest } from '../blob/digest.ts'
import type { CatalogName } from '../catalog/tree.ts'
import type { OfferJudge } from '../trust/judge.ts'
import { type VerifiedCatalog, verifyCatalog } from '../trust/verify-catalog.ts'
import { askCatalog, type CatalogPassers, catalogBytes, type OfferedCatalog } from './catalog-bytes.ts'
import { type Choice, chooseCatalog } from './choose.ts'
import type { PeerConnection } from './connection.ts'
import { offersOf } from './holders.ts'

export interface CatalogWish {
  /** SHA-256 of the decoded catalog that this machine holds, if any. */
  readonly local?: Sha256Digest
  /** For the first holder; 0 asks only who is connected now. */
  readonly waitMs: number
  /** Resolves once nobody else is on the way to us; undefined where that is not known. @throws `signal.reason` */
  readonly settled?: (signal: AbortSignal) => Promise<unknown>
  /** Whether a member's word for it counts. */
  readonly judge: OfferJudge
}

/** What was found: the catalog, and what the user should know about how. */
export interface FoundInSwarm {
  readonly catalog: VerifiedCatalog
  readonly warnings: readonly string[]
}

/** Where to look. */
export interface CatalogSearch extends CatalogPassers {
  readonly clock: Clock
  /** When the first member came; a fresh swarm is given time to hear of others. */
  sinceMs(): number | undefined
  /** This one sent something else than it had announced. */
  onLie(connection: PeerConnection, error: HoloError): void
}

/**
 * @returns undefined where no member holds it
 * @throws {HoloError} blame `trust`: those who hold it are not trusted with it; `signal.reason`
 */
export async function findCatalog(
  name: CatalogName,
  { local, waitMs, settled, judge }: CatalogWish,
  search: CatalogSearch,
  signal: AbortSignal,
): Promise<FoundInSwarm | undefined> {
  const warnings: string[] = []
  const missed = new Set<PeerConnection>()
  let untrusted: HoloError | undefined
  // The next holder of the same is asked for its signatures only.
  const come = new Map<Sha256Digest, OfferedCatalog>()
  const asked = new Map<PeerConnection, Promise<VerifiedCatalog | undefined>>()
  const ask = (connection: PeerConnection) => {
    const answer = asked.get(connection) ?? fetchCatalog(connection, name, { judge, come, search }, signal)
    asked.set(connection, answer)
    // Whoever awaits it hears of its failure; where nobody does, another one was chosen.
    answer.catch(() => {})
    return answer
  }
  const limit = deadline(waitMs, new Error('nobody holds it'), signal)
  try {
    for (;;) {
      const choose = () => chooseCatalog(name, offersOf(search.members(), name, missed), local)
      const choice = await awaitChoice({ choose, ask, settled, search }, limit.signal, signal)
      if (choice === undefined && untrusted !== undefined) throw untrusted
      if (choice === undefined) return undefined
      if (choice.warning !== undefined && !warnings.includes(choice.warning)) warnings.push(choice.warning)
      for (const connection of choice.holders) {
        missed.add(connection)
        try {
          const catalog = await ask(connection)
          if (catalog !== undefined) return { catalog, warnings }
        } catch (error) {
          signal.throwIfAborted()
          if (!(error instanceof HoloError) || !['source', 'trust'].includes(error.blame)) throw error
          // One that is not trusted with it is no liar: it may have it from somebody, as others have it from better ones.
          if (error.blame === 'trust') untrusted ??= error
          else search.onLie(connection, error)
          warnings.push(error.blame === 'trust' ? error.message : `${error.message}; it was dropped`)
        }
      }
    }
  } finally {
    limit.clear()
  }
}

/** The choice among present holders, once a fresh swarm has had time to hear of others; undefined after `limit`. */
async function awaitChoice(
  { choose, ask, settled, search }: Choosing,
  limit: AbortSignal,
  signal: AbortSignal,
): Promise<Choice<PeerConnection> | undefined> {
  const { clock } = search
  let isFresh = true
  for (;;) {
    signal.throwIfAborted()
    const choice = choose()
    if (choice !== undefined && choice.holders.length > 0) {
      const freshMs = MAJORITY_GRACE_MS - (clock.nowMs() - (search.sinceMs() ?? 0))
      if (!isFresh || freshMs <= 0) return choice
      // The first one is asked meanwhile: mostly it is the one that is believed.
      if (choice.holders[0] !== undefined) ask(choice.holders[0])
      await othersHeard(freshMs, settled, clock, signal)
      isFresh = false
      continue
    }
    if (limit.aborted) return undefined
    await nextChange(search, limit)
  }
}

interface Choosing {
  readonly settled: CatalogWish['settled'] | undefined
  readonly choose: () => Choice<PeerConnection> | undefined
  /** Ask this one for the catalog, if it was not asked. */
  readonly ask: (connection: PeerConnection) => unknown
  readonly search: CatalogSearch
}

/** Resolves after `graceMs`, or before, where all who have been found have come and had time to say what they hold. */
async function othersHeard(
  graceMs: number,
  settled: CatalogWish['settled'] | undefined,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const over = new AbortController()
  const inner = AbortSignal.any([over.signal, signal])
  const all = () => clock.sleep(graceMs, inner)
  const waits = [all()]
  if (settled !== undefined) waits.push(settled(inner).then(() => clock.sleep(MAJORITY_TOLD_MS, inner), all))
  try {
    await Promise.race(waits)
  } finally {
    for (const wait of waits) wait.catch(() => {})
    over.abort(new Error('the others have been heard'))
  }
}

interface CatalogFetch {
  readonly judge: OfferJudge
  readonly come: Map<Sha256Digest, OfferedCatalog>
  readonly search: CatalogSearch
}

async function fetchCatalog(
  connection: PeerConnection,
  name: CatalogName,
  { judge, come, search }: CatalogFetch,
  signal: AbortSignal,
): Promise<VerifiedCatalog | undefined> {
  const held = connection.offered(name)
  const { remote, source } = connection
  if (held === undefined || remote === undefined) return undefined
  // Asked for at once, so that they cost no round trip; version 1 knows of none.
  const [found, signatures] = await Promise.all([
    come.get(held.sha256) ?? catalogBytes(connection, held, search, signal),
    remote.version < 2 ? [] : source.findSignatures(held.sha256, signal),
  ])
  if (found === undefined) return undefined
  const judged = judge({ kind: 'member', machineKey: remote.machineKey }, signatures)
  const verified = (offered: OfferedCatalog) =>
    verifyCatalog({
      ...offered,
      source: source.name,
      judge: (facts) => {
        // Asked only once the bytes are known to be what was announced: a liar's are nobody else's.
        come.set(held.sha256, offered)
        return judged(facts)
      },
    })
  try {
    return verified(found)
  } catch (error) {
    const isProved = found.source === source.name || come.get(held.sha256) === found
    if (isProved || !(error instanceof HoloError) || error.blame !== 'source') throw error
  }
  // Who passed it on has announced nothing, and may have had another one of that name: that is nobody's lie.
  const own = await askCatalog(connection, held, signal)
  return own === undefined ? undefined : verified(own)
}

/** Resolves at the next change, or when `signal` aborts. */
function nextChange(search: CatalogSearch, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const unsubscribe = search.subscribe(resolve)
  signal.addEventListener('abort', () => resolve(), { once: true })
  return promise.finally(unsubscribe)
}
