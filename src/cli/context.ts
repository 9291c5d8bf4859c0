/** What every command gets from the command line. */
import type { Output } from './output.ts'

export interface CommandContext {
  output(): Output
  /** Aborts at SIGINT and SIGTERM. */
  readonly signal: AbortSignal
}
