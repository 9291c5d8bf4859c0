/**
 * The paths that bench/udx.ts measures on: where the two ends run, and what lies between them.
 *
 * Loopback; two network namespaces on a bridge, clean or with nftables dropping one packet in a hundred on its way into
 * either; and loopback through bench/udx-relay.ts, 20 ms of round trip with 2 ms of jitter and one percent of loss.
 */
import { type Host, Lan, lanObstacle } from '../test/support/lan.ts'
import { type RelayOptions, startRelay } from './udx-relay.ts'

export interface End {
  /** What goes before the runtime's own command. */
  readonly prefix: readonly string[]
  /** The address that it binds to. */
  readonly address: string
}

export interface UdxPath extends AsyncDisposable {
  readonly name: string
  readonly ends: readonly [End, End]
  /** Put what lies between the two bound ports in place. @returns the ports that each end is to send to */
  between(left: number, right: number, seed: number): Promise<{ left: number; right: number; done(): Promise<string> }>
}

const LOOPBACK: End = { prefix: [], address: '127.0.0.1' }
const nothing = { async [Symbol.asyncDispose]() {} }

async function direct(left: number, right: number) {
  return { left: right, right: left, done: async () => '' }
}

export function loopback(): UdxPath {
  return { name: 'loopback', ends: [LOOPBACK, LOOPBACK], between: direct, ...nothing }
}

/** Two namespaces on a bridge, or undefined where this machine has none. */
export function lan(lossPercent: number): UdxPath | undefined {
  const obstacle = lanObstacle() ?? (lossPercent > 0 && Bun.which('nft') === null ? 'nft is not installed' : undefined)
  if (obstacle !== undefined) {
    console.log(`No LAN here: ${obstacle}.`)
    return undefined
  }
  const network = new Lan()
  const hosts = [network.host(), network.host()] as const
  if (lossPercent > 0) for (const host of hosts) dropSome(host, lossPercent)
  const end = ({ namespace, address }: Host): End => ({ prefix: ['ip', 'netns', 'exec', namespace], address })
  return {
    name: lossPercent > 0 ? `LAN, ${lossPercent} % lost` : 'LAN',
    ends: [end(hosts[0]), end(hosts[1])],
    between: direct,
    [Symbol.asyncDispose]: () => network[Symbol.asyncDispose](),
  }
}

/** Loopback through the relay. */
export function relayed(options: Omit<RelayOptions, 'left' | 'right' | 'seed'>): UdxPath {
  const { roundTripMs, jitterMs, loss } = options
  return {
    name: `${roundTripMs} ms ± ${jitterMs}, ${loss * 100} % lost`,
    ends: [LOOPBACK, LOOPBACK],
    async between(left, right, seed) {
      const relay = await startRelay({ ...options, left, right, seed })
      return { left: relay.left, right: relay.right, done: relay.done }
    },
    ...nothing,
  }
}

/** Drop single packets, as a wire does: runs are cut up before they leave, or nftables would drop them as a whole. */
function dropSome(host: Host, percent: number): void {
  const whole = ['ip', '-n', host.namespace, 'link', 'set', 'dev', 'eth0', 'gso_max_segs', '1']
  if (Bun.spawnSync(whole).exitCode !== 0) throw new Error('ip link: gso_max_segs is not supported')
  const script = `table inet loss {
    chain arriving {
      type filter hook input priority 0;
      meta l4proto udp numgen random mod 100 < ${percent} drop
    }
  }`
  const { exitCode, stderr } = Bun.spawnSync(['ip', 'netns', 'exec', host.namespace, 'nft', '-f', '-'], {
    stdin: Buffer.from(script),
  })
  if (exitCode !== 0) throw new Error(`nft: ${stderr.toString().trim()}`)
}
