/** IP addresses as the system wants them: 4 or 16 bytes, in network order. Pure. */
import { isIPv4, isIPv6 } from 'node:net'

/**
 * The bytes of `host` for a socket of `family`: IPv4 stands mapped in a socket of IPv6.
 *
 * @returns undefined for what is no address of that family, and for one with a zone
 */
export function addressBytes(host: string, family: 4 | 6): Uint8Array | undefined {
  if (isIPv4(host)) {
    const bytes = Uint8Array.from(host.split('.'), Number)
    return family === 4 ? bytes : Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...bytes)
  }
  if (family === 4 || !isIPv6(host) || host.includes('%')) return undefined
  const [head = '', tail] = host.split('::')
  const first = groups(head)
  const last = groups(tail ?? '')
  return Uint8Array.from([...first, ...new Array<number>(16 - first.length - last.length).fill(0), ...last])
}

/** The bytes of groups between colons; the last may be an IPv4 address. */
function groups(text: string): number[] {
  if (text === '') return []
  return text.split(':').flatMap((group) => {
    if (group.includes('.')) return group.split('.').map(Number)
    const value = Number.parseInt(group, 16)
    return [value >> 8, value & 0xff]
  })
}
