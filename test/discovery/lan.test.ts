/** Discovery between hosts: network namespaces on a bridge, one process each. */
import { describe, expect } from 'bun:test'
import { join } from 'node:path'
import { PEERS_MAX, PEERS_WANTED } from '../../src/base/limits.ts'
import { type Host, Lan, lanObstacle } from '../support/lan.ts'
import { skipUnless } from '../support/skip.ts'

const SCRIPT = join(import.meta.dir, '..', 'support', 'swarm-member.ts')
const obstacle = lanObstacle()
const lanTest = skipUnless(obstacle === undefined, obstacle ?? '')

const ip = (host: Host, command: string) => {
  const { exitCode, stderr } = Bun.spawnSync(['ip', '-n', host.namespace, ...command.split(' ')])
  if (exitCode !== 0) throw new Error(stderr.toString())
}

/** A started member: its next lines of JSON, one by one. */
function start(host: Host, mode: 'daemon' | 'client', peers: number, ...bootstraps: readonly string[]) {
  const child = host.spawn([process.execPath, SCRIPT, mode, '49737', String(peers), ...bootstraps])
  const lines = (async function* () {
    let rest = ''
    for await (const bytes of child.stdout.pipeThrough(new TextDecoderStream())) {
      const parts = (rest + bytes).split('\n')
      rest = parts.pop() ?? ''
      for (const part of parts) yield JSON.parse(part)
    }
  })()
  return {
    child,
    next: async () => {
      const { value, done } = await lines.next()
      if (done) throw new Error(`ended: ${await new Response(child.stderr).text()}`)
      return value
    },
  }
}

describe('startHyperswarm() between hosts', () => {
  // Goal: daemons that know one address between them form one DHT, whatever else they are attached to.
  // Method: C has a container bridge and a dead bootstrap; clients that know A only, and C only, meet all three.
  lanTest(
    'finds all daemons from any one address',
    async () => {
      await using lan = new Lan()
      const [hostA, hostB, hostC, hostD] = [lan.host(), lan.host(), lan.host(), lan.host()]
      ip(hostC, 'link add docker0 type bridge')
      ip(hostC, 'address add 172.17.0.1/16 dev docker0')
      ip(hostC, 'link set docker0 up')
      const at = (host: Host) => `${host.address}:49737`
      const daemonA = start(hostA, 'daemon', 2)
      expect(await daemonA.next()).toEqual({ up: [hostA.address, '127.0.0.1'] })
      const daemonB = start(hostB, 'daemon', 2, at(hostA))
      const daemonC = start(hostC, 'daemon', 2, '10.88.0.99:49737', at(hostA))
      expect(await daemonC.next()).toEqual({ up: [hostC.address, '172.17.0.1', '127.0.0.1'] })
      await daemonB.next()
      expect(await daemonB.next()).toEqual({ peers: [hostA.address, hostC.address] })
      expect(await daemonC.next()).toEqual({ peers: [hostA.address, hostB.address] })
      const all = [hostA.address, hostB.address, hostC.address]
      for (const bootstraps of [[at(hostA)], [at(hostC)], ['10.88.0.99:49737', at(hostB)]]) {
        const client = start(hostD, 'client', 3, ...bootstraps)
        await client.next()
        expect(await client.next()).toEqual({ peers: all })
        expect(await client.next()).toEqual({ found: '0123456789abcdefv12.linux_amd64' })
        expect(await client.child.exited).toBe(0)
      }
      const beside = start(hostA, 'client', 1, '127.0.0.1:49737')
      await beside.next()
      expect((await beside.next()).peers).toContain(hostA.address)
    },
    { timeout: 20_000 },
  )

  // Goal: a LAN without internet, name server or configuration. Method: three daemons and a client that are told nothing.
  lanTest('finds all daemons by multicast, without any address', async () => {
    await using lan = new Lan()
    const [hostA, hostB, hostC, hostD] = [lan.host(), lan.host(), lan.host(), lan.host()]
    const daemons = [hostA, hostB, hostC].map((host) => start(host, 'daemon', 2, 'multicast'))
    for (const daemon of daemons) await daemon.next()
    expect(await daemons[0]?.next()).toEqual({ peers: [hostB.address, hostC.address] })
    const client = start(hostD, 'client', 3, 'multicast')
    await client.next()
    expect(await client.next()).toEqual({ peers: [hostA.address, hostB.address, hostC.address] })
    expect(await client.next()).toEqual({ found: '0123456789abcdefv12.linux_amd64' })
  })

  lanTest('makes one graph of 50 daemons on one LAN', async () => {
    await using lan = new Lan()
    const { stdout, stderr } = await lan
      .host()
      .run([process.execPath, join(import.meta.dir, '../support/crowd.ts'), '50'])
    if (stdout === '') throw new Error(stderr)
    console.log(`50 daemons in one process: ${stdout.trim()}`)
    expect(JSON.parse(stdout).least).toBeGreaterThanOrEqual(PEERS_WANTED)
    expect(JSON.parse(stdout).most).toBeLessThanOrEqual(PEERS_MAX)
  })

  // Goal: what opens the way through our firewall is sent to members alone. Method: a question of a stranger, then one of a
  // member; when the member has its byte the stranger has none.
  lanTest('sends a byte to a member that asks, and none to a stranger', async () => {
    await using lan = new Lan()
    const [hostA, hostB] = [lan.host(), lan.host()]
    const daemon = start(hostA, 'daemon', 1, 'multicast')
    await daemon.next()
    const asker = [process.execPath, join(import.meta.dir, '../support/asker.ts'), hostB.address]
    expect(JSON.parse((await hostB.run(asker)).stdout)).toEqual([[], ['00']])
  })

  // Goal: in a fleet of more machines than anybody has connections, an environment that one alone holds is found. Method:
  // 72 daemons with one of their own each, and a command that looks for all 72.
  lanTest('finds every environment of 72 daemons that hold one each', async () => {
    await using lan = new Lan()
    const { stdout, stderr } = await lan
      .host()
      .run([process.execPath, join(import.meta.dir, '../support/rare-crowd.ts'), '72'])
    if (stdout === '') throw new Error(stderr)
    console.log(`72 daemons with an environment each: ${stdout.trim()}`)
    expect(JSON.parse(stdout)).toMatchObject({ missed: 0 })
    expect(JSON.parse(stdout).mostPeers).toBeLessThanOrEqual(PEERS_MAX)
    expect(JSON.parse(stdout).most).toBeLessThanOrEqual(PEERS_MAX)
  })

  lanTest('finds peers whose clock is an hour off', async () => {
    await using lan = new Lan()
    const [hostA, hostB] = [lan.host(), lan.host()]
    const daemon = start(hostA, 'daemon', 1, 'multicast')
    await daemon.next()
    const late = hostB.spawn([process.execPath, SCRIPT, 'client', '49737', '1', 'multicast'], {
      env: { CLOCK_WRONG_MS: '-3600000' },
    })
    expect(await new Response(late.stdout).text()).toContain('"found":"0123456789abcdefv12.linux_amd64"')
  })

  // Goal: announcements of the dead, which the DHT keeps for twenty minutes, cost who looks next to nothing. Method: a
  // crowd of 20, all connected with A, is killed at once and its host swallows packets; a client looks before and after.
  lanTest('finds the living among the announcements of many dead', async () => {
    await using lan = new Lan()
    const [hostA, crowded, hostC] = [lan.host(), lan.host(), lan.host()]
    const daemon = start(hostA, 'daemon', 20, 'multicast')
    await daemon.next()
    const lookMs = async () => {
      const times: number[] = []
      for (let round = 0; round < 3; round++) {
        const startedMs = performance.now()
        const client = start(hostC, 'client', 1, `${hostA.address}:49737`)
        await client.next()
        await client.next()
        expect(await client.next()).toEqual({ found: '0123456789abcdefv12.linux_amd64' })
        times.push(performance.now() - startedMs)
        await client.child.exited
      }
      return times.sort((left, right) => left - right)[1] ?? Number.NaN
    }
    const beforeMs = await lookMs()
    const crowd = crowded.spawn([process.execPath, join(import.meta.dir, '../support/crowd.ts'), '20', 'stay'])
    await daemon.next()
    crowd.kill('SIGKILL')
    crowded.nft('table inet hole {\n chain in { type filter hook input priority 0; policy drop; }\n}')
    const afterMs = await lookMs()
    console.log(`looked ${Math.round(beforeMs)} ms before, ${Math.round(afterMs)} ms among 20 dead`)
    expect(afterMs - beforeMs).toBeLessThan(1_000)
  })

  // Goal: port 5353 is shared. Method: another responder (the part of avahi that matters: it binds the port and answers)
  // runs on both hosts before and after ours, and both kinds of query are answered.
  lanTest('lives beside another multicast DNS responder', async () => {
    await using lan = new Lan()
    const [hostA, hostB] = [lan.host(), lan.host()]
    for (const host of [hostA, hostB]) {
      const other = host.spawn([
        process.execPath,
        join(import.meta.dir, '..', 'support', 'other-responder.ts'),
        host.address,
      ])
      for await (const _ready of other.stdout) break
    }
    const daemon = start(hostA, 'daemon', 1, 'multicast')
    await daemon.next()
    const client = start(hostB, 'client', 1, 'multicast')
    await client.next()
    expect(await client.next()).toEqual({ peers: [hostA.address] })
    const asking = [
      process.execPath,
      join(import.meta.dir, '..', 'support', 'other-responder.ts'),
      hostB.address,
      'ask',
    ]
    const { stdout } = await hostB.run(asking)
    expect(JSON.parse(stdout)).toEqual([`host-${hostA.address}.local`, `host-${hostB.address}.local`].sort())
  })

  lanTest(
    'is found at an address that came after the start',
    async () => {
      await using lan = new Lan()
      const [late, other] = [lan.host(), lan.host()]
      ip(late, `address del ${late.address}/24 dev eth0`)
      const daemon = start(late, 'daemon', 1)
      expect(await daemon.next()).toEqual({ up: ['127.0.0.1'] })
      ip(late, `address add ${late.address}/24 dev eth0`)
      const client = start(other, 'client', 1, `${late.address}:49737`)
      await client.next()
      expect(await client.next()).toEqual({ peers: [late.address] })
    },
    { timeout: 20_000 },
  )
})
