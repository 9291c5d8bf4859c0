/**
 * What a {@link UDXSocket} needs of a bound UDP port, and how it gets one: the door between UDX and the operating system.
 *
 * datagrams.ts stands behind it; a simulation plays it with a network of its own.
 */

/** What comes in at a bound port. */
export interface PortEvents {
  onData(data: Buffer, port: number, host: string): void
  /** The system takes datagrams again. */
  onWritable(): void
}

/** A bound UDP port. */
export interface BoundPort {
  readonly family: 4 | 6
  readonly port: number
  /** Whether oversized datagrams are dropped on the way instead of being fragmented. */
  readonly dontFragment: boolean
  /** False while the system takes no more. */
  readonly writable: boolean
  /** Line a packet up; its bytes stay as they are until {@link flush}. */
  queue(bytes: Uint8Array, port: number, host: string): void
  /** Send what is lined up. */
  flush(): void
  /** Send one datagram now, without the don't-fragment bit. */
  sendFragmentable(bytes: Uint8Array, port: number, host: string): void
  /**
   * Send one datagram now or as soon as the system takes it.
   *
   * @param ttl hops for this datagram alone; 0 takes the port's own
   * @param done told whether it was taken
   */
  send(bytes: Uint8Array, port: number, host: string, ttl: number, done?: (sent: boolean) => void): void
  /** Hops of everything that has no `ttl` of its own. */
  setTTL(ttl: number): void
  /** Bytes of the system's buffer, 0 where that cannot be known. */
  bufferBytes(direction: BufferDirection): number
  /** Ask for a buffer of so many bytes. @returns what the system granted, 0 where that cannot be known */
  setBufferBytes(direction: BufferDirection, bytes: number): number
  /** Join or leave a multicast group, by one interface or the system's choice. @throws {Error} with the system's code */
  setMembership(group: string, interfaceAddress: string | undefined, member: boolean): void
  close(): void
}

export type BufferDirection = 'receive' | 'send'

export interface BindOptions {
  ipv6Only: boolean
  reuseAddress: boolean
}

/**
 * Bind to an IP address and port; 0 lets the system choose.
 *
 * @throws {Error} with the system's code, such as EADDRINUSE
 */
export type BindPort = (port: number, host: string, options: BindOptions, events: PortEvents) => BoundPort
