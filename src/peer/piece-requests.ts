/** Which request of which connection stands for a want of the exchange: so that it can be cancelled, or gone on with. */
import type { Sha256Digest } from '../blob/digest.ts'
import type { Bitfield } from './bitfield.ts'
import type { ArrivedPiece, PieceQuestion, WantEvents } from './piece-wants.ts'

/** A member, as far as pieces go. */
export interface PiecePeer {
  /** As in every error and log line. */
  readonly name: string
  readonly choked: boolean
  /** Whether its connection stands. */
  readonly isOpen: boolean
  /** Whether it may be asked for the rest of a piece. */
  readonly sendsRests: boolean
  holdings(catalog: Sha256Digest): 'all' | Bitfield | undefined
  ask(question: PieceQuestion, events: WantEvents): number
  /** What has come for this request and goes on coming. */
  arrived(request: number): ArrivedPiece | undefined
  cancel(request: number, pieces: readonly number[]): void
  /** It owes us pieces and sends nothing. */
  giveUp(why: string): void
}

export class PieceRequests {
  /** By number of the want. */
  readonly #asked = new Map<number, { readonly peer: PiecePeer; readonly number: number }>()

  /** @param number of the request, as `peer` gave it */
  add(want: number, peer: PiecePeer, number: number): void {
    this.#asked.set(want, { peer, number })
  }

  /** @param pieces none: all that is left of it */
  cancel(want: number, pieces: readonly number[]): void {
    const asked = this.#asked.get(want)
    asked?.peer.cancel(asked.number, pieces)
  }

  cancelAll(): void {
    for (const want of this.#asked.keys()) this.cancel(want, [])
  }

  /** What has come of the piece that is under way for it. */
  arrived(want: number): ArrivedPiece | undefined {
    const asked = this.#asked.get(want)
    return asked?.peer.arrived(asked.number)
  }

  /** It has ended. */
  end(want: number): void {
    this.#asked.delete(want)
  }

  /** A member has gone. */
  leave(name: string): void {
    for (const [want, { peer }] of [...this.#asked]) if (peer.name === name) this.#asked.delete(want)
  }
}
