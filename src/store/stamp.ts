/** Files whose mtime says when something was last used: whether one is due for another time. */
import * as fs from 'node:fs'

/**
 * @param nowMs wall clock
 * @param renewAfterMs a stamp that is younger than this is not due; 0: every stamp is, whatever its time says
 * @returns undefined where there is none
 */
export function isStampDue(path: string, nowMs: number, renewAfterMs: number): boolean | undefined {
  const status = fs.lstatSync(path, { throwIfNoEntry: false })
  if (status === undefined) return undefined
  return renewAfterMs === 0 || status.mtimeMs <= nowMs - renewAfterMs
}
