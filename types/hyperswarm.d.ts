/** The part of hyperswarm 4.17 that holo-peer uses; the package ships no types. */
declare module 'hyperswarm' {
  import type HyperDHT from 'hyperdht'

  namespace Hyperswarm {
    /** A NoiseSecretStream (a streamx Duplex): one write at one end is one data event at the other. */
    interface SecretStream {
      readonly publicKey: Uint8Array
      readonly remotePublicKey: Uint8Array
      readonly handshakeHash: Uint8Array
      readonly isInitiator: boolean
      readonly destroyed: boolean
      readonly destroying: boolean
      readonly rawStream: {
        readonly remoteHost: string
        readonly remotePort: number
        /** Milliseconds; 0 before anything was acknowledged. */
        readonly rtt: number
      } | null
      write(frame: Uint8Array): boolean
      end(): void
      destroy(error?: Error): void
      on(event: 'data', listener: (frame: Uint8Array) => void): this
      on(event: 'open' | 'drain' | 'end' | 'close', listener: () => void): this
      on(event: 'error', listener: (error: Error) => void): this
    }
    interface PeerInfo {
      readonly publicKey: Uint8Array
      ban(banned: boolean): void
    }
    interface Discovery {
      /** Resolves once the first announce and lookup are through. */
      flushed(): Promise<boolean>
      refresh(options?: { client?: boolean; server?: boolean }): Promise<boolean>
      destroy(): Promise<void>
    }
    interface SwarmOptions {
      dht?: HyperDHT
      keyPair?: { publicKey: Uint8Array; secretKey: Uint8Array }
      maxPeers?: number
      /** Connection attempts at once. */
      maxParallel?: number
      /** `payload` is null for whom we are about to dial. @returns true to refuse a key, before a handshake costs anything */
      firewall?: (remotePublicKey: Uint8Array, payload: object | null) => boolean
    }
  }
  class Hyperswarm {
    constructor(options?: Hyperswarm.SwarmOptions)
    readonly dht: HyperDHT
    /** With fewer connections it calls whom it finds. */
    maxPeers: number
    /** Whom it has found, by key in hex. */
    readonly peers: ReadonlyMap<string, Hyperswarm.PeerInfo>
    readonly connections: ReadonlySet<Hyperswarm.SecretStream>
    /** Call this key, before others and whatever `maxPeers` says, and again when the connection is lost. */
    joinPeer(publicKey: Uint8Array): void
    /** Not documented; what joinPeer calls unless the peer is queued, and every end of a connection. */
    _attemptClientConnections(): void
    /** Treat it like others again; a connection that is open stays. */
    leavePeer(publicKey: Uint8Array): void
    /** Resolves once the look-ups that are under way are through, and all whom they found are connected or were tried. */
    flush(): Promise<boolean>
    /** Resolves once others can find this key. */
    listen(): Promise<void>
    join(topic: Uint8Array, options?: { server?: boolean; client?: boolean }): Hyperswarm.Discovery
    destroy(options?: { force?: boolean }): Promise<void>
    on(event: 'connection', listener: (stream: Hyperswarm.SecretStream, peer: Hyperswarm.PeerInfo) => void): this
  }
  export = Hyperswarm
}
