/** Packet sizes over real links in network namespaces: small ones, and ones that swallow large packets without a word. */
import { expect } from 'bun:test'
import { type Host, Lan, lanObstacle } from '../support/lan.ts'
import { skipUnless } from '../support/skip.ts'
import { Peer, type PeerReport } from './support/peer.ts'

const obstacle = lanObstacle()
const test = skipUnless(obstacle === undefined, obstacle ?? '')
const BYTES = 3_000_000

function inside(host: Host, ...command: string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(['ip', 'netns', 'exec', host.namespace, ...command])
  if (exitCode !== 0) throw new Error(`${command.join(' ')}: ${stderr.toString().trim()}`)
  return stdout.toString()
}

/** Packets that the host has had to cut up. */
function fragments(host: Host): number {
  const [names = '', values = ''] = inside(host, 'cat', '/proc/net/snmp')
    .split('\n')
    .filter((line) => line.startsWith('Ip:'))
  return Number(values.split(' ')[names.split(' ').indexOf('FragCreates')])
}

/** Send `bytes` from `left` to `right`. @param midway called once some of it is under way */
async function send(left: Host, right: Host, bytes = BYTES, midway = () => {}): Promise<[PeerReport, PeerReport]> {
  const at = (host: Host) => ['ip', 'netns', 'exec', host.namespace, process.execPath]
  const active = new Peer(at(left), {
    ...{ id: 1, remoteId: 2, role: 'active', listen: left.address, host: right.address, bytes },
  })
  const passive = new Peer(at(right), {
    ...{ id: 2, remoteId: 1, role: 'passive', listen: right.address, expect: bytes },
  })
  const ports = [await active.port(), await passive.port()] as const
  passive.meet(ports[0])
  active.meet(ports[1])
  while (Number(inside(left, 'cat', '/sys/class/net/eth0/statistics/tx_bytes')) < bytes / 10) await Bun.sleep(1)
  midway()
  return [await active.report(), await passive.report()]
}

for (const [name, senderMtu, receiverMtu, path] of [
  ['an Ethernet', 1500, 1500, 1500],
  ['a small link of our own', 1300, 1300, 1300],
  ['a small link further on, which drops what is larger', 1500, 1300, 1300],
  ['a link that takes jumbo frames', 9000, 9000, 1500],
] as const) {
  test(`a stream finds the packet size of ${name}, and nothing is cut up`, async () => {
    await using lan = new Lan()
    const [left, right] = [lan.host(), lan.host()]
    inside(left, 'ip', 'link', 'set', 'eth0', 'mtu', String(senderMtu))
    inside(right, 'ip', 'link', 'set', 'eth0', 'mtu', String(receiverMtu))
    const [sent, received] = await send(left, right)
    expect([received.received, received.ended, received.error, sent.error]).toEqual([BYTES, true, null, null])
    expect(sent.mtu).toBeLessThanOrEqual(path)
    expect(sent.mtu).toBeGreaterThan(path - 16)
    expect(fragments(left)).toBe(0)
  })
}

// Goal: a tunnel that comes up, or any link that gets smaller, costs a stream two timeouts and not its life.
test('a stream goes on when its link becomes smaller under it', async () => {
  await using lan = new Lan()
  const [left, right] = [lan.host(), lan.host()]
  const bytes = 100_000_000
  const [sent, received] = await send(left, right, bytes, () => {
    inside(left, 'ip', 'link', 'set', 'eth0', 'mtu', '1300')
  })
  expect([received.received, received.ended, received.error, sent.error]).toEqual([bytes, true, null, null])
  expect(sent.mtu).toBeLessThanOrEqual(1300)
})
