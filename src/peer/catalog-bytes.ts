/**
 * The bytes of a catalog that a member holds: from that member, or from one that has just got them.
 *
 * In a crowd that starts together a seed would send each of them the catalog, one after the other. Whoever fetches has
 * it already, or is being sent it, and its digest is known by the holder's word: so those who are not being sent it yet
 * ask such members, too, take it from whoever begins first, and send it on as it comes.
 */
import { deadline } from '../base/clock.ts'
import { abortable } from '../base/concurrency.ts'
import { HoloError } from '../base/errors.ts'
import { CATALOG_TURN_MS } from '../base/limits.ts'
import type { FoundCatalog } from '../trust/verify-catalog.ts'
import type { ComingCatalog, ComingCatalogs } from './coming-catalogs.ts'
import type { PeerConnection } from './connection.ts'
import type { WholeEvents } from './incoming.ts'
import type { HeldCatalog } from './messages.ts'

/** What came, unjudged. */
export type OfferedCatalog = Omit<FoundCatalog, 'judge'>

/** Who else may have it. */
export interface CatalogPassers {
  members(): Iterable<PeerConnection>
  /** Call `listener` whenever a member comes, goes, or holds something else. @returns ends the subscription */
  subscribe(listener: () => void): () => void
  /** Where it is sent on from while it comes; undefined where this process serves nobody. */
  readonly coming?: ComingCatalogs | undefined
}

interface Begun {
  readonly connection: PeerConnection
  readonly answer: Promise<OfferedCatalog | undefined>
  /** Ends the question. */
  readonly over: AbortController
  /** Bytes that have come so far. */
  readonly cameBytes: () => number
}

/** So often a passer that is sent the catalog itself may be waited for anew, as long as more of it has come. */
const PASSER_TURNS_MAX = 10

/**
 * @returns what `holder` sent, or another one, unverified; undefined where `holder` does not have it any more
 * @throws {HoloError} blame `source`: the holder failed; `signal.reason`
 */
export async function catalogBytes(
  holder: PeerConnection,
  held: HeldCatalog,
  passers: CatalogPassers,
  signal: AbortSignal,
): Promise<OfferedCatalog | undefined> {
  const begun = await firstToBegin(holder, held, passers, signal)
  if (begun.connection === holder) return begun.answer
  // One that began and does not end costs a moment; nobody but the holder is trusted with another one.
  return (await passedOn(begun, signal)) ?? askCatalog(holder, held, signal)
}

/** Ask the holder, and whoever is here or comes and has it, until one of them begins: the others are told to leave it. */
async function firstToBegin(
  holder: PeerConnection,
  held: HeldCatalog,
  { members, subscribe, coming }: CatalogPassers,
  signal: AbortSignal,
): Promise<Begun> {
  const asked = new Map<PeerConnection, AbortController>()
  let first: PeerConnection | undefined
  const { promise, resolve } = Promise.withResolvers<Begun>()
  const enter = (connection: PeerConnection): void => {
    if (asked.has(connection)) return
    const over = new AbortController()
    asked.set(connection, over)
    let bytes = 0
    const isFirst = () => first === connection
    const begins = () => {
      first ??= connection
      if (isFirst()) resolve({ connection, answer, over, cameBytes: () => bytes })
    }
    let passing: ComingCatalog | undefined
    const answer = askCatalog(connection, held, AbortSignal.any([signal, over.signal]), {
      onBegun: (storedBytes) => {
        begins()
        // It begins anew where its lane was lost.
        passing?.end()
        if (isFirst()) passing = coming?.begin(held, storedBytes)
      },
      onChunk: (chunk) => {
        bytes += chunk.byteLength
        passing?.add(chunk)
      },
    }).finally(() => passing?.end())
    // That the holder has nothing, or fails, is an answer; that another one does is none.
    if (connection === holder) answer.then(begins, begins)
    else answer.catch(() => {})
  }
  enter(holder)
  const look = () => {
    for (const each of members()) if (passesOn(each, held)) enter(each)
  }
  const unsubscribe = subscribe(look)
  try {
    look()
    const begun = await promise
    for (const [other, over] of asked) if (other !== begun.connection) over.abort(new Error('another one has begun'))
    return begun
  } finally {
    unsubscribe()
  }
}

/** @returns undefined where it fails, or nothing more of it comes */
async function passedOn({ answer, over, cameBytes }: Begun, signal: AbortSignal): Promise<OfferedCatalog | undefined> {
  let before = -1
  for (let turn = 0; turn < PASSER_TURNS_MAX && cameBytes() > before; turn++) {
    before = cameBytes()
    const limit = deadline(CATALOG_TURN_MS, new Error('it takes too long'), signal)
    try {
      return await abortable(answer, limit.signal)
    } catch (error) {
      signal.throwIfAborted()
      if (limit.signal.aborted) continue
      if (!(error instanceof HoloError)) throw error
      break
    } finally {
      limit.clear()
    }
  }
  over.abort(new Error('the holder is asked again'))
  return undefined
}

/** Whether a member fetches this very catalog, and so has some of it; one that holds another of that name would send that. */
function passesOn(member: PeerConnection, { name, sha256 }: HeldCatalog): boolean {
  const isNew = (member.remote?.version ?? 0) >= 3
  return isNew && member.offered(name) === undefined && member.pieces?.hasCatalog(sha256) === true
}

/** Ask one member for a catalog. @returns, @throws as `PeerSource.findCatalog` */
export function askCatalog(
  connection: PeerConnection,
  held: HeldCatalog,
  signal: AbortSignal,
  events: WholeEvents = { onBegun: () => {}, onChunk: () => {} },
): Promise<OfferedCatalog | undefined> {
  connection.expectBulk()
  const overLane = (connection.remote?.version ?? 0) >= 3
  return connection.source.findCatalog(held, { overLane, ...events }, signal)
}
