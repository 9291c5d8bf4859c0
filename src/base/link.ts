/**
 * The door between discovery, which makes connections, and the peer protocol, which talks over them.
 *
 * A link is encrypted, its remote key proved by the handshake, and framed: one frame sent is one frame received, whole
 * and in order. It says nothing about what the frames mean.
 */
export interface FrameLink {
  /** Our own ed25519 public key on this connection, 32 bytes. */
  readonly localKey: Uint8Array
  /** The remote's ed25519 public key, 32 bytes, proved by the handshake. */
  readonly remoteKey: Uint8Array
  /** 64 bytes, the same on both sides and on no other connection. */
  readonly handshakeHash: Uint8Array
  /** True on the side that opened the connection. */
  readonly initiator: boolean
  /** `10.0.0.7:49738`, for people; proves nothing. */
  readonly address: string
  /** Smoothed round trip, undefined where it is not known. */
  roundTripMs(): number | undefined
  /** Queue one frame. @returns false when the sender should wait for `drained` before it sends more */
  send(frame: Uint8Array): boolean
  /** Resolve once the send queue has room again, or the link is closed. @throws `signal.reason` */
  drained(signal: AbortSignal): Promise<void>
  /** Called once per frame, in order, from the time this is set; frames that came earlier are kept for it. */
  onFrame(listener: (frame: Uint8Array) => void): void
  /** Resolves once, with the error that ended the link or undefined after an orderly close. */
  readonly closed: Promise<Error | undefined>
  /** Send what is queued, then close; idempotent. */
  close(): void
  /** Close at once, dropping what is queued; idempotent. */
  destroy(): void
}
