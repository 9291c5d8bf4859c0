/** A substituter that failed: always its own fault, so the next source is asked. */
import { HoloError } from '../base/errors.ts'

export interface SourceFailedOptions {
  /**
   * `source-unreachable`, `source-status`, `source-broke-off`, `source-stalled`, `source-invalid`, `source-resting`;
   * `source-changed`: it is well, and what was read is another thing now.
   */
  readonly code: string
  readonly hint?: string
  readonly cause?: unknown
  /** What it asked for by Retry-After. */
  readonly retryAfterMs?: number | undefined
}

export class SourceFailedError extends HoloError {
  readonly retryAfterMs: number | undefined

  constructor(message: string, { code, hint, cause, retryAfterMs }: SourceFailedOptions) {
    super(message, {
      code,
      blame: 'source',
      hint: hint ?? 'look whether that source is up; another one is asked meanwhile',
      ...(cause === undefined ? {} : { cause }),
    })
    this.name = 'SourceFailedError'
    this.retryAfterMs = retryAfterMs
  }
}
