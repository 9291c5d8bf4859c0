/** `holo-peer push SUBSTITUTER [catalog…]`: environments of this library, to where others get them. */
import { Command } from 'commander'
import type { PushOutcome, PushReport } from '../app/push.ts'
import type { CommandContext } from './context.ts'
import { counted, humanBytes, humanMs, type Output } from './output.ts'

interface PushFlags {
  readonly dryRun: boolean
  readonly credentialsEnv?: string
  readonly credentialsFile?: string
}

export function pushCommand({ output, signal }: CommandContext): Command {
  return new Command('push')
    .description('bring environments of this library to a substituter, where other machines get them')
    .argument('<substituter>', 'its URI; an entry of the settings for it says on which terms')
    .argument('[catalogs...]', 'names of catalogs, or hashes of blueprints; none: every complete environment')
    .option('--dry-run', 'say what is missing there, and send nothing', false)
    .option('--credentials-env <name>', 'the variable that holds the credentials')
    .option('--credentials-file <path>', 'the file that holds them')
    .action(async (target: string, catalogs: string[], flags: PushFlags) => {
      const out = output()
      const { push } = await import('../app/push.ts')
      const report = await push(
        {
          target,
          catalogs,
          dryRun: flags.dryRun,
          credentialsEnv: flags.credentialsEnv,
          credentialsFile: flags.credentialsFile,
        },
        {
          onProgress: (catalog, done, total, sentBytes) =>
            void out.progress(() => {
              return { doing: `pushing ${catalog.slice(0, 16)}`, done, total, detail: humanBytes(sentBytes) }
            }),
        },
        signal,
      )
      out.result({ ok: true, ...report }, reportLines(report, out))
    })
}

function reportLines({ target, dryRun, environments, incomplete, ms }: PushReport, out: Output): string[] {
  const lines = environments.flatMap((environment) => environmentLines(environment, dryRun, out))
  if (environments.length === 0) lines.push('Nothing to push: the library holds no complete environment.')
  for (const name of incomplete) lines.push(`${name} was left out: some of its blobs are not here`)
  if (dryRun) lines.push(`Nothing was sent to ${target}.`)
  return [...lines, out.style('dim', `took ${humanMs(ms)}`)]
}

function environmentLines(outcome: PushOutcome, dryRun: boolean, out: Output): string[] {
  const { catalog, blobs, blobsSent, blobBytesSent, packBytesSent, catalogSent, signaturesSent } = outcome
  const row = (label: string, text: string) => `  ${label.padEnd(8)} ${text}`
  const there = (blobs - blobsSent).toLocaleString('en-US')
  const sent =
    blobsSent === 0
      ? `all ${counted(blobs, 'blob')} were there`
      : `${counted(blobsSent, 'blob')}, ${humanBytes(blobBytesSent)}; ${there} were there`
  const pack =
    packBytesSent === undefined ? 'is not there' : packBytesSent === 0 ? 'was there' : `${humanBytes(packBytesSent)}`
  const verb = dryRun ? 'to send' : 'sent'
  return [
    out.style('bold', `Environment ${catalog}`),
    row(verb, sent),
    row('pack', pack),
    ...(signaturesSent ? [row('signed', dryRun ? 'by keys that are not there' : 'signatures sent')] : []),
    row('catalog', catalogSent ? (dryRun ? 'is not there, or another one is' : 'sent, last') : 'was there'),
  ]
}
