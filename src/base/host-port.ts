/** A UDP endpoint as people write it. */
export interface HostPort {
  /** Name, IPv4, or IPv6 without brackets. */
  readonly host: string
  readonly port: number
}

/**
 * Parse `host:port` or `[ipv6]:port`.
 *
 * @returns undefined where the text has another form, or the port is not 1 to 65535
 */
export function parseHostPort(text: string): HostPort | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]{2,45})\]|([A-Za-z0-9._-]{1,253})):(\d{1,5})$/.exec(text)
  if (match === null) return undefined
  const port = Number(match[3])
  const host = match[1] ?? match[2]
  return host === undefined || port < 1 || port > 65535 ? undefined : { host, port }
}

/** Those of `texts` that can be parsed. */
export function parseHostPorts(texts: readonly string[]): HostPort[] {
  return texts.map(parseHostPort).filter((address) => address !== undefined)
}

/** `10.0.0.7:49737` or `[fd00::7]:49737`: what `parseHostPort` reads. */
export function formatHostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
