/**
 * How machines of a fleet find each other where networks are not kind: the compiled daemons, each on a host of its own.
 * Unless a test says otherwise nobody is told any address.
 */
import { describe, expect } from 'bun:test'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { FleetHost, hostObstacle } from '../support/fleet-hosts.ts'
import { Lan } from '../support/lan.ts'
import { skipUnless } from '../support/skip.ts'

const obstacle = hostObstacle()
const hostTest = skipUnless(obstacle === undefined, obstacle ?? '')

/** No multicast in either direction. */
const NO_MULTICAST = `table inet deaf {
  chain in { type filter hook input priority 0; udp dport 5353 drop; }
  chain out { type filter hook output priority 0; udp dport 5353 drop; }
}`
/** What a container engine sets up for its bridge. */
const MASQUERADE = `table ip nat {
  chain post { type nat hook postrouting priority 100; oifname "eth0" ip saddr 172.17.0.0/16 masquerade; }
}`
/** The router of a site: it masquerades, and lets in what answers. */
const NAT = `table ip nat {
  chain post { type nat hook postrouting priority 100; oifname "eth1" masquerade; }
}
table inet wall {
  chain forward { type filter hook forward priority 0; policy drop; iifname "eth0" accept; ct state established,related accept; }
  chain in { type filter hook input priority 0; iifname "eth1" ct state new drop; }
}`
const BLACK_HOLE = `table inet hole {
  chain in { type filter hook input priority 0; policy drop; }
  chain out { type filter hook output priority 0; policy drop; }
}`
/** What a host's firewall does as a rule: answers come in, and multicast DNS. */
const FIREWALL = `table inet firewall {
  chain in { type filter hook input priority 0; policy drop;
    iifname "lo" accept; meta l4proto ipv6-icmp accept; ct state established,related accept; udp dport 5353 accept; }
}`

/** Make the fleet on `first`, let the others join by its invite alone, and start all daemons. */
async function fleetOf(first: FleetHost, ...others: readonly FleetHost[]): Promise<string> {
  const { invite } = await first.report('fleet', 'create', 'factory')
  for (const other of others) await other.join({ invite })
  for (const host of [first, ...others]) await host.startDaemon()
  return invite
}

describe('daemons end connected', () => {
  hostTest('on a LAN, told nothing; and a restore without a daemon finds them', async () => {
    await using lan = new Lan()
    const [a, b, c] = [FleetHost.withSmallLibrary(lan), FleetHost.on(lan), FleetHost.on(lan)]
    const invite = await fleetOf(a, b)
    await a.connectedWith(b.host.address)
    await b.connectedWith(a.host.address)
    const { peers } = await b.report('peers')
    const fingerprint = expect.stringMatching(/^\w{4}-\w{4}-\w{4}$/)
    expect(peers).toEqual([expect.objectContaining({ fingerprint, role: 'daemon', catalogs: 4 })])
    await c.join({ invite })
    expect((await c.report('peers')).error).toMatchObject({ code: 'daemon-absent', blame: 'host' })
    expect(await c.restoreSmall(1)).toMatchObject({ ok: true, exitCode: 0 })
  })

  hostTest('where no multicast passes, by one static address of settings.yaml', async () => {
    await using lan = new Lan()
    const [a, b, c] = [FleetHost.withSmallLibrary(lan), FleetHost.on(lan), FleetHost.on(lan)]
    for (const { host } of [a, b, c]) host.nft(NO_MULTICAST)
    for (const host of [b, c]) host.settings({ discovery: { bootstrap: [`${a.host.address}:49737`] } })
    await fleetOf(a, b, c)
    await a.connectedWith(b.host.address, c.host.address)
    await b.connectedWith(a.host.address, c.host.address)
  })

  hostTest('across two interfaces', async () => {
    await using left = new Lan(88)
    await using right = new Lan(89)
    const [a, middle, b] = [FleetHost.on(left), FleetHost.on(left), FleetHost.on(right)]
    right.attach(middle.host)
    await fleetOf(middle, a, b)
    await middle.connectedWith(a.host.address, b.host.address)
  })

  hostTest('from behind the bridge of a container, which multicast does not cross', async () => {
    await using lan = new Lan()
    const [a, outer, inner] = [FleetHost.withSmallLibrary(lan), FleetHost.on(lan), FleetHost.on(lan)]
    // The container of `outer`: off the LAN, on a bridge of its own that is masqueraded.
    inner.host.ip('link del eth0')
    outer.host.ip('link add docker0 type bridge')
    outer.host.ip('address add 172.17.0.1/16 dev docker0')
    outer.host.ip('link set docker0 up')
    outer.host.ip(`link add veth0 type veth peer name eth0 netns ${inner.host.namespace}`)
    outer.host.ip('link set veth0 master docker0 up')
    inner.host.ip('address add 172.17.0.2/16 dev eth0')
    inner.host.ip('link set eth0 up')
    inner.host.ip('route add default via 172.17.0.1')
    await outer.host.run(['sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward'])
    outer.host.nft(MASQUERADE)
    inner.settings({ discovery: { bootstrap: [`${a.host.address}:49737`] } })
    await fleetOf(a, outer, inner)
    await inner.connectedWith(a.host.address, '172.17.0.1')
    // Seen from the LAN the container has the address of its host.
    await a.connectedWith(outer.host.address, outer.host.address)
    expect(await inner.restoreSmall(1)).toMatchObject({ ok: true, exitCode: 0 })
  })

  hostTest('with a host firewall that drops unsolicited packets, whichever side has it', async () => {
    for (const walled of ['daemon', 'client'] as const) {
      await using lan = new Lan()
      const [a, b] = [FleetHost.withSmallLibrary(lan), FleetHost.on(lan)]
      ;(walled === 'daemon' ? a : b).host.nft(FIREWALL)
      await fleetOf(a, b)
      const ms = await b.connectedWith(a.host.address)
      console.log(`connected through the firewall of the ${walled} after ${Math.round(ms)} ms`)
      expect(await b.restoreSmall(1)).toMatchObject({ ok: true, exitCode: 0 })
    }
  })

  // Goal: the only daemon of a fleet is found by a command that has no daemon, though nothing gets in that its host has
  // not asked for. Method: with IPv4, with IPv6 alone, and with such a firewall on both hosts.
  for (const [what, ipv6, walls] of [
    ['IPv4', undefined, 1],
    ['IPv6', 'only', 1],
    ['IPv4, both walled', undefined, 2],
  ] as const)
    hostTest(`a restore without a daemon gets through the firewall of the only one: ${what}`, async () => {
      await using lan = new Lan()
      const options = ipv6 === undefined ? {} : { ipv6 }
      const [a, c] = [FleetHost.withSmallLibrary(lan, options), FleetHost.on(lan, options)]
      for (const { host } of [a, c].slice(0, walls)) host.nft(FIREWALL)
      const invite = await fleetOf(a)
      await c.join({ invite })
      const restored = await c.restoreSmall(1)
      expect(restored).toMatchObject({ ok: true, exitCode: 0 })
      console.log(`found through the firewall in ${restored.ms.find} ms`)
    })

  hostTest('on a LAN of IPv6 alone, by multicast; and a restore without a daemon finds them', async () => {
    await using lan = new Lan()
    const only = { ipv6: 'only' } as const
    const [a, b, c] = [FleetHost.withSmallLibrary(lan, only), FleetHost.on(lan, only), FleetHost.on(lan, only)]
    const invite = await fleetOf(a, b)
    await b.connectedWith(`[${a.host.address}]`)
    await a.connectedWith(`[${b.host.address}]`)
    expect(await b.restoreSmall(1)).toMatchObject({ ok: true, exitCode: 0 })
    await c.join({ invite })
    expect(await c.restoreSmall(2)).toMatchObject({ ok: true, exitCode: 0 })
    expect(c.differencesFromSmall(2)).toEqual([])
  })

  hostTest('over IPv6 by one static address, where no multicast passes', async () => {
    await using lan = new Lan()
    const only = { ipv6: 'only' } as const
    const [a, b] = [FleetHost.withSmallLibrary(lan, only), FleetHost.on(lan, only)]
    for (const { host } of [a, b]) host.nft(NO_MULTICAST)
    b.settings({ discovery: { bootstrap: [`[${a.host.address}]:49737`] } })
    await fleetOf(a, b)
    await b.connectedWith(`[${a.host.address}]`)
    expect(await b.restoreSmall(1)).toMatchObject({ ok: true, exitCode: 0 })
  })

  // Goal: with both protocols two machines have one link, with IPv6 alone they have one all the same.
  hostTest('with hosts of one protocol and of both, one link each', async () => {
    await using lan = new Lan()
    const [both, too, six] = [FleetHost.on(lan), FleetHost.on(lan), FleetHost.on(lan, { ipv6: 'only' })]
    both.host.ip('address add fd00:88::b/64 dev eth0 nodad')
    too.host.ip('address add fd00:88::c/64 dev eth0 nodad')
    await fleetOf(both, too, six)
    await six.connectedWith('[fd00:88::b]', '[fd00:88::c]')
    await both.connectedWith(too.host.address, `[${six.host.address}]`)
    await too.connectedWith(both.host.address, `[${six.host.address}]`)
  })

  // Goal: two sites, joined over the internet by the public DHT, each behind a NAT of its own. Method: routers that
  // masquerade and let in answers only; outside are six DHT nodes, whose addresses stand in settings.yaml, since those of
  // the real public DHT do not answer here.
  hostTest('from behind two NATs, by the public DHT and hole punching', async () => {
    await using outside = new Lan(90)
    await using left = new Lan(91)
    await using right = new Lan(92)
    const world = outside.host()
    const nodes = Array.from({ length: 6 }, (_, index) => `10.90.0.${101 + index}`)
    for (const address of nodes) world.ip(`address add ${address}/24 dev eth0`)
    const dht = world.spawn([process.execPath, join(import.meta.dir, '../support/dht-nodes.ts'), ...nodes])
    for await (const _ready of dht.stdout) break
    const [a, b] = [FleetHost.withSmallLibrary(left), FleetHost.on(right)]
    for (const [site, host] of [
      [left, a],
      [right, b],
    ] as const) {
      const router = site.host()
      outside.attach(router, site === left ? 201 : 202)
      await router.run(['sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward'])
      router.nft(NAT)
      host.host.ip(`route add default via ${router.address}`)
      host.settings({ discovery: { dht: 'public', bootstrap: nodes.map((address) => `${address}:49737`) } })
    }
    await fleetOf(a, b)
    const ms = await b.connectedWith('10.90.0.201')
    console.log(`connected through both NATs after ${Math.round(ms)} ms`)
    await a.connectedWith('10.90.0.202')
    expect(await b.restoreSmall(1)).toMatchObject({ ok: true, exitCode: 0 })
  })

  hostTest('after a host has changed its address', async () => {
    await using lan = new Lan()
    const [a, b] = [FleetHost.on(lan), FleetHost.on(lan)]
    await fleetOf(a, b)
    await a.connectedWith(b.host.address)
    b.host.ip(`address del ${b.host.address}/24 dev eth0`)
    b.host.ip('address add 10.88.0.77/24 dev eth0')
    console.log(`connected from the new address after ${Math.round(await a.connectedWith('10.88.0.77'))} ms`)
  })

  hostTest('after a daemon was restarted, with the same key', async () => {
    await using lan = new Lan()
    const [a, b] = [FleetHost.on(lan), FleetHost.on(lan)]
    const invite = await fleetOf(a)
    await b.join({ invite })
    const first = await b.startDaemon()
    await a.connectedWith(b.host.address)
    const before = (await a.report('peers')).peers[0].key
    first.process.kill('SIGKILL')
    await first.process.exited
    await b.startDaemon()
    console.log(`connected again after ${Math.round(await b.connectedWith(a.host.address))} ms`)
    await a.connectedWith(b.host.address)
    expect((await a.report('peers')).peers[0].key).toBe(before)
  })

  // Goal: a machine that sleeps is a machine again when it wakes. CI's sleep is long enough for the others to notice.
  hostTest('after a host has slept', async () => {
    await using lan = new Lan()
    const [a, b, c] = [FleetHost.on(lan), FleetHost.on(lan), FleetHost.on(lan)]
    const invite = await fleetOf(a, b)
    await c.join({ invite })
    const sleeper = await c.startDaemon()
    await a.connectedWith(b.host.address, c.host.address)
    sleeper.process.kill('SIGSTOP')
    await Bun.sleep(Number(process.env.FUZZ_RUNS ?? 1) > 1 ? 60_000 : 15_000)
    sleeper.process.kill('SIGCONT')
    console.log(`connected after ${Math.round(await c.connectedWith(a.host.address, b.host.address))} ms awake`)
    await a.connectedWith(b.host.address, c.host.address)
  })
})

describe('a machine that has become a black hole', () => {
  // Goal: whoever swallows packets delays a restore by no more than a second in all. Method: D was a member like the
  // others, so it stands in all tables and announcements, and in the settings of C; then it drops every packet. The same
  // restore is timed before and after, in pairs of a fresh library, with a daemon of C's own and without.
  hostTest('costs a restore no more than a second in all', async () => {
    await using lan = new Lan()
    const [a, c, d] = [FleetHost.withSmallLibrary(lan), FleetHost.on(lan), FleetHost.withSmallLibrary(lan)]
    c.settings({ discovery: { bootstrap: [`${d.host.address}:49737`] } })
    const invite = await fleetOf(a, d)
    await c.join({ invite })
    await a.connectedWith(d.host.address)
    const restoreMs = async () => {
      const times: number[] = []
      for (let round = 0; round < 3; round++) {
        fs.rmSync(join(c.host.home, 'hololib'), { recursive: true, force: true })
        const startedMs = performance.now()
        expect(await c.restoreSmall(1)).toMatchObject({ ok: true, exitCode: 0 })
        times.push(performance.now() - startedMs)
      }
      return times.sort((left, right) => left - right)[1] ?? Number.NaN
    }
    const beforeMs = await restoreMs()
    d.host.nft(BLACK_HOLE)
    const alone = await restoreMs()
    await c.startDaemon()
    const withDaemon = await restoreMs()
    const shown = [beforeMs, alone, withDaemon].map((ms) => `${Math.round(ms)} ms`)
    console.log(`restore before ${shown[0]}, beside a black hole ${shown[1]}, with a daemon ${shown[2]}`)
    expect(alone - beforeMs).toBeLessThan(1_000)
    expect(withDaemon - beforeMs).toBeLessThan(1_000)
  })
})

describe('identity', () => {
  hostTest('a banned machine is refused, by the fingerprint that peers shows', async () => {
    await using lan = new Lan()
    const [a, b] = [FleetHost.withSmallLibrary(lan), FleetHost.on(lan)]
    const invite = await fleetOf(a, b)
    await a.connectedWith(b.host.address)
    const { peers } = await a.report('peers')
    const [careful, witness] = [FleetHost.on(lan), FleetHost.on(lan)]
    careful.settings({ peers: { ban: [peers[0].fingerprint] } })
    for (const host of [careful, witness]) {
      await host.join({ invite })
      await host.startDaemon()
    }
    // Who came last meets all of them: the two that do not meet have had their time.
    await witness.connectedWith(a.host.address, b.host.address, careful.host.address)
    await a.connectedWith(b.host.address, careful.host.address, witness.host.address)
    expect(await b.peers()).toEqual([a.host.address, witness.host.address])
    expect(await careful.peers()).toEqual([a.host.address, witness.host.address])
  })

  // Goal: lists of settings.yaml count for callers, too, and for commands, which call under keys of their own; and a
  // running daemon takes them up. Method: A allows B alone; commands without a daemon come from B and from C.
  for (const ipv6 of [undefined, 'only'] as const)
    hostTest(
      `a list of settings.yaml counts at once, for callers too: ${ipv6 === undefined ? 'IPv4' : 'IPv6'}`,
      async () => {
        await using lan = new Lan()
        const options = ipv6 === undefined ? {} : { ipv6 }
        const [a, b, c] = [
          FleetHost.withSmallLibrary(lan, options),
          FleetHost.on(lan, options),
          FleetHost.on(lan, options),
        ]
        const at = ({ host }: FleetHost) => (ipv6 === undefined ? host.address : `[${host.address}]`)
        await fleetOf(a, b, c)
        await a.connectedWith(at(b), at(c))
        const { peers } = await a.report('peers')
        const ofB = peers.find(({ address }: { address: string }) => address.startsWith(at(b)))
        a.settings({ peers: { allow: [ofB.fingerprint] } })
        await a.connectedWith(at(b))
        // The daemons of B and C end: what then calls are commands.
        for (const host of [b, c]) await host.stopDaemon()
        await a.connectedWith()
        expect(await c.restoreSmall(1)).toMatchObject({ ok: false, exitCode: 3, error: { code: 'no-peer' } })
        expect(await b.restoreSmall(1)).toMatchObject({ ok: true, exitCode: 0 })
        a.settings({ peers: { ban: [ofB.fingerprint] } })
        await c.startDaemon()
        await a.connectedWith(at(c))
        // B reaches C, which has nothing.
        expect(await b.restoreSmall(2)).toMatchObject({
          ok: false,
          exitCode: 3,
          error: { code: 'environment-nowhere' },
        })
      },
    )

  hostTest('rotate keeps both secrets for the grace, then parts with those who have the old one alone', async () => {
    await using lan = new Lan()
    const [a, b, late] = [FleetHost.withSmallLibrary(lan), FleetHost.on(lan), FleetHost.on(lan)]
    await fleetOf(a, b, late)
    await a.connectedWith(b.host.address, late.host.address)
    const rotated = await a.report('fleet', 'rotate', '--grace', '8s')
    expect(rotated).toMatchObject({ exitCode: 0, fleet: 'factory', daemonReloaded: true })
    await a.connectedWith(b.host.address, late.host.address)
    expect(await b.join(rotated)).toMatchObject({ exitCode: 0, fleet: 'factory' })
    await a.connectedWith(b.host.address)
    await late.connectedWith()
    expect(await b.peers()).toEqual([a.host.address])
    expect((await a.report('fleet', 'show')).fleets[0].oldSecretsUntil).toEqual([])
  })
})
