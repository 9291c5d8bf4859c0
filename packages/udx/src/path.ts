/**
 * Where a stream's packets go: a way out of this machine and the address behind it. Replaced as a whole when the remote
 * changes; a packet remembers the path that it was sent on.
 */
import { isIP } from 'node:net'

/** A way out: what the core needs of a socket, and what a simulation must play. */
export interface PacketPort {
  /** False while the system takes no more packets; the owner is told when that changes. */
  readonly writable: boolean
  /** Line a packet up. Its bytes must stay as they are until {@link flush} returns, not longer. */
  queue(bytes: Uint8Array, port: number, host: string): void
  /** Send one packet that may be cut up on its way: it is larger than what is known to pass whole. */
  sendFragmentable(bytes: Uint8Array, port: number, host: string): void
  /** Hand everything lined up to the system, in order. Packets that it does not take may be lost. */
  flush(): void
  /** False when oversized packets would be fragmented on the way, so that probing for size would learn nothing. */
  readonly probesSize: boolean
}

export interface Path {
  readonly port: PacketPort
  readonly remoteId: number
  readonly remoteHost: string
  readonly remotePort: number
  /** Bytes of IP, UDP and UDX headers per packet: 48 over IPv4, 68 over IPv6. */
  readonly overheadBytes: number
}

/** IP and UDP headers, and ours. */
export function overheadBytes(family: 4 | 6): number {
  return family === 4 ? 20 + 8 + 20 : 40 + 8 + 20
}

/** The path to stream `remoteId` at `host` and `remotePort`. @throws {Error} when host or port is not valid */
export function pathTo(port: PacketPort, remoteId: number, remotePort: number, host: string): Path {
  const family = isIP(host)
  if (family === 0) throw new Error(`${host} is not a valid IP address`)
  if (!(remotePort > 0 && remotePort < 65536)) throw new Error(`${remotePort} is not a valid port`)
  const overhead = overheadBytes(family === 4 ? 4 : 6)
  return { port, remoteId: remoteId >>> 0, remoteHost: host, remotePort, overheadBytes: overhead }
}
