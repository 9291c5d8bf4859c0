/** `holo-peer optimize`: the blobs of the library raw, so that rcc and holo-peer restore faster; or gzip again. */
import { dirname } from 'node:path'
import { Command } from 'commander'
import type { OptimizeOutcome } from '../app/optimize.ts'
import type { CommandContext } from './context.ts'
import { counted, humanBytes, humanMs, IncompleteError, type Output } from './output.ts'

interface OptimizeFlags {
  readonly compress: boolean
  readonly dryRun: boolean
}

export function optimizeCommand({ output, signal }: CommandContext): Command {
  return new Command('optimize')
    .description('turn the gzip blobs of the library into raw ones, which rcc restores faster')
    .option('--compress', 'the way back: gzip, smaller and slower', false)
    .option('--dry-run', 'decode and check everything, say what would be done, and write nothing', false)
    .action(async ({ compress, dryRun }: OptimizeFlags) => {
      const out = output()
      const { optimize } = await import('../app/optimize.ts')
      const outcome = await optimize(
        { to: compress ? 'gzip' : 'raw', dryRun },
        {
          onProgress: ({ bytesBefore, bytesAfter }, done, total) =>
            void out.progress(() => {
              const detail = `${humanBytes(bytesBefore)} before, ${humanBytes(bytesAfter)} after`
              return { doing: dryRun ? 'looking' : 'optimizing', done, total, detail }
            }),
          onLockWait: (holders) =>
            out.note(
              `waiting for ${holders.length === 0 ? 'another process' : holders.join(', ')} to leave the library`,
            ),
        },
        signal,
      )
      const { corrupt } = outcome.totals
      const lines = reportLines(outcome, out)
      if (corrupt.length === 0) return out.result({ ok: true, ...outcome }, lines)
      throw new IncompleteError(
        `${counted(corrupt.length, 'blob')} of ${outcome.library} ${corrupt.length === 1 ? 'is' : 'are'} corrupt`,
        {
          code: 'library-blobs-corrupt',
          blame: 'source',
          hint: 'restore the environments that need them: what is missing then comes from the fleet, or from rcc',
        },
        { value: outcome, lines },
      )
    })
}

function reportLines({ library, to, dryRun, compressNo, totals, ms }: OptimizeOutcome, out: Output): string[] {
  const head = [`${out.style('bold', 'Library')} ${library}`]
  if (compressNo) return [...head, '  nothing to do: it has compress.no, and rcc itself keeps its blobs raw']
  const { converted, kept, already, absent, foreign, bytesBefore, bytesAfter, corrupt } = totals
  const all = converted + kept + already + absent + foreign + corrupt.length
  if (all === 0) return [...head, '  nothing to do: it holds no blobs']
  const row = (label: string, text: string) => `  ${label.padEnd(10)} ${text}`
  const lines = [
    ...head,
    row(dryRun ? 'to convert' : 'converted', `${counted(converted, 'blob')} to ${to}`),
    row('already', `${counted(already, 'blob')} in this form`),
  ]
  if (kept > 0) lines.push(row('kept', `${counted(kept, 'blob')} gzip, since the content itself begins like gzip`))
  if (foreign > 0) lines.push(row('left', `${counted(foreign, 'blob')} with the digests of a compress.no library`))
  if (absent > 0) lines.push(row('gone', `${counted(absent, 'blob')} meanwhile`))
  for (const { digest, fault } of corrupt) lines.push(row('corrupt', digest), row('', shortened(fault)))
  const [quarantined] = corrupt.flatMap(({ quarantined: place }) => (place === undefined ? [] : [dirname(place)]))
  if (quarantined !== undefined) lines.push(row('moved to', quarantined))
  lines.push(row('bytes', `${humanBytes(bytesBefore)} before, ${humanBytes(bytesAfter)} after`))
  if (dryRun) lines.push('Nothing was written; the numbers are exact, since everything was decoded.')
  lines.push(out.style('dim', row('took', humanMs(ms))))
  return lines
}

/** So that a digest in it does not break the line; `--json` has all of it. */
function shortened(fault: string): string {
  return fault.length <= 66 ? fault : `${fault.slice(0, 65)}…`
}
