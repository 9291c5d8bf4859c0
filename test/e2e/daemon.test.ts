/** The daemon as an operator runs it: the compiled binary on hosts of its own. */
import { afterAll, beforeAll, describe, expect } from 'bun:test'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { FleetHost, hostObstacle } from '../support/fleet-hosts.ts'
import { smallCold } from '../support/golden.ts'
import { Lan } from '../support/lan.ts'
import { skipUnless } from '../support/skip.ts'

const obstacle = hostObstacle()
const hostTest = skipUnless(obstacle === undefined, obstacle ?? '')
let lan: Lan
let a: FleetHost
let fleet: { invite: string; address: string; process: Bun.Subprocess }
beforeAll(async () => {
  if (obstacle !== undefined) return
  lan = new Lan()
  a = FleetHost.withSmallLibrary(lan)
  fleet = await a.lead()
})
afterAll(async () => {
  await lan?.[Symbol.asyncDispose]()
})

/** Try until `probe` gives something, for at most 20 s. */
async function eventually<Value>(probe: () => Promise<Value | undefined>): Promise<Value> {
  for (let attempt = 0; attempt < 40; attempt++) {
    const value = await probe()
    if (value !== undefined) return value
    await Bun.sleep(500)
  }
  throw new Error('it did not happen within 20 s')
}

describe('daemon', () => {
  hostTest('a second one for the same library is refused with status 7', async () => {
    const report = await a.report('daemon')
    expect(report).toMatchObject({ exitCode: 7, error: { code: 'daemon-running', blame: 'locked' } })
  })

  hostTest('SIGTERM ends it cleanly, and SIGKILL does not keep the next one from starting', async () => {
    const host = FleetHost.on(lan)
    await host.join(fleet)
    const socket = join(host.host.home, 'holo-peer', 'control.sock')
    const first = await host.startDaemon()
    expect(fs.existsSync(socket)).toBe(true)
    first.process.kill('SIGTERM')
    expect(await first.process.exited).toBe(0)
    expect(fs.existsSync(socket)).toBe(false)
    const second = await host.startDaemon()
    second.process.kill('SIGKILL')
    await second.process.exited
    const third = await host.startDaemon()
    third.process.kill('SIGTERM')
    expect(await third.process.exited).toBe(0)
  })

  hostTest('it starts itself anew with the options of its runtime, as the same process', async () => {
    const host = FleetHost.on(lan)
    await host.join(fleet)
    const { process: daemon } = await host.startDaemon()
    const environment = fs.readFileSync(`/proc/${daemon.pid}/environ`, 'utf8').split('\0')
    expect(environment.filter((each) => each.startsWith('MIMALLOC_'))).toEqual(['MIMALLOC_PURGE_DELAY=10'])
    const words = fs.readFileSync(`/proc/${daemon.pid}/cmdline`, 'utf8').split('\0')
    expect(words[1]).toBe('daemon')
    daemon.kill('SIGTERM')
    expect(await daemon.exited).toBe(0)
  })

  hostTest('a taken port moves to a free one, which is announced', async () => {
    const host = FleetHost.on(lan)
    const listen =
      '$| = 1; my $s = IO::Socket::INET->new(Proto => "udp", LocalPort => 49737) or die; print "up\n"; sleep 600'
    const taken = host.host.spawn(['perl', '-MIO::Socket::INET', '-e', listen])
    for await (const _up of taken.stdout) break
    await host.join(fleet)
    const { address } = await host.startDaemon()
    expect(address).not.toBe(`${host.host.address}:49737`)
    const other = FleetHost.withSmallLibrary(lan)
    await other.report('fleet', 'join', fleet.invite, '--bootstrap', address)
    expect((await other.restoreSmall(1)).exitCode).toBe(0)
  })

  hostTest('a command uses the daemon of its library, and both share what was fetched', async () => {
    const b = FleetHost.on(lan)
    await b.join(fleet)
    await b.startDaemon()
    const report = await b.restoreSmall(1)
    expect(report).toMatchObject({ ok: true, fetched: { blobs: 402 } })
    expect(b.differencesFromSmall(1)).toEqual([])
    // What B has fetched it announces: a third host gets it from B alone.
    const c = FleetHost.on(lan)
    await c.join({ invite: fleet.invite, address: `${b.host.address}:49737` })
    const third = await c.restoreSmall(1)
    expect(third.fetched.blobs).toBe(402)
  })

  hostTest('a daemon that hangs does not block restore', async () => {
    const b = FleetHost.on(lan)
    await b.join(fleet)
    const daemon = await b.startDaemon()
    daemon.process.kill('SIGSTOP')
    const report = await b.restoreSmall(2)
    expect(report).toMatchObject({ ok: true, exitCode: 0 })
    expect(b.differencesFromSmall(2)).toEqual([])
    daemon.process.kill('SIGCONT')
  })

  hostTest('joining a fleet reaches a running daemon at once', async () => {
    const b = FleetHost.on(lan)
    await b.startDaemon()
    expect((await b.restoreSmall(1)).error.code).toBe('no-fleet')
    expect(await b.join(fleet)).toMatchObject({ daemonReloaded: true })
    // Joined twice with another address: the bootstraps are merged.
    const again = await b.report('fleet', 'join', fleet.invite, '--bootstrap', '10.88.0.250:1')
    expect(again.bootstraps).toEqual([fleet.address, '10.88.0.250:1'])
    expect(await b.restoreSmall(1)).toMatchObject({ ok: true, fetched: { blobs: 402 } })
  })

  hostTest('it sees catalogs that rcc adds or removes while it runs', async () => {
    const [source, client] = [FleetHost.withSmallLibrary(lan), FleetHost.on(lan)]
    const { name } = smallCold('gzip', 3)
    const [catalog, aside] = [join(source.host.home, 'hololib/catalog', name), join(source.host.folder, 'aside')]
    fs.renameSync(catalog, aside)
    await client.join(await source.lead())
    expect(await client.restoreSmall(3)).toMatchObject({ exitCode: 3, error: { code: 'environment-nowhere' } })
    fs.renameSync(aside, catalog)
    await eventually(async () => ((await client.restoreSmall(3, '--dry-run')).ok ? true : undefined))
    fs.renameSync(catalog, aside)
    await eventually(async () => ((await client.restoreSmall(3, '--dry-run')).ok ? undefined : true))
  })

  hostTest('a wrong fleet secret gets nothing', async () => {
    const stranger = FleetHost.on(lan)
    await stranger.report('fleet', 'create', 'factory', '--bootstrap', fleet.address)
    expect(await stranger.restoreSmall(1)).toMatchObject({ exitCode: 3, error: { code: 'no-peer' } })
  })

  hostTest('the secret of the environment serves without any file', async () => {
    const b = FleetHost.on(lan)
    const env = { HOLO_PEER_FLEET_SECRET: fleet.invite, HOLO_PEER_BOOTSTRAP: fleet.address }
    const robot = join(import.meta.dir, '../golden/small/gzip/robot1/robot.yaml')
    const { exitCode } = await b.host.run([b.binary, 'restore', robot, '--space', 'cold1'], { env })
    expect(exitCode).toBe(0)
    expect(fs.existsSync(join(b.host.home, 'holo-peer', 'fleets.json'))).toBe(false)
    expect(b.differencesFromSmall(1)).toEqual([])
  })
})

describe('locks', () => {
  hostTest('restore waits for a space that another process holds, and can be interrupted', async () => {
    const b = FleetHost.on(lan)
    await b.join(fleet)
    const { spacePath } = smallCold('gzip', 1)
    const lock = b.host.outside(`${spacePath}.lck`)
    fs.mkdirSync(join(lock, '..'), { recursive: true })
    const holder = b.host.spawn(['flock', lock, 'sh', '-c', 'echo held; sleep 600'])
    for await (const _held of holder.stdout) break
    const robot = join(import.meta.dir, '../golden/small/gzip/robot1/robot.yaml')
    const waiting = b.host.spawn([b.binary, 'restore', robot, '--space', 'cold1'])
    for await (const chunk of waiting.stderr) if (new TextDecoder().decode(chunk).includes('waiting for')) break
    waiting.kill('SIGINT')
    expect(await waiting.exited).toBe(130)
    expect(fs.existsSync(b.host.outside(spacePath))).toBe(false)
    holder.kill('SIGKILL')
    await holder.exited
  })
})
