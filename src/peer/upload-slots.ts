/**
 * Whom this machine serves when more ask than it has slots: slots, choke and optimistic unchoke.
 *
 * Nobody is choked while there are slots for all who want something. Otherwise whoever comes last is choked until a
 * slot falls free, or, at each turn, some of the slots pass from those that take most slowly to those that have waited
 * longest. A choked peer is taken to be waiting; one that then wants nothing leaves its slot at once. Pure.
 */

import type { Random } from '../base/random.ts'
import { UPLOAD_TURN_MS } from '../base/upload-limits.ts'
import { BusyRate } from './rates.ts'

/** A peer that has wanted nothing for so long has left its slot; for less, its next want may be on its way. */
const IDLE_MS = 250
/** One slot in so many passes on at each turn. */
const PASSED_ONE_IN = 4

interface Standing {
  readonly peer: string
  choked: boolean
  /** Since when it has been choked, or has not. */
  sinceMs: number
  /** Decides among those that wait equally long; drawn anew whenever it is choked. */
  lot: number
  /** Since when it has had a slot; undefined where it has none. */
  heldMs: number | undefined
  /** When it wanted something, or was being sent something, last. */
  activeMs: number
  readonly rate: BusyRate
}

/** A peer is choked from now on, or is not any more. */
export interface SlotChange {
  readonly peer: string
  readonly choked: boolean
}

export class UploadSlots {
  readonly #standings = new Map<string, Standing>()
  /** Those that are choked. */
  readonly #waiting = new Set<Standing>()
  readonly #changed = new Set<Standing>()
  #turnMs: number | undefined
  #wakeMs: number | undefined

  constructor(
    readonly slots: number,
    readonly random: Random,
  ) {}

  add(peer: string, nowMs: number): void {
    const activeMs = Number.NEGATIVE_INFINITY
    const rate = new BusyRate(UPLOAD_TURN_MS)
    this.#standings.set(peer, { peer, choked: false, sinceMs: nowMs, lot: 0, heldMs: undefined, activeMs, rate })
  }

  remove(peer: string): void {
    const standing = this.#standings.get(peer)
    if (standing !== undefined) this.#waiting.delete(standing)
    this.#standings.delete(peer)
  }

  isChoked(peer: string): boolean {
    return this.#standings.get(peer)?.choked ?? false
  }

  /** It wants something. */
  onWant(peer: string, nowMs: number): void {
    const standing = this.#standings.get(peer)
    if (standing !== undefined) standing.activeMs = nowMs
  }

  /** It is being sent something from now on. */
  onBegin(peer: string, nowMs: number): void {
    this.#standings.get(peer)?.rate.begin(nowMs)
    this.onWant(peer, nowMs)
  }

  /** It has been sent `bytes`, and nothing more for the moment. */
  onEnd(peer: string, bytes: number, nowMs: number): void {
    const standing = this.#standings.get(peer)
    standing?.rate.add(bytes, nowMs)
    standing?.rate.end(nowMs)
    this.onWant(peer, nowMs)
  }

  /**
   * @param isBusy whether a peer waits for something, or is being sent something, just now
   * @returns what has changed
   */
  deal(isBusy: (peer: string) => boolean, nowMs: number): SlotChange[] {
    const active = this.#active(isBusy, nowMs)
    const waiting = [...this.#waiting]
    if (waiting.length === 0 && active.length <= this.slots) {
      this.#turnMs = undefined
      this.#wakeMs = undefined
      return []
    }
    waiting.sort((left, right) => left.sinceMs - right.sinceMs || left.lot - right.lot)
    this.#chokeExcess(active, nowMs)
    this.#passOn(active, waiting, nowMs)
    while (active.length < this.slots) {
      const next = waiting.shift()
      if (next === undefined) break
      this.#set(next, false, nowMs)
      next.heldMs = nowMs
      active.push(next)
    }
    const isFull = this.#waiting.size > 0
    if (!isFull) this.#turnMs = undefined
    else this.#turnMs ??= nowMs + UPLOAD_TURN_MS
    this.#wakeMs = isFull ? Math.min(this.#turnMs ?? nowMs, this.#nextIdleMs(active, isBusy)) : undefined
    const changed = [...this.#changed].map(({ peer, choked }) => ({ peer, choked }))
    this.#changed.clear()
    return changed
  }

  /** When `deal` has something to do without an event, as of its last call; undefined where never. */
  get wakeMs(): number | undefined {
    return this.#wakeMs
  }

  /** Those that have a slot, or would have one if there were enough. */
  #active(isBusy: (peer: string) => boolean, nowMs: number): Standing[] {
    const active: Standing[] = []
    for (const standing of this.#standings.values()) {
      if (isBusy(standing.peer)) standing.activeMs = nowMs
      const sinceMs = Math.max(standing.activeMs, standing.heldMs ?? Number.NEGATIVE_INFINITY)
      if (standing.choked || nowMs >= sinceMs + IDLE_MS) {
        standing.heldMs = undefined
      } else {
        standing.heldMs ??= nowMs
        active.push(standing)
      }
    }
    return active
  }

  #chokeExcess(active: Standing[], nowMs: number): void {
    // Who has held its slot longest keeps it: what was begun comes to an end.
    active.sort((left, right) => (left.heldMs ?? nowMs) - (right.heldMs ?? nowMs))
    for (const standing of active.splice(this.slots)) this.#set(standing, true, nowMs)
  }

  #passOn(active: Standing[], waiting: readonly Standing[], nowMs: number): void {
    if (waiting.length === 0 || this.#turnMs === undefined || nowMs < this.#turnMs) return
    this.#turnMs = nowMs + UPLOAD_TURN_MS
    const free = this.slots - active.length
    const passed = Math.min(waiting.length, Math.ceil(this.slots / PASSED_ONE_IN)) - free
    if (passed <= 0) return
    const fastestFirst = [...active].sort(
      (left, right) => (right.rate.perSecond(nowMs) ?? 0) - (left.rate.perSecond(nowMs) ?? 0),
    )
    // Who has just got its slot has not had time to show how fast it is.
    const settled = fastestFirst.filter(({ heldMs }) => nowMs - (heldMs ?? nowMs) >= UPLOAD_TURN_MS)
    for (const standing of settled.slice(Math.max(0, settled.length - passed))) {
      this.#set(standing, true, nowMs)
      active.splice(active.indexOf(standing), 1)
    }
  }

  #nextIdleMs(active: readonly Standing[], isBusy: (peer: string) => boolean): number {
    const idle = active.filter(({ peer }) => !isBusy(peer))
    return Math.min(...idle.map(({ activeMs, heldMs }) => Math.max(activeMs, heldMs ?? activeMs) + IDLE_MS))
  }

  #set(standing: Standing, choked: boolean, nowMs: number): void {
    standing.choked = choked
    standing.sinceMs = nowMs
    standing.heldMs = undefined
    if (choked) standing.lot = this.random.next()
    if (choked) this.#waiting.add(standing)
    else this.#waiting.delete(standing)
    // Twice in one deal is not at all.
    if (!this.#changed.delete(standing)) this.#changed.add(standing)
  }
}
