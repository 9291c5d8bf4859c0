/**
 * What was measured, as rows of a table: ours, what it is held against, the ratio of the pairs, and the target.
 *
 * A row with a baseline is judged by its ratio, one without by its figure. Nothing here measures.
 */
import { median } from '../restore/rows.ts'

export type Unit = 's' | 'ms' | 'µs' | 'MB' | 'Mbit/s' | 'blobs' | '×'

/** What the ratio (or the figure, where there is no baseline) may be at most, or has to be at least. */
export type Target = { readonly most: number } | { readonly least: number }

export interface RowHead {
  readonly what: string
  readonly unit: Unit
  /** Undefined: told, not judged. */
  readonly target?: Target
  /** Printed below the row. */
  readonly note?: string
}

export interface Row extends RowHead {
  readonly ours: number
  readonly baseline?: number
  /** Median of the pairs' ratios; lowest and highest beside it. */
  readonly ratio?: number
  readonly lowest?: number
  readonly highest?: number
}

/** A row of pairs that were measured one after the other. */
export function compared(head: RowHead, ours: readonly number[], baseline: readonly number[]): Row {
  const ratios = ours.map((value, index) => value / (baseline[index] ?? Number.NaN))
  return {
    ...head,
    ours: median(ours),
    baseline: median(baseline),
    ratio: median(ratios),
    lowest: Math.min(...ratios),
    highest: Math.max(...ratios),
  }
}

/** A row of figures that have a bound of their own. */
export function figure(head: RowHead, ours: readonly number[]): Row {
  return { ...head, ours: median(ours), lowest: Math.min(...ours), highest: Math.max(...ours) }
}

/** @returns undefined where the row has no target */
export function isReached({ target, ratio, ours }: Row): boolean | undefined {
  if (target === undefined) return undefined
  const judged = ratio ?? ours
  return 'most' in target ? judged <= target.most : judged >= target.least
}

const COLUMNS = [62, 10, 10, 7, 13, 9, 3] as const

export function tableHead(): string {
  return inColumns('', 'ours', 'against', 'ratio', 'low–high', 'target', '')
}

/** At most 120 columns; the note, if any, on lines of its own. */
export function tableLine(row: Row): string {
  const { what, unit, ours, baseline, ratio, lowest, highest, target, note } = row
  const shown = (value: number | undefined) => (value === undefined ? '' : digits(value))
  const range = lowest === undefined || lowest === highest ? '' : `${shown(lowest)}–${shown(highest)}`
  const bound = target === undefined ? '' : 'most' in target ? `≤ ${target.most}` : `≥ ${target.least}`
  const reached = isReached(row)
  const mark = reached === undefined ? '' : reached ? '✓' : '✗'
  const line = inColumns(`${what} (${unit})`, shown(ours), shown(baseline), shown(ratio), range, bound, mark)
  return note === undefined ? line : `${line}\n    ${note}`
}

/** Three figures that count, and no exponent. */
function digits(value: number): string {
  if (!Number.isFinite(value)) return '–'
  const whole = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : Math.abs(value) >= 1 ? 2 : 3
  return value.toFixed(whole)
}

function inColumns(what: string, ...rest: readonly string[]): string {
  return what.padEnd(COLUMNS[0]) + rest.map((text, index) => text.padStart(COLUMNS[index + 1] ?? 0)).join('')
}
