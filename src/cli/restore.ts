/** `holo-peer restore robot.yaml`: the environment of a robot, in a space. */
import { Command } from 'commander'
import type { RestoreOutcome } from '../app/restore-outcome.ts'
import { messageOf } from '../base/errors.ts'
import type { CommandContext } from './context.ts'
import { counted, humanBytes, humanMs, type Output, waitingFor } from './output.ts'

interface RestoreFlags {
  readonly space: string
  readonly controller: string
  readonly dryRun: boolean
  readonly offline: boolean
}

export function restoreCommand({ output, signal }: CommandContext): Command {
  return new Command('restore')
    .description('fetch the environment of a robot where it is missing, and restore it into a space')
    .argument('[robot.yaml]', 'a robot.yaml, or a conda.yaml or package.yaml in its place', 'robot.yaml')
    .option('-s, --space <name>', 'which space to restore into', 'user')
    .option('--controller <name>', 'whose space it is', 'user')
    .option('--dry-run', 'say what would be done, and write nothing', false)
    .option('--offline', 'use only what lies on this machine', false)
    .action(async (robotFile: string, flags: RestoreFlags) => {
      const out = output()
      const startedMs = performance.now()
      const { restore } = await import('../app/restore.ts')
      const outcome = await restore(
        { robotFile, space: flags.space, controller: flags.controller, dryRun: flags.dryRun, offline: flags.offline },
        {
          onFetch: (totals, blobs) => {
            const seconds = Math.max((performance.now() - startedMs) / 1000, 0.001)
            const rate = `${humanBytes(totals.wireBytes / seconds)}/s`
            const sources = counted(totals.bySource.size, 'source')
            void out.progress({
              done: totals.blobs,
              total: blobs,
              detail: `${humanBytes(totals.wireBytes)}, ${rate}, ${sources}`,
            })
          },
          onWarning: (text) => out.warn(text),
          onLockWait: (lock, holders) => out.note(waitingFor(lock, holders)),
        },
        signal,
      )
      for (const error of outcome.fetched.dropped.values()) out.warn(`${messageOf(error)}; it was dropped`)
      out.result(jsonOf(outcome), flags.dryRun ? planLines(outcome, out) : reportLines(outcome, out))
    })
}

function jsonOf(outcome: RestoreOutcome): unknown {
  const { fetched, ...rest } = outcome
  return {
    ok: true,
    ...rest,
    fetched: {
      blobs: fetched.blobs,
      blobBytes: fetched.blobBytes,
      wireBytes: fetched.wireBytes,
      firstByteMs: fetched.firstByteMs ?? null,
      bySource: Object.fromEntries(fetched.bySource),
      dropped: [...fetched.dropped].map(([source, error]) => ({ source, code: error.code, message: error.message })),
    },
  }
}

function headLines({ blueprint, catalog, space }: RestoreOutcome, out: Output): string[] {
  const platform = catalog.slice(catalog.indexOf('.') + 1)
  return [
    `${out.style('bold', `Environment ${blueprint}`)} (${platform})`,
    `  space    ${space.name} of ${space.controller}`,
    `  path     ${space.path}`,
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
  const lines = headLines(outcome, out)
  if (fetched.blobs === 0) lines.push('  fetched  nothing: every blob was in the library')
  else {
    lines.push(
      `  fetched  ${counted(fetched.blobs, 'blob')}, ${humanBytes(fetched.blobBytes)} (${humanBytes(fetched.wireBytes)} on the wire) in ${humanMs(ms.fetch)}`,
    )
    for (const [source, blobs] of [...fetched.bySource].sort((left, right) => right[1] - left[1]))
      lines.push(`           ${counted(blobs, 'blob')} from ${source}`)
  }
  if (restored !== undefined) lines.push(...restoredLines(restored, ms.apply))
  for (const place of quarantined) lines.push(`  moved    a corrupt blob to ${place}`)
  lines.push(out.style('dim', `  took     ${humanMs(ms.total)}`))
  return lines
}

function restoredLines(restored: NonNullable<RestoreOutcome['restored']>, applyMs: number): string[] {
  const { unchanged } = restored
  if (restored.filesPlaced + restored.linksMade + restored.directoriesMade + restored.removed === 0)
    return [`  restored nothing: all ${counted(unchanged.files, 'file')} were as they should be`]
  const ways = [
    [restored.cloned, 'cloned'],
    [restored.copied, 'copied'],
    [restored.empty, 'empty'],
  ] as const
  const how = ways.flatMap(([count, way]) => (count === 0 ? [] : [`${count.toLocaleString('en-US')} ${way}`]))
  return [
    `  restored ${counted(restored.filesPlaced, 'file')}, ${humanBytes(restored.bytes)} (${how.join(', ')}) in ${humanMs(applyMs)}`,
    `           ${counted(restored.linksMade, 'link')}, ${counted(restored.directoriesMade, 'directory', 'directories')} made; ${restored.relocated.toLocaleString('en-US')} relocated; ${restored.removed.toLocaleString('en-US')} removed; ${unchanged.files.toLocaleString('en-US')} unchanged`,
  ]
}
