/**
 * Networks and neighbours that are wrong, hostile or absent: the daemon stays up within its memory, says what it sees,
 * and serves as before. The compiled binary, on hosts of its own.
 */
import { describe, expect } from 'bun:test'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { FleetHost, hostObstacle } from '../support/fleet-hosts.ts'
import { Lan } from '../support/lan.ts'
import { skipUnless } from '../support/skip.ts'

const obstacle = hostObstacle() ?? (Bun.which('python3') === null ? 'python3 is not installed' : undefined)
const hostTest = skipUnless(obstacle === undefined, obstacle ?? '')

/** A daemon with its log: `log()` gives what it has said so far. */
async function startLogged(host: FleetHost): Promise<{ pid: number; log: () => string }> {
  const daemon = host.host.spawn([host.binary, 'daemon', '--json'])
  let log = ''
  void (async () => {
    for await (const text of daemon.stderr.pipeThrough(new TextDecoderStream())) log += text
  })()
  for await (const _ready of daemon.stdout) break
  return { pid: daemon.pid, log: () => log }
}

async function saying(log: () => string, words: RegExp): Promise<void> {
  for (let tries = 0; !words.test(log()); tries++) {
    if (tries > 300) throw new Error(`the daemon did not say ${words}: ${log()}`)
    await Bun.sleep(100)
  }
}

const residentMB = (pid: number) =>
  Number(/^VmRSS:\s*(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024

const [fakeTime] = [...new Bun.Glob('*/faketime/libfaketime.so.1').scanSync({ cwd: '/usr/lib', absolute: true })]
const clockTest = skipUnless(
  obstacle === undefined && fakeTime !== undefined,
  obstacle ?? 'libfaketime is not installed',
)

describe('a daemon stays up and connected', () => {
  // Goal: machines agree on no clock. Method: the compiled binary with clocks an hour before and behind the others', as a
  // daemon and as a command; what it says of a grace shows that it goes by that clock.
  clockTest('with clocks an hour off, and a restore finds them', async () => {
    await using lan = new Lan()
    const [a, late, early] = [FleetHost.withSmallLibrary(lan), FleetHost.on(lan), FleetHost.on(lan)]
    late.setClock(fakeTime ?? '', '-1h')
    early.setClock(fakeTime ?? '', '+1h')
    for (const [host, hours] of [
      [late, -1],
      [early, 1],
    ] as const) {
      await host.report('fleet', 'create', 'other')
      const { oldSecretsUntil } = await host.report('fleet', 'rotate', 'other', '--grace', '12h')
      const offMs = Date.parse(oldSecretsUntil[0]) - Date.now() - 12 * 3_600_000
      expect(Math.round(offMs / 60_000 / 10) * 10).toBe(60 * hours)
    }
    const { invite } = await a.report('fleet', 'create', 'factory')
    for (const host of [late, early]) await host.join({ invite })
    await a.startDaemon()
    await late.startDaemon()
    await a.connectedWith(late.host.address)
    await late.connectedWith(a.host.address)
    expect(await early.restoreSmall(1)).toMatchObject({ ok: true, exitCode: 0 })
    expect(early.differencesFromSmall(1)).toEqual([])
    await early.startDaemon()
    await early.connectedWith(a.host.address, late.host.address)
  })

  hostTest('with an address in its settings that does not resolve, and says so', async () => {
    await using lan = new Lan()
    const [a, b] = [FleetHost.on(lan), FleetHost.on(lan)]
    a.settings({ discovery: { bootstrap: ['no-such-host.invalid:49737', '10.88.0.250:49737'] } })
    const { invite } = await a.report('fleet', 'create', 'factory')
    await b.join({ invite })
    const { log } = await startLogged(a)
    await b.startDaemon()
    await a.connectedWith(b.host.address)
    await saying(log, /address no-such-host\.invalid:49737 is passed over for now/)
  })

  hostTest('on a port that is not its own, which its beacon tells rightly', async () => {
    await using lan = new Lan()
    const [a, b] = [FleetHost.on(lan), FleetHost.on(lan)]
    const taking = `import socket, time; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("0.0.0.0", 49737)); print("up", flush=True); time.sleep(600)`
    const taken = a.host.spawn(['python3', '-c', taking])
    for await (const _up of taken.stdout) break
    const { invite } = await a.report('fleet', 'create', 'factory')
    await b.join({ invite })
    const { log } = await startLogged(a)
    await saying(log, /UDP port 49737 is taken; using 49738/)
    await b.startDaemon()
    await b.connectedWith(a.host.address)
  })

  hostTest('where the system lets no multicast out, by the static address of the other, and says so', async () => {
    await using lan = new Lan()
    const [a, b] = [FleetHost.on(lan), FleetHost.on(lan)]
    for (const { host } of [a, b])
      host.nft('table ip mute {\n chain out { type filter hook output priority 0; udp dport 5353 drop; }\n}')
    b.settings({ discovery: { bootstrap: [`${a.host.address}:49737`] } })
    const { invite } = await a.report('fleet', 'create', 'factory')
    await b.join({ invite })
    const { log } = await startLogged(a)
    await startLogged(b)
    await b.connectedWith(a.host.address)
    await saying(log, /multicast does not work on eth0/)
  })

  // Goal: a stranger who sends 10,000 packets a second of all kinds that our ports understand in part costs no more than
  // processor time. Method: ten seconds of it at every port of A; meanwhile A's socket answers, afterwards A serves.
  hostTest('under a flood of 10,000 packets a second from a stranger, within its memory, and tells of it', async () => {
    await using lan = new Lan()
    const [a, b, stranger] = [FleetHost.withSmallLibrary(lan), FleetHost.on(lan), FleetHost.on(lan)]
    const { invite } = await a.report('fleet', 'create', 'factory')
    await b.join({ invite })
    const { pid, log } = await startLogged(a)
    await b.startDaemon()
    await b.connectedWith(a.host.address)
    const before = residentMB(pid)
    const script = join(import.meta.dir, '../support/flood.py')
    const flooding = stranger.host.run(['python3', script, a.host.address, '10000', '10', '49737', '49738', '5353'])
    let most = before
    const watching = new AbortController()
    const watch = (async () => {
      while (!watching.signal.aborted) {
        most = Math.max(most, residentMB(pid))
        await Bun.sleep(200)
      }
    })()
    const { stdout } = await flooding
    watching.abort()
    await watch
    console.log(`${stdout.trim()} packets; memory ${Math.round(before)} MB before, ${Math.round(most)} MB at most`)
    expect(most).toBeLessThan(300)
    await saying(log, /UDP port \d+ gets \d+ packets a second of no link, most from 10\.88\.0\.3/)
    await b.connectedWith(a.host.address)
    expect(await b.restoreSmall(1)).toMatchObject({ ok: true, exitCode: 0 })
  })
})
