/**
 * The serving side of one machine, over all its connections: who gets which piece next, and who has to wait.
 *
 * Of the choices that a peer gives, this machine sends what it has served least: so a crowd soon holds one copy of
 * everything between them. Where all of them are on their way to others that pass on what they get, a want rests until
 * these have told of them. Every want ends by its pieces or by a refusal. Pure: it knows nothing of bytes and sockets;
 * whoever sends asks `next` when a connection has nothing to send.
 */
import type { Random } from '../base/random.ts'
import { UPLOAD_CHOICES_MAX, UPLOAD_WANTS_MAX } from '../base/upload-limits.ts'
import type { RefusalReason } from './exchange-want.ts'
import { HandedOut } from './handed-out.ts'
import { UploadSlots } from './upload-slots.ts'

export interface UploadQueueOptions {
  /** Peers that are served at the same time. */
  readonly slots: number
  readonly random: Random
}

/** What a peer asks for: `count` of `choices`, whichever was served least; all of them, in order, where count says so. */
export interface UploadWant {
  readonly request: number
  /** Which environment: the SHA-256 of its catalog. */
  readonly catalog: string
  readonly count: number
  readonly choices: readonly number[]
}

/** One piece to be sent. */
export interface Upload {
  readonly request: number
  readonly catalog: string
  readonly piece: number
}

export type UploadAction =
  | { readonly do: 'choke'; readonly peer: string; readonly choked: boolean }
  /** 'all': whatever is left of that request. */
  | {
      readonly do: 'refuse'
      readonly peer: string
      readonly request: number
      readonly pieces: 'all' | readonly number[]
      readonly reason: RefusalReason
    }

interface QueuedWant {
  readonly request: number
  /** Whether the peer left the choice to this machine; it then hears from others what they hold. */
  readonly isOffer: boolean
  readonly catalog: string
  /** What is left of it, in the order given. */
  readonly choices: Set<number>
  left: number
}

interface Line {
  readonly wants: QueuedWant[]
  choices: number
  /** Whether it tells what it has got, and so passes it on. */
  passesOn: boolean
  sending: { readonly want: QueuedWant; readonly piece: number } | undefined
}

export class UploadQueue {
  readonly #slots: UploadSlots
  readonly #lines = new Map<string, Line>()
  readonly #handedOut: HandedOut
  /** When the first want that rests is to be looked at again. */
  #restsMs: number | undefined
  #refusals: UploadAction[] = []
  /** Whether anything happened that may change who has a slot. */
  #changed = false

  constructor({ slots, random }: UploadQueueOptions) {
    this.#slots = new UploadSlots(slots, random)
    this.#handedOut = new HandedOut(random)
  }

  addPeer(peer: string, nowMs: number): void {
    if (this.#lines.has(peer)) return
    this.#lines.set(peer, { wants: [], choices: 0, passesOn: false, sending: undefined })
    this.#slots.add(peer, nowMs)
    this.#changed = true
  }

  /** It is gone, and with it all that it wanted. */
  removePeer(peer: string): void {
    this.#lines.delete(peer)
    this.#slots.remove(peer)
    this.#changed = true
    this.#refusals = this.#refusals.filter((action) => action.peer !== peer)
  }

  /** @returns `violation` where it asks for more than may wait, or for nothing, or twice by the same number */
  onWant(peer: string, { request, catalog, count, choices }: UploadWant, nowMs: number): 'expected' | 'violation' {
    const line = this.#lines.get(peer)
    if (line === undefined) return 'expected'
    const distinct = new Set(choices)
    if (!(count >= 1 && count <= distinct.size)) return 'violation'
    if (line.wants.length >= UPLOAD_WANTS_MAX || line.choices + distinct.size > UPLOAD_CHOICES_MAX) return 'violation'
    if (line.sending?.want.request === request || line.wants.some((want) => want.request === request)) {
      return 'violation'
    }
    if (this.#slots.isChoked(peer)) {
      this.#refuse(peer, request, 'all', 'choked')
      return 'expected'
    }
    line.wants.push({ request, isOffer: count < distinct.size, catalog, choices: distinct, left: count })
    line.choices += distinct.size
    this.#slots.onWant(peer, nowMs)
    this.#changed = true
    return 'expected'
  }

  /**
   * It does not want this piece of a request any more. What has ended already is passed over.
   *
   * @returns whether it is being sent right now: the caller breaks it off, refuses it, and calls `onUnsent`
   */
  onCancel(peer: string, request: number, piece: number): boolean {
    const line = this.#lines.get(peer)
    if (line === undefined) return false
    const want = line.wants.find((each) => each.request === request)
    if (want?.choices.delete(piece)) {
      line.choices--
      want.left = Math.min(want.left, want.choices.size)
      if (want.left === 0) this.#leave(line, want)
      this.#refuse(peer, request, [piece], 'cancelled')
      this.#changed = true
    }
    return line.sending?.want.request === request && line.sending.piece === piece
  }

  /**
   * The piece for a peer to whom nothing is being sent. It counts as being sent until `onSent` or `onUnsent`.
   *
   * @returns undefined where it wants nothing that is to be sent now
   */
  next(peer: string, nowMs: number): Upload | undefined {
    const line = this.#lines.get(peer)
    if (line === undefined || line.sending !== undefined) return undefined
    const want = line.wants.find((each) => !this.#rests(each, nowMs))
    if (want === undefined) return undefined
    const { catalog, choices } = want
    const piece = want.left === choices.size ? first(choices) : this.#handedOut.leastOf(catalog, choices)
    choices.delete(piece)
    line.choices--
    want.left--
    if (want.left === 0) this.#leave(line, want)
    this.#handedOut.note(catalog, piece, peer, nowMs)
    line.sending = { want, piece }
    this.#slots.onBegin(peer, nowMs)
    this.#changed = true
    return { request: want.request, catalog, piece }
  }

  /** A peer tells others that it has these pieces. */
  onGot(peer: string, catalog: string, pieces: readonly number[], nowMs: number): void {
    const line = this.#lines.get(peer)
    if (line === undefined) return
    line.passesOn = true
    const heardMs = this.#handedOut.onGot(peer, catalog, pieces, nowMs)
    // It may be what a want rests for, and sooner than was thought.
    if (this.#restsMs !== undefined && heardMs !== undefined) this.#restsMs = Math.min(this.#restsMs, heardMs)
  }

  /** @param bytes of the wire form */
  onSent(peer: string, _upload: Upload, bytes: number, nowMs: number): void {
    const line = this.#lines.get(peer)
    if (line === undefined) return
    line.sending = undefined
    this.#slots.onEnd(peer, bytes, nowMs)
    this.#changed = true
  }

  /**
   * What `next` told cannot be sent, or not to its end; the caller refuses it.
   *
   * @param begun whether its head was sent: then the want has had its answer, else another choice takes its place
   */
  onUnsent(peer: string, { catalog, piece }: Upload, { begun }: { readonly begun: boolean }, nowMs: number): void {
    const line = this.#lines.get(peer)
    const sending = line?.sending
    if (line === undefined || sending === undefined) return
    line.sending = undefined
    this.#slots.onEnd(peer, 0, nowMs)
    this.#changed = true
    this.#handedOut.takeBack(catalog, piece)
    const { want } = sending
    if (begun || want.choices.size === 0) return
    if (this.#slots.isChoked(peer)) {
      this.#refuse(peer, want.request, 'all', 'choked')
      return
    }
    const isQueued = line.wants.includes(want)
    want.left = Math.min(want.left + 1, want.choices.size)
    if (isQueued) return
    line.wants.unshift(want)
    line.choices += want.choices.size
  }

  /** What to do now; to be called after events, and at `wakeMs`. */
  tick(nowMs: number): UploadAction[] {
    const { wakeMs } = this
    if (!this.#changed && this.#refusals.length === 0 && (wakeMs === undefined || nowMs < wakeMs)) return []
    this.#changed = false
    this.#restsMs = undefined
    const isBusy = (peer: string) => {
      const line = this.#lines.get(peer)
      return line !== undefined && (line.wants.length > 0 || line.sending !== undefined)
    }
    const actions: UploadAction[] = []
    for (const { peer, choked } of this.#slots.deal(isBusy, nowMs)) {
      actions.push({ do: 'choke', peer, choked })
      const line = this.#lines.get(peer)
      if (!choked || line === undefined) continue
      for (const want of line.wants) {
        want.choices.clear()
        this.#refuse(peer, want.request, 'all', 'choked')
      }
      line.wants.length = 0
      line.choices = 0
    }
    actions.push(...this.#refusals)
    this.#refusals = []
    return actions
  }

  /** When `tick`, and `next` after it, have something to do without an event; undefined where never. */
  get wakeMs(): number | undefined {
    const [slotsMs, restsMs] = [this.#slots.wakeMs, this.#restsMs]
    return slotsMs === undefined || restsMs === undefined ? (slotsMs ?? restsMs) : Math.min(slotsMs, restsMs)
  }

  isChoked(peer: string): boolean {
    return this.#slots.isChoked(peer)
  }

  /** How often a piece was handed out. */
  servedCount(catalog: string, piece: number): number {
    return this.#handedOut.times(catalog, piece)
  }

  /** Whether all that it leaves to our choice is on its way to others, or they have told of it just now. */
  #rests({ isOffer, catalog, choices }: QueuedWant, nowMs: number): boolean {
    if (!isOffer) return false
    const passesOn = (peer: string) => this.#lines.get(peer)?.passesOn === true
    const untilMs = this.#handedOut.restsUntilMs(catalog, choices, passesOn, nowMs)
    if (untilMs === undefined) return false
    this.#restsMs = Math.min(this.#restsMs ?? untilMs, untilMs)
    return true
  }

  #refuse(peer: string, request: number, pieces: 'all' | readonly number[], reason: RefusalReason): void {
    this.#refusals.push({ do: 'refuse', peer, request, pieces, reason })
  }

  /** It waits no more; what is left of its choices is forgotten. */
  #leave(line: Line, want: QueuedWant): void {
    line.wants.splice(line.wants.indexOf(want), 1)
    line.choices -= want.choices.size
  }
}

function first(choices: ReadonlySet<number>): number {
  for (const piece of choices) return piece
  throw new RangeError('a want without choices')
}
