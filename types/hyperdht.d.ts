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
    interface ServerOptions {
      /** In place of `NoiseWrap`; the remote's key is null, since it is not known yet. */
      createHandshake?: (keyPair: KeyPair, remotePublicKey: null) => object
      /** @param payload as the handshake of `createHandshake` read it @returns true to refuse, without an answer */
      firewall?: (
        publicKey: Uint8Array,
        payload: import('hyperdht/lib/messages.js').Payload,
        address: Address,
      ) => boolean
    }
    interface Server {
      close(): Promise<void>
    }
    /** Who is announced under a topic, and by which nodes it is called. */
    interface LookedUp {
      readonly publicKey: Uint8Array
      readonly relayAddresses: readonly Address[]
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
    createServer(
      options: HyperDHT.ServerOptions,
      onConnection?: (stream: import('hyperswarm').SecretStream) => void,
    ): HyperDHT.Server
    /** `options.createHandshake` takes the place of `NoiseWrap`. */
    connect(publicKey: Uint8Array, options?: object): import('hyperswarm').SecretStream
    readonly defaultKeyPair: KeyPair
    readonly stats: { readonly requests: { readonly total: number } }
    /** Who is announced there; one answer a node. */
    lookup(topic: Uint8Array): AsyncIterable<{ readonly peers: readonly HyperDHT.LookedUp[] }> & {
      destroy(): void
    }
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

/** What the two ends of a connection tell each other within its Noise handshake. */
declare module 'hyperdht/lib/messages.js' {
  interface Payload {
    readonly version: number
    readonly error: number
    readonly firewall: number
  }
  interface State {
    start: number
    end: number
    buffer: Buffer
  }
  export const noisePayload: {
    preencode(state: State, payload: Payload): void
    encode(state: State, payload: Payload): void
    /** Bytes after the end of the payload are left, from `state.start`. @throws {Error} `state` holds no payload */
    decode(state: State): Payload
  }
}

/** The Noise handshake (pattern IK) of a connection; a subclass may say more in its messages. */
declare module 'hyperdht/lib/noise-wrap.js' {
  import type { Payload } from 'hyperdht/lib/messages.js'

  class NoiseWrap {
    constructor(keyPair: { publicKey: Uint8Array; secretKey: Uint8Array }, remotePublicKey: Uint8Array | null)
    remotePublicKey: Uint8Array | null
    readonly handshake: {
      /** Of the remote, once its message has been read. */
      readonly rs: Uint8Array
      send(bytes: Uint8Array): Uint8Array
      /** @throws {Error} the message is not for us, or was altered */
      recv(message: Uint8Array): Uint8Array
    }
    send(payload: Payload): Uint8Array
    recv(message: Uint8Array): Payload
  }
  export = NoiseWrap
}
