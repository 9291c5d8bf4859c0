/**
 * Which DHT bootstrap nodes this machine hosts, and whom each of them joins.
 *
 * Pure. The id of a DHT node is a hash of the address that others see it at, so a machine with several addresses needs
 * a node for each, bound to it: seen from another address a node counts as none. A node is told of another only where
 * the system would really send from that node's address: else others would note down an address that they cannot reach
 * (that of a container bridge exists on every machine).
 */
import type { HostPort } from '../base/host-port.ts'

/** Nodes beside the loopback one: more LANs than that have not been seen on one robot. */
const NODES_MAX = 4
const LOOPBACK = '127.0.0.1'

/** A configured bootstrap, and from which of our addresses the system reaches it. */
export interface Route {
  readonly bootstrap: HostPort
  readonly source: string
}

export interface PlannedNode {
  /** IPv4 address to bind. */
  readonly address: string
  readonly bootstraps: readonly HostPort[]
}

/**
 * @param addresses IPv4 addresses of this machine, the most important first
 * @param routes bootstraps by address, not by name
 * @param port that all nodes are to have
 * @returns loopback last: it serves the commands of this machine only
 */
export function planBootstrapNodes(
  addresses: readonly string[],
  routes: readonly Route[],
  port: number,
): readonly PlannedNode[] {
  const isLoopback = (address: string) => address.startsWith('127.')
  const outer = addresses.filter((address) => !isLoopback(address))
  const used = outer.filter((address) => routes.some(({ source }) => source === address))
  const hosts = [...new Set([...used, ...outer])].slice(0, NODES_MAX)
  return [...hosts, LOOPBACK].map((address) => ({
    address,
    bootstraps: routes
      .filter(({ bootstrap, source }) => {
        const ourselves = bootstrap.port === port && (addresses.includes(bootstrap.host) || isLoopback(bootstrap.host))
        const sameSide = address === LOOPBACK ? isLoopback(bootstrap.host) : source === address
        return sameSide && !ourselves
      })
      .map(({ bootstrap }) => bootstrap),
  }))
}
