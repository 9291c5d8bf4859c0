/**
 * Notices that a file has changed, come or gone, by looking at it now and then.
 *
 * A look costs some microseconds and sees every change, also by rename, on network volumes and through links, where
 * events get lost.
 */
import { statSync } from 'node:fs'
import type { Clock } from '../base/clock.ts'
import { sameStamp, stampOf } from '../base/file-stamp.ts'

/**
 * Call `onChange` after each change of `path` until `signal` aborts; never rejects. The next look comes when it is through.
 *
 * @param everyMs between two looks
 * @param onChange what it throws is its own business
 */
export async function followFile(
  path: string,
  everyMs: number,
  onChange: () => Promise<void>,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  let seen = lookAt(path)
  while (!signal.aborted) {
    await clock.sleep(everyMs, signal).catch(() => {})
    const now = lookAt(path)
    const same = seen === undefined || now === undefined ? seen === now : sameStamp(seen, 0, now, 0)
    if (same || signal.aborted) continue
    seen = now
    await onChange().catch(() => {})
  }
}

function lookAt(path: string) {
  try {
    return stampOf(statSync(path, { bigint: true }))
  } catch {
    return undefined
  }
}
