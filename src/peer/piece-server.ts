/**
 * The pieces that this machine sends, over all its connections.
 *
 * Which piece goes to whom, and who has to wait, is `UploadQueue`'s, and how much goes at once `UploadGate`'s; here it is
 * carried out.
 */
import { Alarm } from '../base/alarm.ts'
import type { Clock } from '../base/clock.ts'
import type { Backlog } from '../base/lane.ts'
import type { Logger } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import type { RateLimit } from '../base/rate-limit.ts'
import { UPLOAD_SLOTS } from '../base/upload-limits.ts'
import type { ServedPieces } from '../blob/pieces.ts'
import { CatalogTurns } from './catalog-turns.ts'
import { ComingCatalogs } from './coming-catalogs.ts'
import { type PieceClient, PieceUploads, type PieceUploadsServer } from './piece-uploads.ts'
import { UploadGate } from './upload-gate.ts'
import { UploadQueue } from './upload-queue.ts'

export interface PieceServerOptions {
  readonly served: ServedPieces
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  /** Peers that are served at the same time; undefined for the usual number. */
  readonly slots?: number | undefined
  /** Wants that one peer may have open; undefined for the usual number. */
  readonly wantsPerPeer?: number | undefined
  /** What leaves this machine, in bytes a second; undefined for as much as goes. */
  readonly uploadLimit?: RateLimit | undefined
}

/** The pieces of one process for all its peers. */
export class PieceServer implements PieceUploadsServer {
  readonly #queue: UploadQueue
  readonly #peers = new Map<string, PieceUploads>()
  readonly #alarm: Alarm
  ahead = 0
  /** Pieces wait while anybody has one. */
  readonly catalogTurns: CatalogTurns
  readonly coming: ComingCatalogs
  readonly gate: UploadGate

  constructor(readonly options: PieceServerOptions) {
    this.catalogTurns = new CatalogTurns(options.clock)
    this.coming = new ComingCatalogs(options.clock, (catalog) => {
      for (const uploads of this.#peers.values()) uploads.tellComing(catalog)
    })
    this.gate = new UploadGate(options.clock, () => this.#backlogs())
    this.#alarm = new Alarm(options.clock, () => this.advance())
    this.#queue = new UploadQueue({ slots: options.slots ?? UPLOAD_SLOTS, random: options.random })
  }

  get uploadLimit(): RateLimit | undefined {
    return this.options.uploadLimit
  }

  /** A member has come. */
  attach(client: PieceClient): PieceUploads {
    const uploads = new PieceUploads(this, client, this.#queue)
    this.#peers.set(client.id, uploads)
    this.#queue.addPeer(client.id, this.options.clock.nowMs())
    for (const catalog of this.coming.digests()) uploads.tellComing(catalog)
    return uploads
  }

  detach(id: string): void {
    this.#peers.delete(id)
    this.#queue.removePeer(id)
    this.advance()
  }

  #backlogs(): readonly Backlog[] {
    const backlogs: Backlog[] = []
    for (const { backlog } of this.#peers.values()) if (backlog !== undefined) backlogs.push(backlog)
    return backlogs
  }

  /** Something was asked for, sent or given up: carry out what follows, and look again when it is time. */
  advance(): void {
    const { clock } = this.options
    for (const action of this.#queue.tick(clock.nowMs())) {
      const uploads = this.#peers.get(action.peer)
      if (action.do === 'choke') uploads?.choke(action.choked)
      else uploads?.refuse(action.request, action.pieces, action.reason)
    }
    for (const uploads of this.#peers.values()) uploads.pump()
    this.lookLater()
  }

  /** Look again when it is time, as of now. */
  lookLater(): void {
    this.#alarm.set((this.#peers.size > 0 ? this.#queue.wakeMs : undefined) ?? Number.POSITIVE_INFINITY)
  }
}
