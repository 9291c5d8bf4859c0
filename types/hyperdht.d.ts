/** The part of hyperdht 6.34 (and dht-rpc 6.27 below it) that holo-peer uses; the package ships no types. */
declare module 'hyperdht' {
  interface Address {
    host: string
    port: number
  }
  interface DHTOptions {
    /** One port, or a range [first, after the last]; where all are taken a free one is used. */
    port?: number | [number, number]
    /** Address to bind. */
    host?: string
    /** The UDX of all its sockets, in place of one of its own. */
    udx?: object
    bootstrap?: (string | Address)[]
    firewalled?: boolean
    ephemeral?: boolean
    anyPort?: boolean
    /** Waits in milliseconds, learnt for each node; `fallback` by try before anything was learnt. */
    adaptiveTimeout?: { fallback?: number[] }
    /** Milliseconds. */
    connectionKeepAlive?: number
  }
  interface KeyPair {
    publicKey: Uint8Array
    secretKey: Uint8Array
  }
  namespace HyperDHT {
    interface PingOptions {
      retry?: boolean
    }
    interface UdxSocket {
      /** @throws with the system's code where the port is taken, or the family is not there */
      bind(port: number, host: string): void
      address(): Address
      send(bytes: Buffer, port: number, host: string): Promise<boolean>
      close(): Promise<void>
      /** Datagrams that are no UDX packets. */
      on(event: 'message', listener: (bytes: Buffer, from: Address) => void): this
    }
    interface RawStream {
      readonly id: number
      readonly connected: boolean
      connect(socket: UdxSocket, remoteId: number, port: number, host: string): void
      destroy(): void
    }
  }
  class HyperDHT {
    constructor(options?: DHTOptions)
    static readonly BOOTSTRAP: string[]
    static bootstrapper(port: number, host: string, options?: DHTOptions): HyperDHT
    readonly bootstrapNodes: Address[]
    readonly destroyed: boolean
    readonly udx: { createSocket(options?: { ipv6Only?: boolean }): HyperDHT.UdxSocket }
    /** `firewall` refuses packets for this stream that come in by another socket than that which it is connected over. */
    createRawStream(options: { framed: boolean; firewall: () => boolean }): HyperDHT.RawStream
    readonly host: string | null
    /** Sockets are there once it is bound; a firewalled node listens on both. */
    readonly io: { readonly serverSocket: HyperDHT.UdxSocket | null; readonly clientSocket: HyperDHT.UdxSocket | null }
    /** Resolves once the sockets are bound. */
    bind(): Promise<void>
    fullyBootstrapped(): Promise<void>
    localAddress(): Address | null
    remoteAddress(): Address | null
    /** Rejects after a second without an answer, tried once where `retry` is false. */
    ping(to: Address, options?: HyperDHT.PingOptions): Promise<unknown>
    /** All look-ups and announcements go through this. */
    query(request: unknown, options?: { retries?: number; map?: (reply: unknown) => unknown }): unknown
    connect(publicKey: Uint8Array, options?: object): import('hyperswarm').SecretStream
    readonly defaultKeyPair: KeyPair
    readonly stats: { readonly requests: { readonly total: number } }
    announce(topic: Uint8Array, keyPair: KeyPair): { finished(): Promise<void> }
    /** Look for more nodes, in the background. */
    refresh(): void
    toArray(): Address[]
    destroy(options?: { force?: boolean }): Promise<void>
    /** `network-change`: an address of this machine has come or gone. */
    on(event: 'add-node' | 'network-change', listener: () => void): this
  }
  export = HyperDHT
}
