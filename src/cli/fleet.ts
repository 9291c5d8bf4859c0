/**
 * `holo-peer fleet create | join | show`: who this machine shares environments with.
 *
 * What it calls is loaded by the action: every command is set up at every start, and the keys of a fleet take a while.
 */
import { Command } from 'commander'
import type { FleetChange } from '../app/fleet.ts'
import { thisMachine } from '../app/machine.ts'
import type { CommandContext } from './context.ts'
import { counted, type Output } from './output.ts'

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
        `  holo-peer fleet join ${change.invite} --bootstrap HOST:PORT`,
        '',
        'HOST:PORT is a machine that runs `holo-peer daemon`; it prints its port at the start.',
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
        `Joined the fleet ${change.fleet} (${counted(change.bootstraps.length, 'bootstrap')}: ${change.bootstraps.join(', ') || 'none'}).`,
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
              ...(invite ? [`  invite: ${view.invite}`] : []),
            ]),
      )
    })

  return fleet
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
