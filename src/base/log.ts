/**
 * Diagnostic log, for `-v` and the daemon's journal. What a command has to say to its user goes through cli/render.
 *
 * A thin border round LogTape: rooms take a logger by their own name, the composition root decides where lines go.
 */
import { configure, getConsoleSink, getLogger, type Logger, type LogLevel } from '@logtape/logtape'

export type { Logger }

/** The logger of one room: `roomLogger('peer')`. Silent until `startLog` ran. */
export function roomLogger(room: string): Logger {
  return getLogger(['holo-peer', room])
}

/**
 * Send log lines of `lowest` and above to stderr, one line each, without colour.
 *
 * @param lowest `'warning'` for a command, `'info'` for a daemon, `'debug'` for `-v`
 */
export async function startLog(lowest: LogLevel): Promise<void> {
  const sink = getConsoleSink({
    formatter: (record) => {
      const words = record.message.map((part) => (typeof part === 'string' ? part : Bun.inspect(part)))
      const room = record.category.slice(1).join('.')
      return `${new Date(record.timestamp).toISOString()} ${record.level} ${room}: ${words.join('')}`
    },
    // Everything on stderr: stdout belongs to the command's result.
    levelMap: { trace: 'error', debug: 'error', info: 'error', warning: 'error', error: 'error', fatal: 'error' },
  })
  await configure({
    reset: true,
    sinks: { stderr: sink },
    loggers: [
      { category: 'holo-peer', lowestLevel: lowest, sinks: ['stderr'] },
      { category: ['logtape', 'meta'], lowestLevel: 'error', sinks: ['stderr'] },
    ],
  })
}
