/** `holo-peer restore robot.yaml`: the environment of a robot, in a space. */
import { Command, Option } from 'commander'
import {
  type RestoreOutcome,
  STRATEGIES,
  type Strategy,
  VERIFICATIONS,
  type Verification,
} from '../app/restore-outcome.ts'
import { messageOf } from '../base/errors.ts'
import type { CommandContext } from './context.ts'
import { fetchedJson, fetchedLines, fetchProgress } from './fetch-progress.ts'
import { counted, humanBytes, humanMs, type Output, printable, waitingFor } from './output.ts'
import { publishedLines } from './published.ts'

interface RestoreFlags {
  readonly space: string
  readonly controller: string
  readonly dryRun: boolean
  readonly offline: boolean
  readonly refresh: boolean
  readonly strategy?: Strategy
  readonly verification?: Verification
  readonly fast: boolean
  readonly deep: boolean
  readonly keepExtra: boolean
  readonly timeline: boolean
  readonly allowRollback: boolean
}

/** Files that a linking strategy did not link, by name; an environment has hundreds. */
const EXCEPTIONS_LISTED = 20

export function restoreCommand({ output, signal }: CommandContext): Command {
  return new Command('restore')
    .description('fetch the environment of a robot where it is missing, and restore it into a space')
    .argument('[robot.yaml]', 'a robot.yaml, or a conda.yaml or package.yaml in its place', 'robot.yaml')
    .option('-s, --space <name>', 'which space to restore into', 'user')
    .option('--controller <name>', 'whose space it is', 'user')
    .option('--dry-run', 'say what would be done, and write nothing', false)
    .option('--offline', 'use only what lies on this machine', false)
    .option('--refresh', 'ask substituters again for what the daemon remembers as missing', false)
    .addOption(new Option('--strategy <name>', 'how files come into the space').choices(STRATEGIES))
    .addOption(new Option('--verification <name>', 'which bytes are hashed on the way').choices(VERIFICATIONS))
    .addOption(
      new Option('--fast', 'trusted verification, and no output but the path of the space')
        .default(false)
        .conflicts('verification'),
    )
    .option('--deep', 'hash the files of the space that look right', false)
    .option('--keep-extra', 'leave files that the environment does not have', false)
    .option('--allow-rollback', 'take an older environment of a key for a newer one that it has signed', false)
    .option('--timeline', 'show when each stage began and ended', false)
    .action(async (robotFile: string, flags: RestoreFlags) => {
      const out = output()
      const { restore } = await import('../app/restore.ts')
      const outcome = await restore(
        { ...flags, robotFile, strategy: flags.strategy, verification: flags.verification },
        {
          onFetch: fetchProgress(out),
          onWarning: (text) => out.warn(text),
          onLockWait: (lock, holders) => out.note(waitingFor(lock, holders)),
        },
        signal,
      )
      for (const error of outcome.fetched.dropped.values()) out.warn(`${messageOf(error)}; it was dropped`)
      const timeline = flags.timeline ? timelineLines(outcome.timeline) : []
      const lines = flags.dryRun ? planLines(outcome, out) : reportLines(outcome, out)
      // What was asked for by name is told all the same.
      const brief = outcome.fast && !flags.dryRun
      out.result(jsonOf(outcome), [...(brief ? [outcome.space.path] : lines), ...timeline])
    })
}

function jsonOf({ fetched, ...rest }: RestoreOutcome): unknown {
  return { ok: true, ...rest, fetched: fetchedJson(fetched) }
}

function headLines({ blueprint, catalog, space, published }: RestoreOutcome, out: Output): string[] {
  const platform = catalog.slice(catalog.indexOf('.') + 1)
  return [
    `${out.style('bold', `Environment ${blueprint}`)} (${platform})`,
    `  space    ${space.name} of ${space.controller}`,
    `  path     ${space.path}`,
    ...publishedLines(published),
  ]
}

function planLines(outcome: RestoreOutcome, out: Output): string[] {
  const { plan, missing } = outcome
  const nothing = plan.filesToPlace + plan.linksToMake + plan.directoriesToMake + plan.entriesToRemove === 0
  return [
    ...headLines(outcome, out),
    `  fetch    ${missing.blobs === 0 ? 'nothing' : `${counted(missing.blobs, 'blob')}, ${humanBytes(missing.bytes)}`}`,
    ...(nothing
      ? ['  restore  nothing: the space is as it should be']
      : [
          `  restore  ${counted(plan.filesToPlace, 'file')}, ${humanBytes(plan.bytesToPlace)}; ${counted(plan.linksToMake, 'link')}, ${counted(plan.directoriesToMake, 'directory', 'directories')}`,
          `           ${plan.entriesToRemove.toLocaleString('en-US')} to remove; ${plan.filesUnchanged.toLocaleString('en-US')} unchanged`,
        ]),
    'Nothing was written.',
  ]
}

function reportLines(outcome: RestoreOutcome, out: Output): string[] {
  const { fetched, restored, quarantined, ms } = outcome
  const lines = [...headLines(outcome, out), ...fetchedLines(fetched, ms.fetch)]
  if (restored !== undefined) lines.push(...restoredLines(restored, ms.apply))
  for (const place of quarantined) lines.push(`  moved    a corrupt blob to ${place}`)
  lines.push(out.style('dim', `  took     ${humanMs(ms.total)}`))
  return lines
}

function restoredLines(restored: NonNullable<RestoreOutcome['restored']>, applyMs: number): string[] {
  const { unchanged, methods } = restored
  if (restored.filesPlaced + restored.linksMade + restored.directoriesMade + restored.removed === 0)
    return [`  restored nothing: all ${counted(unchanged.files, 'file')} were as they should be`]
  const lines = [
    `  restored ${counted(restored.filesPlaced, 'file')}, ${humanBytes(restored.bytes)} in ${humanMs(applyMs)}`,
    ...Object.entries(methods)
      .filter(([, { files }]) => files > 0)
      .map(([method, { files, bytes }]) => `           ${grouped(files)} ${method}, ${humanBytes(bytes)}`),
    `           ${counted(restored.linksMade, 'link')}, ${counted(restored.directoriesMade, 'directory', 'directories')} made; ${grouped(restored.relocated)} relocated;`,
    `           ${grouped(restored.removed)} removed; ${grouped(unchanged.files)} unchanged`,
  ]
  for (const limit of restored.limits) lines.push(`  limited  ${limit.replace(/: (?=\/)/, ':\n           ')}`)
  const exceptions = Object.entries(restored.exceptions).map(([reason, count]) => `${grouped(count)} ${reason}`)
  if (exceptions.length > 0) lines.push(`  unlinked ${exceptions.join(', ')}`)
  const listed = restored.exceptionPaths.slice(0, EXCEPTIONS_LISTED)
  for (const { path, reason } of listed) lines.push(`           ${printable(path)} (${reason})`)
  const more = restored.exceptionPaths.length - listed.length
  if (more > 0) lines.push(`           and ${grouped(more)} more, all of them in --json`)
  if (methods.hardlinked.files + methods.symlinked.files > 0)
    lines.push('  mind     linked files are those of the library: nothing may write to this space')
  return lines
}

/** One line a stage, with a bar that shows where in the whole it lies; 80 columns. */
function timelineLines(timeline: RestoreOutcome['timeline']): string[] {
  const columns = 50
  const endMs = Math.max(1, ...timeline.map(({ untilMs }) => untilMs))
  const lines = ['  timeline, milliseconds since the process began']
  for (const { stage, fromMs, untilMs } of timeline) {
    const from = Math.min(columns - 1, Math.floor((fromMs / endMs) * columns))
    const until = Math.max(from + 1, Math.round((untilMs / endMs) * columns))
    const bar = `${' '.repeat(from)}${'█'.repeat(until - from)}`
    lines.push(`  ${stage.padEnd(8)} ${fromMs.toFixed(0).padStart(6)} ${untilMs.toFixed(0).padStart(6)}  ${bar}`)
  }
  return lines
}

function grouped(count: number): string {
  return count.toLocaleString('en-US')
}
