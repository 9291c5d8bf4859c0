/** `holo-peer record DIR`: a directory that was built in rcc's place, into the library, as the environment of a robot. */
import { Command } from 'commander'
import type { RecordOutcome } from '../app/record.ts'
import type { CommandContext } from './context.ts'
import { counted, humanBytes, humanMs, type Output, waitingFor } from './output.ts'
import { publishedLines } from './published.ts'

export function recordCommand({ output, signal }: CommandContext): Command {
  return new Command('record')
    .description("record what was built in rcc's build place into the library, as rcc does")
    .argument('<directory>', "rcc's build place: <holotree>/h<user>_<14 hex digits>t")
    .option('-r, --robot <file>', 'the robot.yaml, conda.yaml or package.yaml that it was built from', 'robot.yaml')
    .action(async (directory: string, { robot }: { readonly robot: string }) => {
      const out = output()
      const { record } = await import('../app/record.ts')
      const outcome = await record(
        { directory, robotFile: robot },
        { onLockWait: (lock, holders) => out.note(waitingFor(lock, holders)), onWarning: (text) => out.warn(text) },
        signal,
      )
      out.result({ ok: true, ...outcome }, reportLines(outcome, out))
    })
}

function reportLines(
  { blueprint, catalog, path, recorded, blobs, published, ms }: RecordOutcome,
  out: Output,
): string[] {
  const platform = catalog.slice(catalog.indexOf('.') + 1)
  const stored =
    blobs.added === 0
      ? 'nothing: the library had every blob'
      : `${counted(blobs.added, 'new blob')}, ${humanBytes(blobs.addedBytes)}; ${blobs.present.toLocaleString('en-US')} were there already`
  return [
    `${out.style('bold', `Recorded environment ${blueprint}`)} (${platform})`,
    `  path     ${path}`,
    `  holds    ${counted(recorded.files, 'file')}, ${humanBytes(recorded.bytes)}; ${counted(recorded.links, 'link')}, ${counted(recorded.directories, 'directory', 'directories')}`,
    `           ${recorded.relocatedFiles.toLocaleString('en-US')} relocated`,
    `  stored   ${stored}`,
    ...(published === null ? [] : publishedLines(published)),
    out.style('dim', `  took     ${humanMs(ms.total)}`),
  ]
}
