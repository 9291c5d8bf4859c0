/** The part of hypercore-crypto 3.7 that holo-peer uses; the package ships no types. */
declare module 'hypercore-crypto' {
  interface KeyPair {
    /** 32 bytes. */
    publicKey: Uint8Array
    /** 64 bytes, libsodium's form: seed, then public key. */
    secretKey: Uint8Array
  }
  interface HypercoreCrypto {
    keyPair(seed?: Uint8Array): KeyPair
    sign(message: Uint8Array, secretKey: Uint8Array): Uint8Array
    verify(message: Uint8Array, signature: Uint8Array, publicKey: Uint8Array): boolean
    /** BLAKE2b-256 over the parts, concatenated. */
    hash(data: Uint8Array | readonly Uint8Array[]): Uint8Array
    randomBytes(length: number): Uint8Array
    /** `count` independent 32-byte prefixes. */
    namespace(name: string, count: number): Uint8Array[]
  }
  const crypto: HypercoreCrypto
  export = crypto
}
