/** Lanes between two hosts, the compiled binary at both ends: open, blocked by a firewall, on another port. */
import { describe, expect } from 'bun:test'
import { join } from 'node:path'
import { FleetHost, fleetObstacle, goldenEnvironment, SPACES } from '../support/fleet-hosts.ts'
import { Lan } from '../support/lan.ts'
import { skipUnless } from '../support/skip.ts'

const obstacle = fleetObstacle()
const lanTest = skipUnless(obstacle === undefined, obstacle ?? '')

/** Restore 4,415 blobs, so many that a lane is open before the last, from `holder`. @returns what the command logged */
async function restored(holder: FleetHost, client: FleetHost): Promise<string> {
  await client.join(await holder.lead())
  const robot = join(goldenEnvironment, 'v1', 'robot.yaml')
  const finished = await client.run('restore', robot, '--space', SPACES.v1, '--verbose', '--json')
  expect([finished.exitCode, JSON.parse(finished.stdout).ok]).toEqual([0, true])
  return finished.stderr
}

describe('a restore from another host', () => {
  lanTest('goes over a lane', async () => {
    await using lan = new Lan()
    const log = await restored(FleetHost.withLibrary(lan), FleetHost.on(lan))
    expect(log).toContain('(TCP port 49737)')
  })

  lanTest('goes without one where a firewall swallows TCP', async () => {
    await using lan = new Lan()
    const holder = FleetHost.withLibrary(lan)
    holder.host.nft('table inet t {\n chain i {\n type filter hook input priority 0\n meta l4proto tcp drop\n }\n}')
    const log = await restored(holder, FleetHost.on(lan))
    expect(log).not.toContain('A lane to')
  })

  lanTest('goes over a lane on another port where that of the daemon is taken', async () => {
    await using lan = new Lan()
    const holder = FleetHost.withLibrary(lan)
    const taker = holder.host.spawn(['perl', '-MIO::Socket::INET', '-e', TAKE])
    for await (const _up of taker.stdout) break
    const log = await restored(holder, FleetHost.on(lan))
    expect(log).toContain('A lane to')
    expect(log).not.toContain('(TCP port 49737)')
  })
})

const TAKE = '$| = 1; $s = IO::Socket::INET->new(Listen => 1, LocalPort => 49737) or die; print "up\\n"; sleep 600'
