/**
 * What the system knows of its networks: our addresses, names of others, and from which address we reach them.
 */
import { lookup } from 'node:dns/promises'
import { isIPv4 } from 'node:net'
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

/**
 * Resolve a bootstrap and ask the system how it is reached; nothing is sent to it.
 *
 * @returns undefined where its name has no IPv4 address
 */
export async function routeTo(
  { host, port }: HostPort,
  onProblem: (problem: string) => void,
  signal: AbortSignal,
): Promise<Route | undefined> {
  const address = await resolve(host, onProblem, signal)
  if (address === undefined) return undefined
  const bootstrap = { host: address, port }
  try {
    const socket = await Bun.udpSocket({ connect: { hostname: address, port } })
    const source = socket.address.address
    socket.close()
    return { bootstrap, source }
  } catch (error) {
    onProblem(`there is no route to ${host}: ${messageOf(error)}`)
    return { bootstrap, source: undefined }
  }
}

async function resolve(
  host: string,
  onProblem: (problem: string) => void,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (isIPv4(host)) return host
  const limit = deadline(RESOLVE_MS, new Error('the name server does not answer'), signal)
  const { promise: late, reject } = Promise.withResolvers<never>()
  late.catch(() => {})
  limit.signal.addEventListener('abort', () => reject(limit.signal.reason), { once: true })
  try {
    return (await Promise.race([lookup(host, { family: 4 }), late])).address
  } catch (error) {
    signal.throwIfAborted()
    onProblem(`${host} cannot be resolved: ${messageOf(error)}`)
    return undefined
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
