/** Whose word counts, as a user meets it: the compiled binary, hosts of a LAN, the small golden library. */
import { afterAll, beforeAll, describe, expect } from 'bun:test'
import { FleetHost, hostObstacle, smallRobot } from '../support/fleet-hosts.ts'
import { smallCold } from '../support/golden.ts'
import { Lan } from '../support/lan.ts'
import { skipUnless } from '../support/skip.ts'

const obstacle = hostObstacle()
const hostTest = skipUnless(obstacle === undefined, obstacle ?? '')
const two = smallCold('gzip', 2).name
let lan: Lan
let publisher: FleetHost
let fleet: { invite: string; address: string }
/** Of the publisher: its own key, and the one that it signs version 1 with beside that. */
let keys: { machine: string; factory: string }

beforeAll(async () => {
  if (obstacle !== undefined) return
  lan = new Lan()
  publisher = FleetHost.withSmallLibrary(lan)
  fleet = await publisher.lead()
  const { key } = await publisher.report('keys', 'generate', 'factory')
  await publisher.report('sign', '--robot', smallRobot(1), '--key', 'factory')
  keys = { factory: key, machine: (await publisher.report('keys', 'export')).key }
})
afterAll(async () => {
  await lan?.[Symbol.asyncDispose]()
})

async function member(section: object = {}): Promise<FleetHost> {
  const host = FleetHost.on(lan)
  host.settings(section)
  await host.join(fleet)
  return host
}

describe('trust', () => {
  hostTest('a report says who published an environment, and later where it came from', async () => {
    const b = await member()
    const first = await b.restoreSmall(1)
    expect(first).toMatchObject({
      exitCode: 0,
      published: { grounds: 'member', signer: { name: 'factory', key: keys.factory, role: 'builder' }, origin: null },
    })
    const again = await b.restoreSmall(1, '--offline')
    expect(again).toMatchObject({ exitCode: 0, source: 'library' })
    expect(again.published).toMatchObject({
      grounds: 'own',
      signer: { name: 'factory' },
      origin: { source: first.source },
    })
    const screen = await b.run('restore', smallRobot(1), '--space', 'cold1')
    expect(screen.stdout).toMatch(/^ {2}signed {3}by factory as its builder, \d{4}-\d\d-\d\d \d\d:\d\d UTC/m)
    expect(screen.stdout).toMatch(/^ {2}came {5}from peer \S+ \(\S+\), /m)
    expect(b.differencesFromSmall(1)).toEqual([])
  })

  hostTest('a daemon signs what nobody has signed as its holder, and status says so', async () => {
    let signed: { catalog: string; signer: { role: string } | null }[] = []
    while (signed.find(({ catalog }) => catalog === two)?.signer == null) {
      signed = (await publisher.report('status')).daemon.published
      await Bun.sleep(50)
    }
    expect(signed.find(({ catalog }) => catalog === two)).toMatchObject({
      grounds: 'own',
      signer: { key: keys.machine, role: 'holder' },
    })
    const b = await member()
    const report = await b.restoreSmall(2)
    expect(report.published).toMatchObject({ grounds: 'member', signer: { key: keys.machine, role: 'holder' } })
    const screen = (await publisher.run('status')).stdout
    expect(screen).toContain('as its holder')
    const listed = (await publisher.run('keys', 'list')).stdout
    expect(`${screen}${listed}`.split('\n').filter((line) => line.length > 80)).toEqual([])
  })

  hostTest('under `trust: keys` only listed keys count, also for what a daemon fetches', async () => {
    const b = await member({ trust: 'keys' })
    const daemon = await b.startDaemon()
    const refused = await b.restoreSmall(1)
    expect(refused).toMatchObject({ exitCode: 4, error: { code: 'key-unknown', blame: 'trust' } })
    expect(refused.error.hint).toContain(`holo-peer keys trust ${keys.factory}`)
    await b.report('keys', 'trust', keys.factory)
    expect(await b.restoreSmall(1)).toMatchObject({ exitCode: 0, published: { grounds: 'trusted-key' } })
    expect(await b.restoreSmall(2)).toMatchObject({ exitCode: 4, error: { blame: 'trust' } })
    daemon.process.kill('SIGTERM')
    await daemon.process.exited
  })

  hostTest('a revoked key is refused at once, for what is to be fetched and for what is here', async () => {
    const b = await member()
    expect(await b.restoreSmall(1)).toMatchObject({ exitCode: 0 })
    await b.report('keys', 'revoke', 'factory')
    const here = await b.restoreSmall(1, '--offline')
    expect(here).toMatchObject({ exitCode: 4, error: { code: 'key-revoked', blame: 'trust' } })
    const fetched = await b.restoreSmall(1)
    expect(fetched).toMatchObject({ exitCode: 4, error: { code: 'key-revoked' } })
    const c = await member({ 'revoked-keys': [keys.machine] })
    expect(await c.restoreSmall(2)).toMatchObject({ exitCode: 4, error: { code: 'offerer-revoked' } })
    expect(await c.run('keys', 'list')).toMatchObject({ exitCode: 0 })
  })
})
