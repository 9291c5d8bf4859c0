/**
 * Looking for a catalog among the members that are connected, and those that come while one waits.
 *
 * Where members differ the local one wins, else the majority; a holder that then sends another one is a liar.
 */
import { type Clock, deadline } from '../base/clock.ts'
import { HoloError } from '../base/errors.ts'
import { MAJORITY_GRACE_MS } from '../base/limits.ts'
import type { Sha256Digest } from '../blob/digest.ts'
import type { CatalogName } from '../catalog/tree.ts'
import { type VerifiedCatalog, verifyCatalog } from '../trust/verify-catalog.ts'
import { type Choice, chooseCatalog } from './choose.ts'
import type { PeerConnection } from './connection.ts'
import { offersOf } from './holders.ts'

export interface CatalogWish {
  /** SHA-256 of the decoded catalog that this machine holds, if any. */
  readonly local?: Sha256Digest
  /** For the first holder; 0 asks only who is connected now. */
  readonly waitMs: number
}

/** What was found: the catalog, and what the user should know about how. */
export interface FoundInSwarm {
  readonly catalog: VerifiedCatalog
  readonly warnings: readonly string[]
}

/** Where to look. */
export interface CatalogSearch {
  readonly clock: Clock
  members(): Iterable<PeerConnection>
  /** When the first member came; a fresh swarm is given time to hear of others. */
  sinceMs(): number | undefined
  /** Call `listener` whenever a member comes, goes, or holds something else. @returns ends the subscription */
  subscribe(listener: () => void): () => void
  /** This one sent something else than it had announced. */
  onLie(connection: PeerConnection, error: HoloError): void
}

/**
 * @returns undefined where no member holds it
 * @throws `signal.reason`
 */
export async function findCatalog(
  name: CatalogName,
  { local, waitMs }: CatalogWish,
  search: CatalogSearch,
  signal: AbortSignal,
): Promise<FoundInSwarm | undefined> {
  const warnings: string[] = []
  const missed = new Set<PeerConnection>()
  const asked = new Map<PeerConnection, Promise<VerifiedCatalog | undefined>>()
  const ask = (connection: PeerConnection) => {
    const answer = asked.get(connection) ?? fetchCatalog(connection, name, search, warnings, signal)
    asked.set(connection, answer)
    // Whoever awaits it hears of its failure; where nobody does, another one was chosen.
    answer.catch(() => {})
    return answer
  }
  const limit = deadline(waitMs, new Error('nobody holds it'), signal)
  try {
    for (;;) {
      const choose = () => chooseCatalog(name, offersOf(search.members(), name, missed), local)
      const choice = await awaitChoice(choose, ask, search, limit.signal, signal)
      if (choice === undefined) return undefined
      if (choice.warning !== undefined && !warnings.includes(choice.warning)) warnings.push(choice.warning)
      for (const connection of choice.holders) {
        const catalog = await ask(connection)
        if (catalog !== undefined) return { catalog, warnings }
        missed.add(connection)
      }
    }
  } finally {
    limit.clear()
  }
}

/** The choice among present holders, once a fresh swarm has had time to hear of others; undefined after `limit`. */
async function awaitChoice(
  choose: () => Choice<PeerConnection> | undefined,
  ask: (connection: PeerConnection) => unknown,
  search: CatalogSearch,
  limit: AbortSignal,
  signal: AbortSignal,
): Promise<Choice<PeerConnection> | undefined> {
  const { clock } = search
  for (;;) {
    signal.throwIfAborted()
    const choice = choose()
    if (choice !== undefined && choice.holders.length > 0) {
      const freshMs = MAJORITY_GRACE_MS - (clock.nowMs() - (search.sinceMs() ?? 0))
      if (freshMs <= 0) return choice
      // The first one is asked meanwhile: mostly it is the one that is believed.
      if (choice.holders[0] !== undefined) ask(choice.holders[0])
      await clock.sleep(freshMs, signal)
      continue
    }
    if (limit.aborted) return undefined
    await nextChange(search, limit)
  }
}

async function fetchCatalog(
  connection: PeerConnection,
  name: CatalogName,
  search: CatalogSearch,
  warnings: string[],
  signal: AbortSignal,
): Promise<VerifiedCatalog | undefined> {
  const held = connection.catalogs.get(name)
  if (held === undefined) return undefined
  connection.expectBulk()
  try {
    const found = await connection.source.findCatalog(held, signal)
    return found === undefined ? undefined : verifyCatalog(found)
  } catch (error) {
    signal.throwIfAborted()
    if (!(error instanceof HoloError) || error.blame !== 'source') throw error
    warnings.push(`${error.message}; it was dropped`)
    search.onLie(connection, error)
    return undefined
  }
}

/** Resolves at the next change, or when `signal` aborts. */
function nextChange(search: CatalogSearch, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const unsubscribe = search.subscribe(resolve)
  signal.addEventListener('abort', () => resolve(), { once: true })
  return promise.finally(unsubscribe)
}
