/**
 * The DHT bootstrap nodes that a daemon hosts, so that a fleet needs no server of its own.
 *
 * They store who is where for others, know nothing of blobs, and together with those of the other daemons form one
 * private DHT. A bootstrap that is down delays nothing: nodes serve at once and look for each other in the background.
 */
import HyperDHT from 'hyperdht'
import type { Clock } from '../base/clock.ts'
import { HoloError } from '../base/errors.ts'
import type { HostPort } from '../base/host-port.ts'
import { planBootstrapNodes, type Route } from './bootstrap-plan.ts'
import { watchForFloods } from './flood-watch.ts'
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
    private readonly clock: Clock,
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
  static async start(
    port: number,
    localAddresses: readonly string[],
    clock: Clock,
    onNewNode: () => void,
  ): Promise<BootstrapNodes> {
    const addresses = planBootstrapNodes(localAddresses, [], port).map(({ address }) => address)
    const started = new BootstrapNodes(await freePort(port, addresses), clock, onNewNode)
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
      void watchForFloods(node, this.clock)
      this.#nodes.set(address, node)
      changed = true
    }
    return changed
  }

  /**
   * Join another node from the address that reaches it, if it answers now.
   *
   * @returns whether it answered, or is one of ours
   */
  async join(route: Route): Promise<boolean> {
    const { bootstrap, source } = route
    this.#routes.set(keyOf(bootstrap), route)
    const planned = planBootstrapNodes(this.#localAddresses, [route], this.port)
    const joining = planned.filter(({ bootstraps }) => bootstraps.length > 0)
    if (joining.length === 0) return this.#localAddresses.includes(bootstrap.host) || source === bootstrap.host
    const answers = joining.map(async ({ address }) => {
      const node = this.#nodes.get(address)
      const answer = node === undefined ? 'silent' : await adoptBootstrap(node, bootstrap)
      if (answer === 'adopted') node?.refresh()
      return answer !== 'silent'
    })
    return (await Promise.all(answers)).includes(true)
  }

  /**
   * Send a datagram that says nothing from our node at `ours`, so that a firewall on this machine takes what then comes
   * from there for an answer.
   */
  open(to: HostPort, ours: string): void {
    void this.#nodes.get(ours)?.io.serverSocket?.send(Buffer.from([0]), to.port, to.host)
  }

  async destroy(): Promise<void> {
    await Promise.allSettled([...this.#nodes.values()].map((node) => node.destroy({ force: true })))
  }
}

/**
 * Make `dht` ask `bootstrap` in every look-up from now on if it answers now, and in none if not; never rejects.
 *
 * @returns `adopted` where it was not asked before
 */
export async function adoptBootstrap(dht: HyperDHT, { host, port }: HostPort): Promise<'adopted' | 'known' | 'silent'> {
  const answers = await dht.ping({ host, port }, { retry: false }).then(
    () => !dht.destroyed,
    () => false,
  )
  const index = dht.bootstrapNodes.findIndex((each) => each.host === host && each.port === port)
  if (answers && index < 0) dht.bootstrapNodes.push({ host, port })
  // One that is dead would hold up the end of every look-up.
  if (!answers && index >= 0) dht.bootstrapNodes.splice(index, 1)
  if (!answers) return 'silent'
  return index < 0 ? 'adopted' : 'known'
}

function keyOf({ host, port }: HostPort): string {
  return `${host}:${port}`
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
