/**
 * Temporary files of ours inside rcc's library, and directories of them, and the removal of those that a killed run left.
 *
 * All of them stand at the top of `library/` or `catalog/`, so that a sweep is one listing, and begin with
 * `TEMPORARY_PREFIX`. The name tells the process, and a rename within the same directory tree is never across disks.
 */
import * as fs from 'node:fs'
import { join } from 'node:path'
import { threadId } from 'node:worker_threads'
import { systemCodeOf } from '../base/errors.ts'
import { TEMPORARY_AGE_MS_MAX } from '../base/limits.ts'
import { TEMPORARY_PREFIX } from '../catalog/layout.ts'

const OURS = /^\.holo-peer-(\d{1,10})-(\d+)$/
// Workers have counters of their own in the same process.
const NAMES_PER_THREAD = 2 ** 32
let counter = threadId * NAMES_PER_THREAD

/** A name in `directory` that no other call and no other living process uses. */
export function temporaryIn(directory: string): string {
  return join(directory, temporaryName())
}

/** The same without its directory. */
export function temporaryName(): string {
  return `${TEMPORARY_PREFIX}${process.pid}-${counter++}`
}

/**
 * Remove temporaries in `directory` whose process has ended, or that are older than `TEMPORARY_AGE_MS_MAX` and not
 * this process's own. Everything else is left alone.
 *
 * @param nowMs wall clock
 * @returns how many were removed
 */
export function sweepTemporaries(directory: string, nowMs: number): number {
  let removed = 0
  for (const name of namesIn(directory)) {
    const pid = Number(OURS.exec(name)?.[1])
    if (!Number.isSafeInteger(pid) || pid === process.pid) continue
    const path = join(directory, name)
    try {
      const old = nowMs - fs.lstatSync(path).mtimeMs > TEMPORARY_AGE_MS_MAX
      if (!old && isAlive(pid)) continue
      // By descriptors on its way down, so that no link leads out.
      fs.rmSync(path, { recursive: true })
      removed++
    } catch {
      // Gone already, or another user's: the next sweep of that user takes it.
    }
  }
  return removed
}

/**
 * Remove what Workers of this process that have ended left in `directory`.
 *
 * @param threads their `threadId`s, which no later Worker bears
 */
export function removeTemporariesOf(directory: string, threads: ReadonlySet<number>): void {
  for (const name of namesIn(directory)) {
    const [, pid, count] = OURS.exec(name) ?? []
    if (Number(pid) !== process.pid || !threads.has(Math.floor(Number(count) / NAMES_PER_THREAD))) continue
    fs.rmSync(join(directory, name), { recursive: true, force: true })
  }
}

function namesIn(directory: string): string[] {
  try {
    return fs.readdirSync(directory)
  } catch {
    return []
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return systemCodeOf(error) === 'EPERM'
  }
}
