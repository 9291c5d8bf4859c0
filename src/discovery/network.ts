/**
 * What the system knows of its networks: our addresses, names of others, and from which address we reach them.
 */
import { lookup } from 'node:dns/promises'
import { isIP, isIPv4 } from 'node:net'
import { networkInterfaces } from 'node:os'
import { deadline } from '../base/clock.ts'
import { messageOf } from '../base/errors.ts'
import type { HostPort } from '../base/host-port.ts'
import type { Route } from './bootstrap-plan.ts'

/** A name server that takes longer is taken for dead. */
const RESOLVE_MS = 2_000
/** Interfaces of containers and virtual machines: reachable from this machine only, as a rule. */
const VIRTUAL = /^(docker|br-|virbr|lxc|lxd|cni|flannel|vboxnet|vmnet|podman)/

/** IPv4 addresses of this machine, those of real interfaces first, loopback left out. */
export function localAddresses(): readonly string[] {
  const found = Object.entries(networkInterfaces()).flatMap(([name, entries]) =>
    (entries ?? [])
      .filter(({ family, internal }) => family === 'IPv4' && !internal)
      .map(({ address }) => ({ address, virtual: VIRTUAL.test(name) })),
  )
  const real = found.filter(({ virtual }) => !virtual)
  return [...real, ...found.filter(({ virtual }) => virtual)].map(({ address }) => address)
}

/** IPv6 addresses of this machine that mean something to others: neither loopback nor link-local. */
export function localAddresses6(): readonly string[] {
  return multicastInterfaces()
    .filter(({ family }) => family === 6)
    .map(({ address }) => address)
}

/** An interface as multicast DNS needs it. */
export interface MulticastInterface {
  readonly name: string
  readonly family: 4 | 6
  /** Ours on this interface: the one that others are to use. */
  readonly address: string
  readonly netmask: string
}

/**
 * Interfaces to multicast on, those of real networks first: one entry for IPv4, and one for IPv6 where the interface has
 * an address beyond the link-local one that every interface has.
 */
export function multicastInterfaces(): readonly MulticastInterface[] {
  const found = Object.entries(networkInterfaces()).flatMap(([name, entries]) => {
    const outer = (entries ?? []).filter(({ internal }) => !internal)
    const four = outer.find(({ family }) => family === 'IPv4')
    const six = outer.find(({ family, address }) => family === 'IPv6' && !address.startsWith('fe80:'))
    return [
      ...(four === undefined ? [] : [{ name, family: 4 as const, address: four.address, netmask: four.netmask }]),
      ...(six === undefined ? [] : [{ name, family: 6 as const, address: six.address, netmask: six.netmask }]),
    ]
  })
  const real = found.filter(({ name }) => !VIRTUAL.test(name))
  return [...real, ...found.filter(({ name }) => VIRTUAL.test(name))]
}

/** Whether a packet of multicast from `source` came in on this interface: a socket hears those of all. */
export function isOnLink({ name, family, address, netmask }: MulticastInterface, source: string): boolean {
  if (family === 6) return source.includes(':') && (!source.includes('%') || source.endsWith(`%${name}`))
  if (!isIPv4(source)) return false
  const [ours, theirs, mask] = [address, source, netmask].map((text) => text.split('.').map(Number))
  return (mask ?? []).every((bits, index) => ((ours?.[index] ?? 0) & bits) === ((theirs?.[index] ?? 0) & bits))
}

/**
 * Resolve a bootstrap and ask the system how it is reached; nothing is sent to it.
 *
 * @returns an IPv4 address where the name has one, else IPv6
 * @throws {Error} its name has no address, or the system no route to it; `signal.reason`
 */
export async function routeTo({ host, port }: HostPort, signal: AbortSignal): Promise<Route> {
  const address = await resolve(host, signal)
  try {
    // Bun opens an IPv4 socket where it is not told otherwise.
    const hostname = isIPv4(address) ? '0.0.0.0' : '::'
    const socket = await Bun.udpSocket({ hostname, connect: { hostname: address, port } })
    const source = socket.address.address
    socket.close()
    return { bootstrap: { host: address, port }, source }
  } catch (error) {
    throw new Error(`there is no route to ${host}: ${messageOf(error)}`, { cause: error })
  }
}

async function resolve(host: string, signal: AbortSignal): Promise<string> {
  if (isIP(host) !== 0) return host
  const limit = deadline(RESOLVE_MS, new Error('the name server does not answer'), signal)
  const { promise: late, reject } = Promise.withResolvers<never>()
  late.catch(() => {})
  limit.signal.addEventListener('abort', () => reject(limit.signal.reason), { once: true })
  try {
    const found = await Promise.race([lookup(host, { all: true }), late])
    const best = found.find(({ family }) => family === 4) ?? found[0]
    if (best === undefined) throw new Error('it has no address')
    return best.address
  } catch (error) {
    signal.throwIfAborted()
    throw new Error(`${host} cannot be resolved: ${messageOf(error)}`, { cause: error })
  } finally {
    limit.clear()
  }
}

/** Whether a UDP port is free at all of `addresses`. */
export async function isPortFree(port: number, addresses: readonly string[]): Promise<boolean> {
  for (const hostname of addresses) {
    try {
      const socket = await Bun.udpSocket({ hostname, port })
      socket.close()
    } catch {
      return false
    }
  }
  return true
}
