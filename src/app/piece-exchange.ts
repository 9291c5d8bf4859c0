/**
 * What a fetch in pieces needs of this process: the swarm to fetch from and, in a daemon, the means to pass on at once
 * what has come.
 */
import { type Clock, systemClock } from '../base/clock.ts'
import type { HoloError } from '../base/errors.ts'
import { HAND_OVER_MS_MAX } from '../base/limits.ts'
import { roomLogger } from '../base/log.ts'
import { systemRandom } from '../base/random.ts'
import { RateLimit } from '../base/rate-limit.ts'
import type { Sha256Digest } from '../blob/digest.ts'
import type { Settings } from '../config/settings.ts'
import type { FleetSwarm } from '../peer/fleet-swarm.ts'
import type { OwnHoldings, PartialHolding } from '../peer/own-holdings.ts'
import type { PieceFetch } from '../peer/piece-fetch.ts'
import { PieceServer } from '../peer/piece-server.ts'
import type { LibraryPieceSink } from '../store/piece-sink.ts'
import type { LibraryPieces } from '../store/served-pieces.ts'
import type { VerifiedCatalog } from '../trust/verify-catalog.ts'

/** What has come of an environment, told to the peers and served to them. Disposing of it takes that back. */
export interface PassedOn extends PartialHolding {
  /** All of it is in the library: this ends once peers are told so, and they are served without a gap. */
  handOver(): void
}

/** Where peers get the catalog from that this machine is bringing. */
export interface CatalogsInTransit {
  /** Answer questions for it from now on. @returns ends that */
  passOn(catalog: VerifiedCatalog): Disposable
  /** Whether it is held whole, and announced. @param sha256 of the decoded catalog */
  has(sha256: Sha256Digest): boolean
  /** Call `listener` whenever what is held whole has changed. @returns ends the subscription */
  subscribe(listener: () => void): () => void
}

export interface PieceExchangeOptions {
  readonly swarm: FleetSwarm
  readonly clock: Clock
  /** Undefined in a command, which serves nobody. */
  readonly passingOn:
    | {
        readonly served: LibraryPieces
        readonly holdings: OwnHoldings
        readonly transit: CatalogsInTransit
      }
    | undefined
  readonly downloadLimit: RateLimit | undefined
}

export class PieceExchange {
  constructor(private readonly options: PieceExchangeOptions) {}

  get downloadLimit(): RateLimit | undefined {
    return this.options.downloadLimit
  }

  /** Whether others get from here what has just come. */
  get passesOn(): boolean {
    return this.options.passingOn !== undefined
  }

  /** Serve the catalog, and what comes to `sink`, and tell the peers. @param held pieces that are here already */
  begin(catalog: VerifiedCatalog, sink: LibraryPieceSink, held: readonly number[]): PassedOn | undefined {
    const { passingOn } = this.options
    if (passingOn === undefined) return undefined
    const { sha256 } = catalog
    sink.hold(held)
    const passing = passingOn.transit.passOn(catalog)
    const partial = passingOn.served.serve(sha256, sink)
    const holding = passingOn.holdings.begin(sha256, sink.pieces.pieces.length, held)
    let handedOver = false
    const end = () => {
      holding[Symbol.dispose]()
      partial[Symbol.dispose]()
      passing[Symbol.dispose]()
    }
    return {
      add: (pieces) => holding.add(pieces),
      handOver: () => {
        handedOver = true
        this.#onceComplete(sha256, passingOn.transit, end)
      },
      [Symbol.dispose]: () => {
        if (!handedOver) end()
      },
    }
  }

  /** The watch of the library takes a moment to see a catalog; where it never does, there is an end to it, too. */
  #onceComplete(catalog: Sha256Digest, transit: CatalogsInTransit, then: () => void): void {
    const late = new AbortController()
    const look = () => {
      if (transit.has(catalog)) late.abort(new Error('the catalog is served'))
    }
    const unsubscribe = transit.subscribe(look)
    const end = () => {
      unsubscribe()
      then()
    }
    this.options.clock.sleep(HAND_OVER_MS_MAX, late.signal).then(end, end)
    look()
  }

  /** A frame whose content is proved: sent on as it is. @param frame ours from now on */
  keepFrame(catalog: Sha256Digest, piece: number, frame: Uint8Array): void {
    this.options.passingOn?.served.keep(catalog, piece, frame)
  }

  fetchPieces(fetch: PieceFetch, signal: AbortSignal): Promise<readonly number[]> {
    return this.options.swarm.fetchPieces(fetch, signal)
  }

  findTable(catalog: Sha256Digest, pieces: number, signal: AbortSignal) {
    return this.options.swarm.findTable(catalog, pieces, signal)
  }

  drop(peer: string, error: HoloError): void {
    this.options.swarm.drop(peer, error)
  }
}

/** What a daemon sends in pieces, within the limits of its settings. */
export function pieceServerOf(served: LibraryPieces, limits: Settings['limits']): PieceServer {
  return new PieceServer({
    served,
    clock: systemClock,
    random: systemRandom,
    log: roomLogger('peer'),
    slots: limits.slots,
    wantsPerPeer: limits.slotsPerPeer,
    uploadLimit: new RateLimit(limits.upload, systemClock),
  })
}
