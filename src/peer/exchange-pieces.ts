/**
 * Where each piece of one fetch stands: missing, received, at rest; who is asked for it; how rare it is.
 *
 * A missing piece is *open* while nobody is claimed for it. An open one may be offered to one seed at a time. Pure.
 */
import type { Random } from '../base/random.ts'
import type { Want } from './exchange-want.ts'

const UNWANTED = 0
const MISSING = 1
/** Whole, and being verified elsewhere. */
const RECEIVED = 2
/** At rest, unproved. */
const HELD = 3
/** At rest, proved. */
const STORED = 4

/** A blob that came out wrong as a whole: its pieces are fetched again, from one peer. */
export interface SoleGroup {
  readonly pieces: readonly number[]
  /** Whom they are asked of; undefined where nobody has been chosen, or the chosen one fell out. */
  peer: Want['peer'] | undefined
}

export class ExchangePieces {
  readonly #states: Uint8Array
  readonly #bytes: Float64Array
  /** Peers that hold it and not everything. */
  readonly #partialHolders: Uint16Array
  readonly #open: number[] = []
  readonly #openAt: Int32Array
  readonly #claims = new Map<number, Want[]>()
  readonly #offers = new Map<number, Want>()
  readonly #sources = new Map<number, readonly Want['peer'][]>()
  readonly #groups = new Map<number, SoleGroup>()
  readonly #start: number
  /** No open piece lies between `#start` and this one, in cyclic order. */
  #cursor: number
  readonly wantedCount: number
  #storedCount = 0

  constructor(pieceBytes: ArrayLike<number>, wanted: Iterable<number>, random: Random) {
    const count = pieceBytes.length
    this.#states = new Uint8Array(count)
    this.#bytes = Float64Array.from(pieceBytes)
    this.#partialHolders = new Uint16Array(count)
    this.#openAt = new Int32Array(count).fill(-1)
    // Begun anywhere, so that machines which start together do not all ask for the same.
    this.#start = Math.floor(random.next() * count)
    this.#cursor = this.#start
    let wantedCount = 0
    for (const piece of wanted) {
      if (this.#states[piece] !== UNWANTED) continue
      this.#states[piece] = MISSING
      wantedCount++
      this.#addOpen(piece)
    }
    this.wantedCount = wantedCount
  }

  get count(): number {
    return this.#states.length
  }

  get storedCount(): number {
    return this.#storedCount
  }

  get openCount(): number {
    return this.#open.length
  }

  /** Open ones that no seed has among its choices. */
  get freeCount(): number {
    return this.#open.length - this.#offers.size
  }

  /** Raw. */
  bytes(piece: number): number {
    return this.#bytes[piece] ?? 0
  }

  isMissing(piece: number): boolean {
    return this.#states[piece] === MISSING
  }

  isReceived(piece: number): boolean {
    return this.#states[piece] === RECEIVED
  }

  isOffered(piece: number): boolean {
    return this.#offers.has(piece)
  }

  partialHolders(piece: number): number {
    return this.#partialHolders[piece] ?? 0
  }

  claims(piece: number): readonly Want[] {
    return this.#claims.get(piece) ?? []
  }

  offer(piece: number): Want | undefined {
    return this.#offers.get(piece)
  }

  group(piece: number): SoleGroup | undefined {
    return this.#groups.get(piece)
  }

  get hasGroups(): boolean {
    return this.#groups.size > 0
  }

  /** Each as often as it has pieces. */
  groups(): Iterable<SoleGroup> {
    return this.#groups.values()
  }

  /** Who sent what is being verified or at rest. */
  sources(piece: number): readonly Want['peer'][] {
    return this.#sources.get(piece) ?? []
  }

  /** Not at rest. */
  *missing(): Generator<number> {
    for (const [piece, state] of this.#states.entries()) if (state === MISSING || state === RECEIVED) yield piece
  }

  /** Open pieces, in no order, each once, beginning at the `from`th of them. */
  *open(from = 0): Generator<number> {
    for (let step = 0; step < this.#open.length; step++) {
      const piece = this.#open[(from + step) % this.#open.length]
      if (piece !== undefined) yield piece
    }
  }

  /** Open pieces in the order of their numbers, round and round, beginning at the random start. */
  *openInOrder(): Generator<number> {
    const { count } = this
    const from = this.#distance(this.#cursor)
    let first = true
    for (let distance = from; distance < count; distance++) {
      const piece = (this.#start + distance) % count
      if ((this.#openAt[piece] ?? -1) < 0) continue
      if (first) this.#cursor = piece
      first = false
      yield piece
    }
  }

  addHolder(piece: number): void {
    this.#partialHolders[piece] = (this.#partialHolders[piece] ?? 0) + 1
  }

  removeHolder(piece: number): void {
    this.#partialHolders[piece] = Math.max(0, (this.#partialHolders[piece] ?? 0) - 1)
  }

  addClaim(piece: number, want: Want): void {
    const claims = this.#claims.get(piece)
    if (claims === undefined) this.#claims.set(piece, [want])
    else if (!claims.includes(want)) claims.push(want)
    if (this.#offers.get(piece) === want) this.#offers.delete(piece)
    this.#removeOpen(piece)
  }

  addOffer(piece: number, want: Want): void {
    this.#offers.set(piece, want)
  }

  /** `want` does not keep others from `piece` any more. @returns whether others may be asked for it now */
  drop(piece: number, want: Want): boolean {
    if (this.#offers.get(piece) === want) {
      this.#offers.delete(piece)
      return true
    }
    const claims = this.#claims.get(piece)
    if (claims === undefined || !claims.includes(want)) return false
    if (claims.length > 1) {
      this.#claims.set(
        piece,
        claims.filter((each) => each !== want),
      )
      return false
    }
    this.#claims.delete(piece)
    if (this.#states[piece] !== MISSING) return false
    this.#addOpen(piece)
    return true
  }

  setReceived(piece: number, sources: readonly Want['peer'][]): void {
    this.#settle(piece, RECEIVED)
    this.#sources.set(piece, sources)
  }

  setHeld(piece: number): void {
    if (this.#states[piece] !== STORED) this.#settle(piece, HELD)
  }

  setStored(piece: number): void {
    if (this.#states[piece] === STORED || this.#states[piece] === UNWANTED) return
    this.#settle(piece, STORED)
    this.#sources.delete(piece)
    this.#groups.delete(piece)
    this.#storedCount++
  }

  /** What came was wrong. */
  setMissing(piece: number): void {
    if (this.#states[piece] === UNWANTED || this.#states[piece] === MISSING) return
    if (this.#states[piece] === STORED) this.#storedCount--
    this.#states[piece] = MISSING
    this.#sources.delete(piece)
    if (!this.#claims.has(piece)) this.#addOpen(piece)
  }

  setGroup(group: SoleGroup): void {
    for (const piece of group.pieces) this.#groups.set(piece, group)
  }

  #settle(piece: number, state: number): void {
    if (this.#states[piece] === UNWANTED) return
    this.#states[piece] = state
    this.#removeOpen(piece)
  }

  #addOpen(piece: number): void {
    if ((this.#openAt[piece] ?? -1) >= 0) return
    this.#openAt[piece] = this.#open.push(piece) - 1
    if (this.#distance(piece) < this.#distance(this.#cursor)) this.#cursor = piece
  }

  #removeOpen(piece: number): void {
    const at = this.#openAt[piece] ?? -1
    if (at < 0) return
    const last = this.#open.pop()
    this.#openAt[piece] = -1
    if (last === undefined || last === piece) return
    this.#open[at] = last
    this.#openAt[last] = at
  }

  #distance(piece: number): number {
    return (piece - this.#start + this.count) % this.count
  }
}
