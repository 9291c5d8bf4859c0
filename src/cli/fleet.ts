/**
 * `holo-peer fleet create | join | rotate | show`: who this machine shares environments with.
 *
 * What it calls is loaded by the action: every command is set up at every start, and the keys of a fleet take a while.
 */
import { Command, InvalidArgumentError } from 'commander'
import type { FleetChange } from '../app/fleet.ts'
import { thisMachine } from '../app/machine.ts'
import { parseDuration } from '../base/duration.ts'
import type { CommandContext } from './context.ts'
import type { Output } from './output.ts'

interface BootstrapOption {
  readonly bootstrap: readonly string[]
}

export function fleetCommand({ output, signal }: CommandContext): Command {
  const fleet = new Command('fleet').description('the machines that this one shares environments with')

  fleet
    .command('create')
    .description('make a new fleet and print the invite for the other machines')
    .argument('<name>', 'a name for people')
    .option(...bootstrapOption)
    .action(async (name: string, { bootstrap }: BootstrapOption) => {
      const { createFleetHere } = await import('../app/fleet.ts')
      const change = await createFleetHere(thisMachine(), name, bootstrap, signal)
      output().result({ ok: true, ...change }, [
        `Created the fleet ${change.fleet}. Send this invite to the other machines, by a way that you trust:`,
        '',
        `  holo-peer fleet join ${change.invite}`,
        '',
        'Where multicast does not pass between them, add --bootstrap HOST:PORT: a machine that runs `holo-peer daemon`.',
        ...daemonLines(output(), change),
      ])
    })

  fleet
    .command('join')
    .description('join the fleet of an invite; joining again adds bootstraps')
    .argument('<invite>', 'the line that `fleet create` printed')
    .option(...bootstrapOption)
    .action(async (invite: string, { bootstrap }: BootstrapOption) => {
      const { joinFleetHere } = await import('../app/fleet.ts')
      const change = await joinFleetHere(thisMachine(), invite, bootstrap, signal)
      output().result({ ok: true, ...change }, [
        `Joined the fleet ${change.fleet} (bootstraps: ${change.bootstraps.join(', ') || 'none, found by multicast'}).`,
        ...daemonLines(output(), change),
      ])
    })

  fleet
    .command('rotate')
    .description('give a fleet a new secret, and print the invite for the other machines')
    .argument('[name]', 'which fleet, where this machine belongs to several')
    .option('--grace <duration>', 'how long the old secret counts beside the new one: 12h, 7d, 0', graceOf, 7 * DAY_MS)
    .action(async (name: string | undefined, { grace }: { readonly grace: number }) => {
      const { rotateFleetHere } = await import('../app/fleet.ts')
      const change = await rotateFleetHere(thisMachine(), name, grace, signal)
      const [until] = change.oldSecretsUntil
      output().result({ ok: true, ...change }, [
        `The fleet ${change.fleet} has a new secret. On every other machine that is to stay in it, run:`,
        '',
        `  holo-peer fleet join ${change.invite}`,
        '',
        until === undefined
          ? 'The old secret counts no more: machines that have it alone are out.'
          : `The old secret counts until ${until}; machines that have it alone are out then.`,
        ...daemonLines(output(), change),
      ])
    })

  fleet
    .command('show')
    .description('list the fleets of this machine')
    .option('--invite', 'print the invites too; whoever has one is a member')
    .action(async ({ invite = false }: { invite?: boolean }) => {
      const { showFleets } = await import('../app/fleet.ts')
      const fleets = await showFleets(thisMachine())
      const shown = fleets.map((view) => (invite ? view : { ...view, invite: undefined }))
      output().result(
        { ok: true, fleets: shown },
        fleets.length === 0
          ? ['This machine belongs to no fleet. Make one with `holo-peer fleet create NAME`, or join one.']
          : fleets.flatMap((view) => [
              `${output().style('bold', view.fleet)}${view.from === 'environment' ? ' (from HOLO_PEER_FLEET_SECRET)' : ''}`,
              `  bootstraps: ${view.bootstraps.join(', ') || 'none'}`,
              ...view.oldSecretsUntil.map((until) => `  an old secret counts until ${until}`),
              ...(invite ? [`  invite: ${view.invite}`] : []),
            ]),
      )
    })

  return fleet
}

const DAY_MS = 86_400_000

function graceOf(text: string): number {
  const ms = parseDuration(text)
  if (ms === undefined) throw new InvalidArgumentError('Write it like 12h or 7d.')
  return ms
}

const bootstrapOption = [
  '--bootstrap <host:port>',
  'a machine that runs the daemon, repeatable',
  (value: string, before: readonly string[]) => [...before, value],
  [] as readonly string[],
] as const

function daemonLines(output: Output, change: FleetChange): string[] {
  return change.daemonReloaded ? [output.style('dim', 'The running daemon has joined it too.')] : []
}
