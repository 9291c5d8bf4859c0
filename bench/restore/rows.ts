/** What was measured, as rows: a figure of ours, what it is held against, and the target of the ratio. */
import type { ContestKind, Round } from './contest.ts'
import type { FileSystemKind } from './filesystems.ts'

export interface Row {
  readonly environment: string
  readonly what: string
  readonly unit: 'ms' | 'MB' | 'µs/file'
  readonly ours: number
  readonly baseline?: number | undefined
  /** Median of the pairs' ratios, with the lowest and highest. */
  readonly ratio?: number | undefined
  readonly lowest?: number | undefined
  readonly highest?: number | undefined
  /** Undefined: told, not judged. */
  readonly target?: number | undefined
  /** `void`: the limit in C did not itself reach what it has to. */
  readonly verdict: 'ok' | 'missed' | 'void' | ''
  readonly note?: string
}

/**
 * What limit.c must reach itself, as a share of the time of `cp -a` (`--reflink=always`, `--link`, `--reflink=never`):
 * earlier measurements with two threads, on another machine of two cores, and of their range the weaker end
 * (xfs: FICLONE 227 to 262 ms, cp 594; link 75 to 80, cp 168; gunzip 607 to 1166, cp 732; btrfs: 343 to 541, 629; gunzip
 * 1986, 1286; ext4: copy_file_range 303 to 444, 1430; link 75 to 129, 183; gunzip 1340, 1430).
 */
const LIMIT_SHARES: Readonly<Record<FileSystemKind, Partial<Record<ContestKind, number>>>> = {
  xfs: { reflink: 0.44, hardlink: 0.48, gzip: 1.59 },
  btrfs: { reflink: 0.86, gzip: 1.54 },
  ext4: { copy: 0.31, hardlink: 0.7, gzip: 0.94 },
  tmpfs: {},
}

/** Ours against the limit. */
const TARGETS: Readonly<Record<ContestKind, number>> = { reflink: 1.5, copy: 1.5, hardlink: 1.8, gzip: 1.7 }
/** Ours against `cp -a --reflink=always`. */
const CP_TARGETS: Partial<Record<FileSystemKind, number>> = { xfs: 0.7, btrfs: 0.9 }
/** A pristine check against a cold restore by reflink. */
const PRISTINE_TARGET = 0.4

const LIMITS: Readonly<Record<ContestKind, string>> = {
  reflink: 'C FICLONE',
  copy: 'C copy_file_range',
  hardlink: 'C link',
  gzip: 'C gunzip+write',
}

export function contestRows(
  environment: string,
  fileSystem: FileSystemKind,
  kind: ContestKind,
  rounds: readonly Round[],
): Row[] {
  const ours = rounds.map((round) => round.ours.ms)
  const limit = rounds.map((round) => round.limitMs)
  const cp = rounds.map((round) => round.cpMs)
  const share = median(rounds.map((round) => round.limitMs / round.cpMs))
  const shareMax = LIMIT_SHARES[fileSystem][kind]
  const proved = shareMax !== undefined && share <= shareMax
  const note = `C/cp ${share.toFixed(2)}${shareMax === undefined ? '' : `, must be ≤ ${shareMax}`}`
  const target = shareMax === undefined ? undefined : TARGETS[kind]
  const row = compared({ environment, what: `${kind}, ${fileSystem} / ${LIMITS[kind]}`, note, target }, ours, limit)
  const rows = [proved || target === undefined ? row : { ...row, verdict: 'void' as const }]
  if (kind === 'reflink') {
    const what = `reflink, ${fileSystem} / cp -a --reflink=always`
    rows.push(compared({ environment, what, target: CP_TARGETS[fileSystem] }, ours, cp))
    const pristine = rounds.map((round) => round.pristineMs)
    const again = `pristine check, ${fileSystem} / cold restore`
    rows.push(compared({ environment, what: again, target: PRISTINE_TARGET }, pristine, ours))
  }
  return rows
}

interface RowHead {
  readonly environment: string
  readonly what: string
  readonly unit?: Row['unit']
  readonly target: number | undefined
  readonly note?: string
}

/** A row of pairs. */
export function compared(head: RowHead, ours: readonly number[], baseline: readonly number[]): Row {
  const ratios = ours.map((value, index) => value / (baseline[index] ?? Number.NaN))
  const ratio = median(ratios)
  return {
    unit: 'ms',
    ...head,
    ours: median(ours),
    baseline: median(baseline),
    ratio,
    lowest: Math.min(...ratios),
    highest: Math.max(...ratios),
    verdict: head.target === undefined ? '' : ratio <= head.target ? 'ok' : 'missed',
  }
}

/** A row of one figure that has a bound of its own. */
export function bounded(head: RowHead, ours: number): Row {
  return { unit: 'ms', ...head, ours, verdict: head.target === undefined ? '' : ours <= head.target ? 'ok' : 'missed' }
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right)
  const middle = Math.floor(sorted.length / 2)
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

/** Medians of everything that each round tells under the same name. */
export function medians(values: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const names = [...new Set(values.flatMap((value) => Object.keys(value)))]
  return Object.fromEntries(names.map((name) => [name, median(values.map((value) => value[name] ?? 0))]))
}

const COLUMNS = { environment: 10, what: 42, ours: 8, baseline: 8, ratio: 6, range: 12, target: 7 }

export function tableHead(): string {
  return line('', 'row', 'ours', 'against', 'ratio', 'low–high', 'target', '')
}

/** At most 100 columns. */
export function tableLine(row: Row): string {
  const figure = (value: number | undefined, digits = 0) => (value === undefined ? '' : value.toFixed(digits))
  const range = row.lowest === undefined ? '' : `${figure(row.lowest, 2)}–${figure(row.highest, 2)}`
  const target = row.target === undefined ? '' : `≤ ${row.target}`
  const unit = row.unit === 'ms' ? '' : ` (${row.unit})`
  const digits = row.unit === 'µs/file' ? 1 : 0
  return line(
    row.environment,
    row.what + unit,
    figure(row.ours, digits),
    figure(row.baseline, digits),
    figure(row.ratio, 2),
    range,
    target,
    row.verdict,
  )
}

function line(
  environment: string,
  what: string,
  ours: string,
  baseline: string,
  ratio: string,
  range: string,
  target: string,
  verdict: string,
): string {
  return (
    environment.padEnd(COLUMNS.environment) +
    what.padEnd(COLUMNS.what) +
    ours.padStart(COLUMNS.ours) +
    baseline.padStart(COLUMNS.baseline) +
    ratio.padStart(COLUMNS.ratio) +
    range.padStart(COLUMNS.range) +
    target.padStart(COLUMNS.target) +
    verdict.padStart(7)
  )
}
