/** A space that another process changes while it is restored: nothing is wrong with this machine. */
import { HoloError, hostError, systemCodeOf } from '../base/errors.ts'

/** What the system answers where an entry has gone, or another one stands there than a moment ago. */
const CHANGES: readonly string[] = ['ENOENT', 'ENOTDIR', 'EEXIST', 'EISDIR', 'ENOTEMPTY', 'ELOOP']

/**
 * What a failed step inside a space means: code `space-changed` where another process must have been at work, since the
 * plan took everything into account that stood there; else as `hostError`.
 *
 * @param doing what was being done, to which path: `write /x/y`
 */
export function spaceError(doing: string, cause: unknown): HoloError {
  const code = systemCodeOf(cause) ?? ''
  if (cause instanceof HoloError || !CHANGES.includes(code)) return hostError(doing, cause)
  return new HoloError(`Could not ${doing}: something else changed the space meanwhile (${code})`, {
    code: 'space-changed',
    blame: 'host',
    hint: 'stop what runs in this space, then run the same command again',
    cause,
  })
}
