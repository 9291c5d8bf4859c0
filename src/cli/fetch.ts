/** `holo-peer fetch robot.yaml`: the environment of a robot, into the library only. */
import { Command } from 'commander'
import type { FetchOutcome } from '../app/fetch.ts'
import { messageOf } from '../base/errors.ts'
import type { CommandContext } from './context.ts'
import { fetchedJson, fetchedLines, fetchProgress } from './fetch-progress.ts'
import { counted, humanMs, type Output } from './output.ts'
import { publishedLines } from './published.ts'

export function fetchCommand({ output, signal }: CommandContext): Command {
  return new Command('fetch')
    .description('fetch the environment of a robot into the library, and restore nothing')
    .argument('[robot.yaml]', 'a robot.yaml, or a conda.yaml or package.yaml in its place', 'robot.yaml')
    .option('--allow-rollback', 'take an older environment of a key for a newer one that it has signed', false)
    .option('--refresh', 'ask substituters again for what the daemon remembers as missing', false)
    .action(async (robotFile: string, flags: { readonly allowRollback: boolean; readonly refresh: boolean }) => {
      const out = output()
      const { fetch } = await import('../app/fetch.ts')
      const onWarning = (text: string) => out.warn(text)
      const outcome = await fetch({ robotFile, ...flags }, { onFetch: fetchProgress(out), onWarning }, signal)
      for (const error of outcome.fetched.dropped.values()) out.warn(`${messageOf(error)}; it was dropped`)
      const { fetched, ...rest } = outcome
      out.result({ ok: true, ...rest, fetched: fetchedJson(fetched) }, reportLines(outcome, out))
    })
}

function reportLines(
  { blueprint, catalog, source, published, blobs, fetched, ms }: FetchOutcome,
  out: Output,
): string[] {
  const platform = catalog.slice(catalog.indexOf('.') + 1)
  return [
    `${out.style('bold', `Environment ${blueprint}`)} (${platform})`,
    `  found    ${source === 'library' ? 'in the library' : `with ${source}`}: ${counted(blobs, 'blob')}`,
    ...publishedLines(published),
    ...fetchedLines(fetched, ms.fetch),
    out.style('dim', `  took     ${humanMs(ms.total)}`),
  ]
}
