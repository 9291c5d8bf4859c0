/**
 * What rcc notes of every restore, and so do we: a line in its event journal, one in the statistics of the week, and one
 * byte in the space's `.use` (formats.md §1, §11).
 *
 * All of it is for people who look back: a note that cannot be written is a line in the log, never a failed restore.
 * Lines are appended in one write, and only to regular files; a link that stands there is left alone.
 */
import * as fs from 'node:fs'
import { join } from 'node:path'
import { messageOf } from '../base/errors.ts'
import { roomLogger } from '../base/log.ts'
import { goString } from '../catalog/go-string.ts'
import { journalsDirectory, PRIVATE_DIRECTORY_MODE, type Roots } from '../catalog/layout.ts'
import { controllerIdentity } from '../catalog/names.ts'
import { isStampDue } from './stamp.ts'

const log = roomLogger('store')
const JOURNAL_MODE = 0o640

/** One restore that is through. Moments are seconds since the start of the process, as rcc counts. */
export interface SpaceUse {
  /** Wall clock. */
  readonly nowMs: number
  /** Who writes this, in place of rcc's version. */
  readonly version: string
  /** As given by the user: `user`. */
  readonly controller: string
  readonly space: string
  /** Absolute path of the space's `.meta`. */
  readonly metaPath: string
  /** Absolute path of the catalog. */
  readonly catalogPath: string
  readonly blueprint: string
  readonly startedS: number
  readonly restoredS: number
  /** From `dirtyness`. */
  readonly dirtyness: number
}

/**
 * How much of a space had to be changed, as rcc counts: in percent with one decimal, rounded down.
 *
 * @param dirty entries that were placed or removed @param all the same and those that were right
 */
export function dirtyness(dirty: number, all: number): number {
  return all === 0 ? 0 : Math.floor((1000 * dirty) / all) / 10
}

/** The line of `journals/event.log`. */
export function eventLine({ nowMs, controller, metaPath, blueprint, catalogPath }: SpaceUse): string {
  const comment = `normal holotree with blueprint ${blueprint} from ${catalogPath}`.replace(/\s+/g, ' ').trim()
  return jsonLine([
    ['when', Math.floor(nowMs / 1000)],
    ['controller', controllerIdentity(controller)],
    ['event', 'space-used'],
    ['detail', metaPath],
    ['comment', comment],
  ])
}

/** The line of the week's statistics: a run that built nothing, as after `rcc holotree variables`. */
export function statisticsLine(use: SpaceUse): string {
  return jsonLine([
    ['version', use.version],
    ['when', Math.floor(use.nowMs / 1000)],
    ['what', 'variables'],
    ['force', false],
    ['build', false],
    ['success', false],
    ['retry', false],
    ['run', false],
    ['controller', use.controller],
    ['space', use.space],
    ['blueprint', use.blueprint],
    ['started', use.startedS],
    ['prepared', 0],
    ['micromamba', 0],
    ['pip', 0],
    ['postinstall', 0],
    ['record', 0],
    ['restore', use.restoredS],
    ['prerun', 0],
    ['robotstart', 0],
    ['robotend', 0],
    ['finished', use.restoredS],
    ['dirtyness', use.dirtyness],
  ])
}

/** `stats_dc4d952_2026_48.log`: by the ISO week of the local calendar. @param at a moment, of which the local day counts */
export function statisticsName(userIdentity: string, at: Date): string {
  // A week belongs to the year of its Thursday.
  const day = new Date(Date.UTC(at.getFullYear(), at.getMonth(), at.getDate()))
  day.setUTCDate(day.getUTCDate() + 4 - (day.getUTCDay() || 7))
  const year = day.getUTCFullYear()
  const week = Math.ceil(((day.getTime() - Date.UTC(year, 0, 1)) / 86_400_000 + 1) / 7)
  return `stats_${userIdentity}_${String(year).padStart(4, '0')}_${String(week).padStart(2, '0')}.log`
}

/** Append both lines to the journals of `roots`. */
export function journalUse(roots: Roots, use: SpaceUse): void {
  const directory = journalsDirectory(roots)
  append(directory, 'event.log', eventLine(use))
  append(directory, statisticsName(roots.userIdentity, new Date(use.nowMs)), statisticsLine(use))
}

/**
 * Count one more use of a space: its size is how often, its mtime when last.
 *
 * @param path the space's `.use`
 * @param renewAfterMs nothing is written where the last use is younger than this
 */
export function countUse(path: string, nowMs: number, renewAfterMs: number): void {
  if (isStampDue(path, nowMs, renewAfterMs) ?? true) appendTo(path, '.', 0o644)
}

function append(directory: string, name: string, line: string): void {
  try {
    fs.mkdirSync(directory, { recursive: true, mode: PRIVATE_DIRECTORY_MODE })
  } catch (error) {
    log.warning`${directory} cannot be made: ${messageOf(error)}`
    return
  }
  appendTo(join(directory, name), line, JOURNAL_MODE)
}

function appendTo(path: string, text: string, mode: number): void {
  const { O_WRONLY, O_CREAT, O_APPEND, O_NOFOLLOW, O_NONBLOCK } = fs.constants
  try {
    // Non-blocking: a pipe without a reader would stop us.
    const descriptor = fs.openSync(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK, mode)
    try {
      if (!fs.fstatSync(descriptor).isFile()) throw new Error('it is no regular file')
      fs.writeSync(descriptor, text)
    } finally {
      fs.closeSync(descriptor)
    }
  } catch (error) {
    log.warning`a use was not noted in ${path}: ${messageOf(error)}`
  }
}

function jsonLine(fields: readonly (readonly [name: string, value: string | number | boolean])[]): string {
  const members = fields.map(([name, value]) => {
    return `"${name}":${typeof value === 'string' ? goString(value.toWellFormed()) : value}`
  })
  return `{${members.join(',')}}\n`
}
