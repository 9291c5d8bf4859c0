/**
 * The DHT bootstrap nodes that a daemon hosts, so that a fleet needs no server of its own.
 *
 * They store who is where for others, know nothing of blobs, and together with those of the other daemons form one
 * private DHT. A bootstrap that is down delays nothing: nodes serve at once and look for each other in the background.
 */
import HyperDHT from 'hyperdht'
import { HoloError } from '../base/errors.ts'
import type { HostPort } from '../base/host-port.ts'
import { planBootstrapNodes, type Route } from './bootstrap-plan.ts'
import { isPortFree } from './network.ts'

/** Ports tried after a taken one. */
const PORTS_TRIED = 32

export class BootstrapNodes {
  private constructor(
    readonly port: number,
    private readonly nodes: ReadonlyMap<string, HyperDHT>,
    private readonly localAddresses: readonly string[],
  ) {}

  readonly #routes: Route[] = []

  /** The addresses of the nodes, the most important first, loopback last. */
  get addresses(): readonly HostPort[] {
    return [...this.nodes.keys()].map((host) => ({ host, port: this.port }))
  }

  /**
   * Start the nodes on `port`, or on the next one that is free on all addresses.
   *
   * @param onNewNode called when a node has come to know another one
   * @throws {HoloError} blame `host`, where no port is free
   */
  static async start(port: number, localAddresses: readonly string[], onNewNode: () => void): Promise<BootstrapNodes> {
    const addresses = planBootstrapNodes(localAddresses, [], port).map(({ address }) => address)
    const free = await freePort(port, addresses)
    const nodes = new Map<string, HyperDHT>()
    for (const address of addresses) {
      // Others are told later: one that is down would keep the node from serving until it has timed out.
      const node = HyperDHT.bootstrapper(free, address, { host: address, bootstrap: [] })
      await node.fullyBootstrapped()
      node.on('add-node', onNewNode)
      nodes.set(address, node)
    }
    return new BootstrapNodes(free, nodes, localAddresses)
  }

  /** Join these other nodes too, each from the address that reaches it. */
  addRoutes(routes: readonly Route[]): void {
    this.#routes.push(...routes)
    this.refresh()
  }

  /** Look again for those that did not answer. */
  refresh(): void {
    for (const { address, bootstraps } of planBootstrapNodes(this.localAddresses, this.#routes, this.port)) {
      const node = this.nodes.get(address)
      if (node === undefined) continue
      for (const bootstrap of bootstraps) void adoptBootstrap(node, bootstrap).then((fresh) => fresh && node.refresh())
    }
  }

  async destroy(): Promise<void> {
    await Promise.allSettled([...this.nodes.values()].map((node) => node.destroy({ force: true })))
  }
}

/**
 * Make `dht` ask `bootstrap` in every look-up from now on, if it answers now.
 *
 * @returns whether it was not known before; never rejects
 */
export async function adoptBootstrap(dht: HyperDHT, { host, port }: HostPort): Promise<boolean> {
  const isKnown = () => dht.bootstrapNodes.some((each) => each.host === host && each.port === port)
  if (isKnown()) return false
  try {
    await dht.ping({ host, port }, { retry: false })
  } catch {
    return false
  }
  if (isKnown() || dht.destroyed) return false
  dht.bootstrapNodes.push({ host, port })
  return true
}

async function freePort(wanted: number, addresses: readonly string[]): Promise<number> {
  for (let port = wanted; port < wanted + PORTS_TRIED && port <= 65535; port++) {
    if (await isPortFree(port, addresses)) return port
  }
  throw new HoloError(`No UDP port is free from ${wanted} to ${wanted + PORTS_TRIED - 1}`, {
    code: 'port-taken',
    blame: 'host',
    hint: 'choose another one with --port',
  })
}
