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
  /** By the address that each is bound to, the most important first, loopback last. */
  readonly #nodes = new Map<string, HyperDHT>()
  /** By `host:port` of the bootstrap. */
  readonly #routes = new Map<string, Route>()
  #localAddresses: readonly string[] = []

  private constructor(
    readonly port: number,
    private readonly onNewNode: () => void,
  ) {}

  /** The addresses of the nodes, the most important first, loopback last. */
  get addresses(): readonly HostPort[] {
    const planned = planBootstrapNodes(this.#localAddresses, [...this.#routes.values()], this.port)
    return planned
      .filter(({ address }) => this.#nodes.has(address))
      .map(({ address: host }) => ({ host, port: this.port }))
  }

  /**
   * Start the nodes on `port`, or on the next one that is free on all addresses.
   *
   * @param onNewNode called when a node has come to know another one
   * @throws {HoloError} blame `host`, where no port is free
   */
  static async start(port: number, localAddresses: readonly string[], onNewNode: () => void): Promise<BootstrapNodes> {
    const addresses = planBootstrapNodes(localAddresses, [], port).map(({ address }) => address)
    const started = new BootstrapNodes(await freePort(port, addresses), onNewNode)
    await started.follow(localAddresses)
    return started
  }

  /**
   * Serve at the addresses that have come, and no more at those that have gone.
   *
   * @returns whether there was any such; an address where the port is taken is passed over
   */
  async follow(localAddresses: readonly string[]): Promise<boolean> {
    this.#localAddresses = localAddresses
    const wanted = new Set(planBootstrapNodes(localAddresses, [], this.port).map(({ address }) => address))
    let changed = false
    for (const [address, node] of this.#nodes) {
      if (wanted.has(address)) continue
      this.#nodes.delete(address)
      await node.destroy({ force: true }).catch(() => {})
      changed = true
    }
    for (const address of wanted) {
      if (this.#nodes.has(address) || !(await isPortFree(this.port, [address]))) continue
      // Others are told later: one that is down would keep the node from serving until it has timed out.
      const node = HyperDHT.bootstrapper(this.port, address, { host: address, bootstrap: [] })
      await node.fullyBootstrapped()
      node.on('add-node', this.onNewNode)
      this.#nodes.set(address, node)
      changed = true
    }
    return changed
  }

  /** Join this other node too, from the address that reaches it. */
  addRoute(route: Route): void {
    this.#routes.set(`${route.bootstrap.host}:${route.bootstrap.port}`, route)
    this.refresh()
  }

  /** Look again for those that did not answer. */
  refresh(): void {
    for (const { address, bootstraps } of planBootstrapNodes(
      this.#localAddresses,
      [...this.#routes.values()],
      this.port,
    )) {
      const node = this.#nodes.get(address)
      if (node === undefined) continue
      for (const bootstrap of bootstraps) void adoptBootstrap(node, bootstrap).then((fresh) => fresh && node.refresh())
    }
  }

  async destroy(): Promise<void> {
    await Promise.allSettled([...this.#nodes.values()].map((node) => node.destroy({ force: true })))
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
