/**
 * The command line: parses, calls app, and turns the outcome into output and an exit status. One command a file.
 */
import { Command, CommanderError } from 'commander'
import { versionLine } from '../app/version.ts'
import { EXIT_BUG, EXIT_CODES, HoloError } from '../base/errors.ts'
import { startLog } from '../base/log.ts'
import type { CommandContext } from './context.ts'
import { daemonCommand } from './daemon.ts'
import { fetchCommand } from './fetch.ts'
import { fleetCommand } from './fleet.ts'
import { keysCommand } from './keys.ts'
import { optimizeCommand } from './optimize.ts'
import { Output } from './output.ts'
import { peersCommand } from './peers.ts'
import { pushCommand } from './push.ts'
import { recordCommand } from './record.ts'
import { restoreCommand } from './restore.ts'
import { signCommand } from './sign.ts'
import { statusCommand } from './status.ts'

const COMMANDS = [
  restoreCommand,
  fetchCommand,
  recordCommand,
  optimizeCommand,
  daemonCommand,
  statusCommand,
  peersCommand,
  fleetCommand,
  keysCommand,
  signCommand,
  pushCommand,
]

/** Options that every command knows. */
export interface CommonOptions {
  readonly json?: boolean
  readonly quiet?: boolean
  readonly verbose?: boolean
}

/**
 * Run one command line to its end.
 *
 * @param argv as in `process.argv`
 * @returns the exit status
 */
export async function runCommandLine(argv: readonly string[]): Promise<number> {
  const interrupt = new AbortController()
  const stop = (name: string) => () => interrupt.abort(new Error(`Stopped by ${name}`))
  process.once('SIGINT', stop('Ctrl-C'))
  process.once('SIGTERM', stop('SIGTERM'))

  const program = new Command('holo-peer')
  const output = () => {
    const { json = false, quiet = false } = program.opts<CommonOptions>()
    return new Output({ json, quiet })
  }
  const context: CommandContext = { output, signal: interrupt.signal }
  program
    .description('Fetch and restore rcc environments from the machines next to you.')
    .version(versionLine(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'explain a command')
    .exitOverride()
    .configureOutput({ outputError: () => {} })
    .showSuggestionAfterError(true)
  for (const make of COMMANDS) program.addCommand(inheriting(make(context), program))
  // Common options may stand after the command's name too; wherever they stand, they mean the same.
  addCommonOptions(program)
  program.hook('preAction', async (_program, command) => {
    const { json, quiet, verbose } = command.optsWithGlobals<CommonOptions>()
    program.setOptionValue('json', json)
    program.setOptionValue('quiet', quiet)
    const usual = command.name() === 'daemon' && !quiet ? 'info' : 'error'
    await startLog(verbose ? 'debug' : usual)
  })

  try {
    await program.parseAsync([...argv])
    return 0
  } catch (error) {
    if (error instanceof CommanderError)
      return commandLineFailure(error, program, new Output({ json: argv.includes('--json'), quiet: false }))
    return output().failure(error, interrupt.signal.aborted)
  }
}

/** Let a command and those below it report errors as the program does: commander does so only for its own. */
function inheriting(command: Command, parent: Command): Command {
  command.copyInheritedSettings(parent)
  for (const below of command.commands) inheriting(below, command)
  return command
}

/** Add `--json`, `--quiet` and `--verbose` to a command and to those below it. */
function addCommonOptions(command: Command): void {
  command
    .option('--json', 'print the result as one JSON document')
    .option('-q, --quiet', 'print results and errors only')
    .option('-v, --verbose', 'log what happens, on stderr')
  for (const below of command.commands) addCommonOptions(below)
}

/** Help and version end with 0; anything else that the parser refuses is bad input. */
function commandLineFailure(error: CommanderError, program: Command, output: Output): number {
  if (error.exitCode === 0) return 0
  // A bare `holo-peer` or `holo-peer fleet`: commander has printed the help.
  if (error.code === 'commander.help') return EXIT_CODES.input
  const message = error.message.replace(/^error: /, '')
  const known = error.code.startsWith('commander.')
  if (!known) return EXIT_BUG
  return output.failure(
    new HoloError(message.charAt(0).toUpperCase() + message.slice(1), {
      code: 'command-line',
      blame: 'input',
      hint: `run \`${program.name()} --help\``,
    }),
    false,
  )
}
