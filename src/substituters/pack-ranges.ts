/**
 * Which ranges of a pack to ask for, so that few requests bring the wanted pieces and little else. Pure.
 *
 * A request costs about as much as `PACK_GAP_BYTES`, so shorter gaps are read along; then the smallest ones, until the
 * ranges are few; then long ranges are cut, so that several connections carry them.
 */
import { PACK_GAP_BYTES, PACK_RANGE_BYTES, PACK_RANGES_MAX } from '../base/substituter-limits.ts'
import type { PackedPiece } from '../catalog/pack-index.ts'

/** Pieces `first` to `last`, which stand back to back. */
export interface PackRange {
  readonly first: number
  readonly last: number
  /** Where it begins in the pack. */
  readonly offset: number
  readonly bytes: number
}

interface Span {
  readonly first: number
  last: number
}

export interface RangeRules {
  readonly gapBytes: number
  readonly rangesMax: number
  /** Longer ranges are cut, as long as there are fewer than `rangesMax`. */
  readonly rangeBytes: number
  /** Whether a range may begin with this piece because a longer one is cut there. */
  cutsBefore(piece: number): boolean
}

const USUAL: RangeRules = {
  gapBytes: PACK_GAP_BYTES,
  rangesMax: PACK_RANGES_MAX,
  rangeBytes: PACK_RANGE_BYTES,
  cutsBefore: () => true,
}

/**
 * @param wanted numbers of pieces, ascending, each once
 * @returns ranges in order, without overlap, at most `rules.rangesMax`, which hold every wanted piece
 */
export function packRanges(
  pieces: readonly PackedPiece[],
  wanted: readonly number[],
  given: Partial<RangeRules> = {},
): PackRange[] {
  const rules = { ...USUAL, ...given }
  let spans: Span[] = wanted.map((piece) => ({ first: piece, last: piece }))
  const offsetOf = (piece: number) => pieces[piece]?.offset ?? 0
  const endOf = (piece: number) => offsetOf(piece) + (pieces[piece]?.bytes ?? 0)
  const joinWithin = (gapBytes: number) => {
    const joined: Span[] = []
    for (const span of spans) {
      const before = joined.at(-1)
      if (before !== undefined && offsetOf(span.first) - endOf(before.last) <= gapBytes) before.last = span.last
      else joined.push({ ...span })
    }
    return joined
  }
  spans = joinWithin(rules.gapBytes)
  if (spans.length > rules.rangesMax) {
    const gaps = spans.slice(1).map(({ first }, index) => offsetOf(first) - endOf(spans[index]?.last ?? 0))
    gaps.sort((left, right) => left - right)
    spans = joinWithin(gaps[spans.length - rules.rangesMax - 1] ?? 0)
  }
  spans = cut(spans, rules, (first, last) => endOf(last) - offsetOf(first))
  return spans.map(({ first, last }) => ({
    first,
    last,
    offset: offsetOf(first),
    bytes: endOf(last) - offsetOf(first),
  }))
}

/** Halve the longest span that can be cut, while it is long and there is room for another. */
function cut(
  spans: readonly Span[],
  { rangesMax, rangeBytes, cutsBefore }: RangeRules,
  bytesOf: (first: number, last: number) => number,
): Span[] {
  const cuts = [...spans]
  const whole = new Set<Span>()
  for (;;) {
    const long = cuts.filter((span) => !whole.has(span) && bytesOf(span.first, span.last) > rangeBytes)
    const [longest] = long.sort((a, b) => bytesOf(b.first, b.last) - bytesOf(a.first, a.last))
    if (longest === undefined || cuts.length >= rangesMax) return cuts
    const { first, last } = longest
    const half = bytesOf(first, last) / 2
    let best: number | undefined
    for (let piece = first + 1; piece <= last; piece++) {
      if (!cutsBefore(piece)) continue
      const nearer =
        best === undefined || Math.abs(bytesOf(first, piece - 1) - half) < Math.abs(bytesOf(first, best - 1) - half)
      if (nearer) best = piece
    }
    if (best === undefined) whole.add(longest)
    else cuts.splice(cuts.indexOf(longest), 1, { first, last: best - 1 }, { first: best, last })
  }
}
