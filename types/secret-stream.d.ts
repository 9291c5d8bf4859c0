/** The part of @hyperswarm/secret-stream 6.9 that holo-peer uses; the package ships no types. */
declare module '@hyperswarm/secret-stream' {
  import type { RawStream } from 'hyperdht'
  import type { SecretStream } from 'hyperswarm'

  interface NoiseSecretStream extends SecretStream {}
  class NoiseSecretStream {
    constructor(
      isInitiator: boolean,
      rawStream: RawStream,
      options: {
        keyPair: { publicKey: Uint8Array; secretKey: Uint8Array }
        /** Milliseconds. */
        keepAlive?: number
      },
    )
    /** Whether the handshake came to its end; never rejects. */
    readonly opened: Promise<boolean>
  }
  export = NoiseSecretStream
}
