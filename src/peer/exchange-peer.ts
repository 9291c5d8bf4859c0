/**
 * What one fetch knows of one peer: what it holds, what it owes us, how fast it is.
 *
 * Pure. Its speed counts only while it owes us something; its latency only where it owed us nothing else.
 */
import {
  PEER_PIECES_IN_FLIGHT_MAX,
  PEER_PIECES_IN_FLIGHT_MIN,
  PEER_STALL_BYTES,
  PEER_STALL_MS,
} from '../base/limits.ts'
import type { Bitfield } from './bitfield.ts'
import type { Transfer, Want } from './exchange-want.ts'
import { BusyRate } from './rates.ts'

/** Speed is judged over about a second of work: some pieces of a slow wire. */
const RATE_HALF_LIFE_MS = 1_000
/** The least latency that was seen is believed to have grown by so much at each answer: ways change. */
const LATENCY_GROWTH = 1.25
/** What both ends take to turn to the next piece, beside the wire: with less a fast wire ran dry. */
const TURN_MS = 20

/** What an earlier piece counts of the next one, in the speed of the wire. */
const FLOW_KEPT = 0.5
/** Less says nothing of a wire: after a pause even a slow one takes some at once. */
const FLOW_BYTES_MIN = 256 * 1024
/** So many pieces, since the first of them may be what the wire takes at once. */
export const FLOWS_MIN = 2

/** Silence that is no queue any more. */
const SILENT_MS = 1_000

/** For people, and for tests. */
export interface PeerFigures {
  readonly peer: string
  /** undefined before it has sent anything */
  readonly bytesPerSecond: number | undefined
  /** Pieces asked of it and not answered yet. */
  readonly inFlight: number
  readonly receivedPieces: number
  /** As they came over the wire. */
  readonly receivedBytes: number
  /** Pieces that it announced, and did not send when it was asked. */
  readonly refused: number
  readonly choked: boolean
  /** Pieces that it holds. */
  readonly held: number
}

export class ExchangePeer {
  holdings: 'all' | Bitfield | undefined
  choked = false
  /** Nothing more is asked of it. */
  givenUp = false
  /** Nothing that is open is held by it: found out, and true until something opens or it gets something. */
  barren = false
  /** How often it had to do with a blob that turned out wrong as a whole, or then did not come. */
  suspicion = 0
  /** By request: everything that it has not answered yet, what we took back included. */
  readonly wants = new Map<number, Want>()
  /** Pieces that it holds by its own word, and refused. */
  readonly refused = new Set<number>()
  refusals = 0
  /** Wants so far. */
  asked = 0
  receivedPieces = 0
  receivedBytes = 0
  readonly #rate = new BusyRate(RATE_HALF_LIFE_MS)
  #latencyMs: number | undefined
  /** When it last sent something that counts; later by the time in which it owed us nothing. */
  #progressMs = 0
  #sinceProgressBytes = 0
  #flowedBytes = 0
  #flowMs = 0
  #flows = 0
  /** While it owes us nothing: how long it had owed us something, and nothing that counts had come of it, ms. */
  #fruitlessMs = 0

  constructor(
    readonly name: string,
    /** Whether it may be asked for the rest of a piece. */
    readonly sendsRests: boolean,
  ) {}

  holds(piece: number): boolean {
    const { holdings } = this
    return holdings !== undefined && (holdings === 'all' || holdings.has(piece)) && !this.refused.has(piece)
  }

  /** Whether it may be asked for anything at all. */
  get isOpen(): boolean {
    return !this.choked && !this.givenUp && this.holdings !== undefined
  }

  /** It holds some pieces only: another one that fetches, to whom a seed's pieces go. */
  get isPartial(): boolean {
    return this.holdings !== undefined && this.holdings !== 'all'
  }

  /** Pieces that it may owe us at once: what its wire holds during one latency. @param pieceWireBytes usual size */
  depth(pieceWireBytes: number, nowMs: number): number {
    const bytesPerMs = (this.#rate.perSecond(nowMs) ?? 0) / 1000
    // Twice what is on the way, so that a pipeline which is too short grows.
    const wire = bytesPerMs * (2 * (this.#latencyMs ?? 0) + TURN_MS)
    const pieces = 1 + Math.ceil(wire / Math.max(1, pieceWireBytes))
    return Math.min(PEER_PIECES_IN_FLIGHT_MAX, Math.max(PEER_PIECES_IN_FLIGHT_MIN, pieces))
  }

  /** Of the way there and back, without what waits there for others as far as we know; undefined before any answer. */
  get latencyMs(): number | undefined {
    return this.#latencyMs
  }

  /**
   * How long it will take, in ms, for everything that it owes us and `extraBytes` of the wire to be here.
   *
   * @param fallback bytes a second, where it has sent nothing yet
   */
  expectMs(extraBytes: number, pieceWireBytes: number, fallback: number, nowMs: number): number {
    let bytes = extraBytes
    for (const want of this.wants.values()) bytes += owedBytes(want, pieceWireBytes)
    const rate = this.#rate.perSecond(nowMs)
    const ms = (this.#latencyMs ?? 0) + (bytes * 1000) / Math.max(1, rate ?? fallback)
    // Of one that has never sent anything we expect that it takes as long again as it took so far.
    return rate === undefined ? Math.max(ms, this.#fruitless(nowMs)) : ms
  }

  /**
   * The same for one want of it: what it was asked before comes first.
   *
   * @param patient its silence up to now means nothing: it has others to serve
   */
  expectWantMs(wanted: Want, pieceWireBytes: number, fallback: number, nowMs: number, patient = false): number {
    let bytes = 0
    for (const want of this.wants.values()) {
      if (want.request <= wanted.request || want.transfer !== undefined) bytes += owedBytes(want, pieceWireBytes)
    }
    const rate = patient ? this.#rate.perSecondAtLast : this.#rate.perSecond(nowMs)
    if (rate !== undefined) return (bytes * 1000) / Math.max(1, rate)
    return Math.max(nowMs - wanted.askedMs, (bytes * 1000) / Math.max(1, fallback))
  }

  onAsked(want: Want, nowMs: number): void {
    if (this.wants.size === 0) {
      this.#rate.begin(nowMs)
      this.#progressMs = nowMs - this.#fruitlessMs
    }
    this.asked++
    this.wants.set(want.request, want)
  }

  onHead(want: Want, nowMs: number): void {
    if (!want.first) return
    const latencyMs = nowMs - want.askedMs
    this.#latencyMs = Math.min(latencyMs, LATENCY_GROWTH * (this.#latencyMs ?? latencyMs))
  }

  onBytes(bytes: number, nowMs: number): void {
    this.#rate.add(bytes, nowMs)
    this.receivedBytes += bytes
    this.#sinceProgressBytes += bytes
    if (this.#sinceProgressBytes >= PEER_STALL_BYTES) this.#progress(nowMs)
  }

  /** A want has ended. That it will not be served is no progress: what we took back is answered so, too. */
  onAnswered(want: Want, nowMs: number): void {
    this.#fruitlessMs = this.#fruitless(nowMs)
    this.wants.delete(want.request)
    if (this.wants.size === 0) this.#rate.end(nowMs)
  }

  /** A piece has come. */
  onPiece({ headMs, flowedBytes }: Transfer, nowMs: number): void {
    this.receivedPieces++
    this.#progress(nowMs)
    if (flowedBytes < FLOW_BYTES_MIN) return
    this.#flowedBytes = FLOW_KEPT * this.#flowedBytes + flowedBytes
    this.#flowMs = FLOW_KEPT * this.#flowMs + nowMs - headMs
    this.#flows++
  }

  /**
   * Bytes a second while a piece comes: what the way from the peer carries, however long it takes to make a piece ready.
   * undefined before some large ones have come.
   */
  get wireRate(): number | undefined {
    return this.#flows < FLOWS_MIN ? undefined : (this.#flowedBytes * 1000) / this.#flowMs
  }

  bytesPerSecond(nowMs: number): number | undefined {
    return this.#rate.perSecond(nowMs)
  }

  /** It owes us something and has sent nothing for a while: others need not wait for it. */
  isSilent(nowMs: number): boolean {
    return this.wants.size > 0 && nowMs - this.#progressMs > SILENT_MS
  }

  /** When it counts as stalled, undefined while it owes us nothing. */
  get stallMs(): number | undefined {
    return this.wants.size === 0 || this.givenUp ? undefined : this.#progressMs + PEER_STALL_MS
  }

  figures(nowMs: number, pieceCount: number): PeerFigures {
    return {
      peer: this.name,
      bytesPerSecond: this.#rate.perSecond(nowMs),
      inFlight: this.wants.size,
      receivedPieces: this.receivedPieces,
      receivedBytes: this.receivedBytes,
      refused: this.refusals,
      choked: this.choked,
      held: this.holdings === 'all' ? pieceCount : (this.holdings?.count ?? 0),
    }
  }

  #fruitless(nowMs: number): number {
    return this.wants.size === 0 ? this.#fruitlessMs : nowMs - this.#progressMs
  }

  #progress(nowMs: number): void {
    this.#progressMs = nowMs
    this.#sinceProgressBytes = 0
  }
}

/** What of a want is still to come over the wire. */
function owedBytes({ transfer, choices, withdrawn, rest }: Want, pieceWireBytes: number): number {
  if (transfer !== undefined) return Math.max(0, (rest?.takeover?.from ?? transfer.wireBytes) - transfer.gotBytes)
  return choices.size > withdrawn.size ? pieceWireBytes : 0
}
