/**
 * Which pieces this machine has handed out, how often, and whether whoever got them has told others of them.
 *
 * From that follows what to send next, and what need not be sent, since it is about to be had elsewhere. Pure.
 */
import type { Random } from '../base/random.ts'
import { UPLOAD_CATALOGS_MAX, UPLOAD_REST_MS_MAX } from '../base/upload-limits.ts'
import { RecentPercentile } from './rates.ts'

interface Handed {
  readonly times: number
  readonly lastMs: number
  /** To whom, then. */
  readonly to: string
  /** When that peer told that it has it; undefined before. */
  readonly toldMs: number | undefined
}

/** Of so many pieces the middle one counts for how long the next one is on its way: one slow peer makes nobody else wait. */
const ON_THE_WAY_WINDOW = 16
/** One that takes so many times as long does not come. */
const ON_THE_WAY_FACTOR = 4
/** Whoever wants a piece that somebody has told of needs some of that time, and this at least, to ask there instead. */
const HEARD_SHARE = 0.5
const HEARD_MS_MIN = 20

export class HandedOut {
  /** By catalog, the one that was asked for longest ago first. */
  readonly #catalogs = new Map<string, Map<number, Handed>>()
  /** From handing a piece out until its peer tells that it has it. */
  readonly #onTheWayMs = new RecentPercentile(0.5, ON_THE_WAY_WINDOW)

  constructor(private readonly random: Random) {}

  /** A piece goes to `peer`. */
  note(catalog: string, piece: number, peer: string, nowMs: number): void {
    const pieces = this.#catalogs.get(catalog) ?? new Map<number, Handed>()
    pieces.set(piece, { times: (pieces.get(piece)?.times ?? 0) + 1, lastMs: nowMs, to: peer, toldMs: undefined })
    this.#catalogs.delete(catalog)
    this.#catalogs.set(catalog, pieces)
    const [oldest] = this.#catalogs.keys()
    if (this.#catalogs.size > UPLOAD_CATALOGS_MAX && oldest !== undefined) this.#catalogs.delete(oldest)
  }

  /** It was not sent after all. */
  takeBack(catalog: string, piece: number): void {
    const handed = this.#catalogs.get(catalog)?.get(piece)
    if (handed === undefined) return
    this.#catalogs.get(catalog)?.set(piece, { ...handed, times: Math.max(0, handed.times - 1) })
  }

  times(catalog: string, piece: number): number {
    return this.#catalogs.get(catalog)?.get(piece)?.times ?? 0
  }

  /**
   * `peer` tells that it has these.
   *
   * @returns until when those who want them need to ask it; undefined where it had none of them from here
   */
  onGot(peer: string, catalog: string, pieces: readonly number[], nowMs: number): number | undefined {
    const known = this.#catalogs.get(catalog)
    let any = false
    for (const piece of pieces) {
      const handed = known?.get(piece)
      if (handed?.to !== peer || handed.toldMs !== undefined) continue
      known?.set(piece, { ...handed, toldMs: nowMs })
      this.#onTheWayMs.add(nowMs - handed.lastMs)
      any = true
    }
    return any ? nowMs + this.#heardMs : undefined
  }

  /** Of `choices`, not none, one that was handed out least; among equals that which should have been told of first. */
  leastOf(catalog: string, choices: ReadonlySet<number>): number {
    const known = this.#catalogs.get(catalog)
    let least: number[] = []
    let [leastTimes, leastMs] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]
    for (const piece of choices) {
      const { times = 0, lastMs = 0 } = known?.get(piece) ?? {}
      const sinceMs = times === 0 ? 0 : lastMs
      if (times > leastTimes || (times === leastTimes && sinceMs > leastMs)) continue
      if (times < leastTimes || sinceMs < leastMs) least = []
      leastTimes = times
      leastMs = sinceMs
      least.push(piece)
    }
    const piece = least[Math.floor(this.random.next() * least.length)]
    if (piece === undefined) throw new RangeError('a want without choices')
    return piece
  }

  /**
   * Until when none of `choices` needs to be sent to one more peer: all of them are on their way to peers that pass on
   * what they get, or these have told of them just now.
   *
   * @param passesOn whether a peer is here and tells what it has got
   * @returns undefined where one of them is to be sent now
   */
  restsUntilMs(
    catalog: string,
    choices: ReadonlySet<number>,
    passesOn: (peer: string) => boolean,
    nowMs: number,
  ): number | undefined {
    const known = this.#catalogs.get(catalog)
    const onTheWayMs = this.#onTheWayMs.value
    if (known === undefined || onTheWayMs === undefined) return undefined
    const lostMs = Math.min(UPLOAD_REST_MS_MAX, ON_THE_WAY_FACTOR * onTheWayMs)
    let untilMs = Number.POSITIVE_INFINITY
    for (const choice of choices) {
      const handed = known.get(choice)
      if (handed === undefined || handed.times === 0 || !passesOn(handed.to)) return undefined
      const { lastMs, toldMs } = handed
      untilMs = Math.min(untilMs, toldMs === undefined ? lastMs + lostMs : toldMs + this.#heardMs)
      if (nowMs >= untilMs) return undefined
    }
    return untilMs
  }

  /** So long after a piece was told of nobody is sent it who may ask others. */
  get #heardMs(): number {
    return Math.max(HEARD_MS_MIN, HEARD_SHARE * (this.#onTheWayMs.value ?? 0))
  }
}
