/**
 * Where pieces come to rest in the simulation: wrong ones are found as a real store finds them.
 *
 * With a piece table each piece is judged alone. Without one, ranges of a blob rest unproved until the blob is whole; a
 * wrong blob sent by one peer names the liar, one sent by several is fetched again, and then the liars are known.
 */

export interface SimVerdict {
  readonly verdict: 'stored' | 'held' | 'wrong' | 'blob-wrong'
  /** Proved now, itself included; or the pieces of the wrong blob. */
  readonly pieces: readonly number[]
  readonly liars: readonly string[]
}

interface Copy {
  readonly source: string
  readonly wrong: boolean
}

export class SimSink {
  /** Ranges at rest, unproved. */
  readonly #held = new Map<number, Copy>()
  /** What wrong blobs consisted of. */
  readonly #suspects = new Map<number, Copy[]>()

  /** @param blobOf the ranges of the blob that a piece is a range of; undefined for a group of whole blobs */
  constructor(
    readonly blobOf: (piece: number) => readonly number[] | undefined,
    readonly hasTable: boolean,
  ) {}

  put(piece: number, copy: Copy): SimVerdict {
    const ranges = this.hasTable ? undefined : this.blobOf(piece)
    if (ranges === undefined) {
      if (copy.wrong) return { verdict: 'wrong', pieces: [piece], liars: [copy.source] }
      return { verdict: 'stored', pieces: [piece], liars: [] }
    }
    this.#held.set(piece, copy)
    const copies = ranges.flatMap((each) => this.#held.get(each) ?? [])
    if (copies.length < ranges.length) return { verdict: 'held', pieces: [piece], liars: [] }
    for (const each of ranges) {
      const held = this.#held.get(each)
      if (held !== undefined) this.#suspects.set(each, [...(this.#suspects.get(each) ?? []), held])
      this.#held.delete(each)
    }
    if (copies.every(({ wrong }) => !wrong)) {
      const wrong = ranges.flatMap((each) => this.#suspects.get(each) ?? []).filter((each) => each.wrong)
      return { verdict: 'stored', pieces: ranges, liars: wrong.map(({ source }) => source) }
    }
    const sources = new Set(copies.map(({ source }) => source))
    return { verdict: 'blob-wrong', pieces: ranges, liars: sources.size === 1 ? [...sources] : [] }
  }
}
