/** Names of files that a restore has not finished, inside a space: made and known again in one place. */
import { TEMPORARY_PREFIX } from '../catalog/layout.ts'

/** With those of versions before this one, which had no letter, or `link` in place of a number. */
const SUFFIX = /^\d+-(?:[a-z]?\d+|link)$/
let counter = 0

/**
 * A name that no other call of this thread and no other living process uses.
 *
 * @param thread a letter that tells this thread's names from those of another
 */
export function temporaryName(thread: string): string {
  return `${TEMPORARY_PREFIX}${process.pid}-${thread}${counter++}`
}

/** Whether a name is one that `temporaryName` makes: in a space whose lock is held, a killed run's leftover. */
export function isTemporaryName(name: string): boolean {
  return name.startsWith(TEMPORARY_PREFIX) && SUFFIX.test(name.slice(TEMPORARY_PREFIX.length))
}
