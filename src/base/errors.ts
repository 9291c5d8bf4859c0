/**
 * The one family of errors that holo-peer shows to people.
 *
 * An error is one sentence (what happened, to which file or peer), an optional hint (what to do), a stable `code` for
 * scripts, and `blame`: the one axis that callers branch on. A miss is `undefined`, not an error; cancellation is
 * `signal.reason`, unwrapped; a bug is any other error and keeps its stack.
 */

/**
 * Who has to act.
 *
 * - `input`: the user; stop with a hint.
 * - `missing`: nobody has what was asked for; a wrapper may let rcc build it.
 * - `trust`: the operator; always reported, never retried.
 * - `source`: a peer or substituter; try the next one.
 * - `host`: this machine's admin (disk, permission); stop, resumable.
 * - `locked`: another process holds a lock; try later.
 */
export type Blame = 'input' | 'missing' | 'trust' | 'source' | 'host' | 'locked'

/** Process exit status per blame; 0 is success, 1 a bug, 130 an interrupt. The README's table is checked against it. */
export const EXIT_CODES: Readonly<Record<Blame, number>> = {
  input: 2,
  missing: 3,
  trust: 4,
  source: 5,
  host: 6,
  locked: 7,
}
export const EXIT_BUG = 1
export const EXIT_INTERRUPTED = 130

export interface HoloErrorOptions {
  /** Stable, kebab-case, for `--json`: `robot-yaml-missing`. */
  code: string
  blame: Blame
  /** What to do next, one sentence without a final full stop. */
  hint?: string
  cause?: unknown
}

export class HoloError extends Error {
  readonly code: string
  readonly blame: Blame
  readonly hint: string | undefined

  constructor(message: string, options: HoloErrorOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'HoloError'
    this.code = options.code
    this.blame = options.blame
    this.hint = options.hint
  }
}

/** The text of anything thrown, for use inside another sentence. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}

/** The `code` of a system error (`ENOENT`), or undefined. */
export function systemCodeOf(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error) || !('code' in thrown)) return undefined
  return typeof thrown.code === 'string' ? thrown.code : undefined
}

/**
 * Turn a failed file operation into the error that its user can act on.
 *
 * @param doing what was being done, to which path: `write the blob /x/y`
 * @returns a HoloError that blames the host, with a hint for a full disk, a missing permission, or a read-only volume;
 *   a HoloError that came in goes out unchanged
 */
export function hostError(doing: string, cause: unknown): HoloError {
  if (cause instanceof HoloError) return cause
  const systemCode = systemCodeOf(cause)
  const hints: Record<string, [code: string, hint: string]> = {
    ENOSPC: ['disk-full', 'free some space on that disk and run the same command again; what is complete was kept'],
    EDQUOT: ['disk-full', 'raise the quota or free some space, then run the same command again'],
    EACCES: ['no-permission', 'give this user the permission, or run as the owner of that directory'],
    EPERM: ['no-permission', 'give this user the permission, or run as the owner of that directory'],
    EROFS: ['read-only', 'mount that volume writable'],
    EMFILE: ['too-many-files', 'raise the limit on open files (ulimit -n)'],
  }
  const known = systemCode === undefined ? undefined : hints[systemCode]
  return new HoloError(`Could not ${doing}: ${messageOf(cause)}`, {
    code: known?.[0] ?? 'host-io',
    blame: 'host',
    cause,
    ...(known === undefined ? {} : { hint: known[1] }),
  })
}
