/**
 * `holo-peer keys generate | list | export | trust | revoke | rotate`: whose word for an environment counts here.
 *
 * What it calls is loaded by the action: every command is set up at every start, and keys take a while.
 */
import { Command, InvalidArgumentError } from 'commander'
import type { KeysView, TrustedKeyView } from '../app/keys.ts'
import { thisMachine } from '../app/machine.ts'
import { parseDuration } from '../base/duration.ts'
import type { CommandContext } from './context.ts'
import { type Output, printable } from './output.ts'

const GRACE_MS = 30 * 86_400_000

export function keysCommand(context: CommandContext): Command {
  const { output, signal } = context
  const keys = new Command('keys').description('the keys that environments are signed with, and whose word counts here')

  keys
    .command('generate')
    .description('make a signing key of this machine, beside its own')
    .argument('<name>', 'what others will know it by')
    .action(async (name: string) => {
      const { generateKey } = await import('../app/keys.ts')
      const view = await generateKey(thisMachine(), name, signal)
      output().result({ ok: true, ...view }, [
        `Made the signing key ${view.name} (${view.fingerprint}).`,
        'It counts on this machine; to let it count on others, run there:',
        '',
        `  holo-peer keys trust ${view.key}`,
        '',
        `Sign with it: holo-peer sign --robot robot.yaml --key ${view.name}`,
      ])
    })

  keys
    .command('list')
    .description('list the keys of this machine, the trusted and the revoked ones')
    .action(async () => {
      const { listKeys } = await import('../app/keys.ts')
      const view = await listKeys(thisMachine())
      output().result({ ok: true, ...view }, listLines(view, output()))
    })

  keys
    .command('export')
    .description('print a public key of this machine, for `keys trust` on others')
    .argument('[name]', "which signing key; default: the machine's own")
    .action(async (name: string | undefined) => {
      const { exportKey } = await import('../app/keys.ts')
      const view = await exportKey(thisMachine(), name)
      output().result({ ok: true, ...view }, [view.key])
    })

  addChanges(keys, context)
  return keys
}

function addChanges(keys: Command, { output, signal }: CommandContext): void {
  keys
    .command('trust')
    .description('let the word of a key count here')
    .argument('<key>', 'as `keys export` printed it there: name:base64')
    .option('--for <duration>', 'for a time only: 12h, 30d', durationOf)
    .action(async (key: string, options: { readonly for?: number }) => {
      const { trustKeyHere } = await import('../app/keys.ts')
      const view = await trustKeyHere(thisMachine(), key, options.for, signal)
      const until = view.until === null ? '' : `, until ${view.until}`
      output().result({ ok: true, ...view }, [`The key ${view.name} (${view.fingerprint}) is trusted here${until}.`])
    })

  keys
    .command('revoke')
    .description('let the word of a key count no more here, for good')
    .argument('<key>', 'name:base64, 64 hex digits, a fingerprint, or the name of a known key')
    .action(async (key: string) => {
      const { revokeKeyHere } = await import('../app/keys.ts')
      const revoked = await revokeKeyHere(thisMachine(), key, signal)
      output().result({ ok: true, revoked }, [
        ...revoked.flatMap(({ key, name }) => [`Revoked here: ${name ?? 'a key without a name'}`, `  ${key}`]),
        'Nothing that rests on its word alone is fetched or restored here any more. Other',
        'machines have lists of their own: run the same command on them.',
      ])
    })

  keys
    .command('rotate')
    .description('give a signing key of this machine a new secret')
    .argument('<name>', 'which signing key')
    .option('--grace <duration>', 'how long the old key is trusted here beside it: 12h, 30d, 0', durationOf, GRACE_MS)
    .action(async (name: string, { grace }: { readonly grace: number }) => {
      const { rotateKey } = await import('../app/keys.ts')
      const view = await rotateKey(thisMachine(), name, grace, signal)
      output().result({ ok: true, ...view }, [
        `The signing key ${view.name} is a new one (${view.fingerprint}).`,
        'Where the old one is trusted, run:',
        '',
        `  holo-peer keys trust ${view.key}`,
        '',
        `The old one is trusted here until ${view.oldUntil}.`,
        'Once everything is signed anew:',
        '',
        `  holo-peer keys revoke ${view.old}`,
      ])
    })
}

function durationOf(text: string): number {
  const ms = parseDuration(text)
  if (ms === undefined) throw new InvalidArgumentError('Write it like 12h or 30d.')
  return ms
}

/** A key takes a line of its own: it is 44 characters long, and to be copied. */
function listLines({ rule, machine, signing, trusted, revoked }: KeysView, out: Output): string[] {
  const title = (text: string) => out.style('bold', text)
  const own = [machine, ...signing]
  const lines = [
    rule === 'fleet'
      ? 'For what peers have, the word of every member counts, and of the keys below.'
      : 'Only the word of the keys below counts.',
    title('Keys of this machine'),
    ...own.flatMap((view, at) => [
      `  ${view.name}  ${at === 0 ? "the machine's own" : view.fingerprint}${view.revoked ? '; revoked here' : ''}`,
      `    ${view.key}`,
    ]),
    title('Trusted keys'),
    ...trusted.flatMap((view) => [`  ${view.name}  ${view.fingerprint}${noteOf(view)}`, `    ${view.key}`]),
  ]
  if (trusted.length === 0) lines.push('  none')
  if (revoked.length > 0) lines.push(title('Revoked keys'))
  for (const { key, name, from } of revoked) {
    lines.push(
      `  ${printable(name ?? 'without a name')}${from === 'settings' ? '  from settings.yaml' : ''}`,
      `    ${key}`,
    )
  }
  return lines
}

function noteOf({ from, until, revoked }: TrustedKeyView): string {
  const notes = [
    ...(from === 'settings' ? ['from settings.yaml'] : []),
    ...(until === null ? [] : [`until ${until.slice(0, 16).replace('T', ' ')} UTC`]),
    ...(revoked ? ['revoked here'] : []),
  ]
  return notes.length === 0 ? '' : `  ${notes.join(', ')}`
}
