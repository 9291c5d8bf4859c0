/**
 * The door between TCP, which carries bulk, and the peer protocol, which knows who may use it.
 *
 * A lane is one more link to a peer that a session has proved already: encrypted, framed, in order. It brings no keys of
 * its own: the session tells the caller which certificate to expect, and the caller shows a ticket of the session,
 * signed for this very connection by the key of the session's link.
 */
import type { FrameLink } from './link.ts'

/** What the system has of a lane's bytes. */
export interface Backlog {
  /** Sent and not acknowledged, or about to be sent; 0 where nothing is acknowledged any more. */
  readonly bytes: number
  /** How much longer a round trip takes now than at best, ms. */
  readonly queueMs: number
}

/** What of a link a lane has. */
export interface LaneLink extends Pick<FrameLink, 'address' | 'drained' | 'closed' | 'close' | 'destroy'> {
  /** As `FrameLink.onFrame`, but each frame is only lent: its bytes are others' after the call. */
  onFrame(listener: (frame: Uint8Array) => void): void
  /**
   * Queue one frame, in two parts where that spares a copy of the larger one. Both are the caller's again after that.
   *
   * @returns, as `FrameLink.send`
   */
  send(frame: Uint8Array, rest?: Uint8Array): boolean
  /** Resolve once the system has taken all of the send queue, or the link is closed. @throws `signal.reason` */
  emptied(signal: AbortSignal): Promise<void>
  /** @returns undefined where the system does not tell */
  backlog(): Backlog | undefined
}

/** Where a lane leads. */
export interface LaneAddress {
  /** IP address or name, without brackets. */
  readonly host: string
  readonly port: number
  /** SHA-256 of the certificate that must be met there, 32 bytes. */
  readonly certificate: Uint8Array
}

/** What a caller shows before anything else. */
export interface LaneCall {
  /** 32 bytes. */
  readonly ticket: Uint8Array
  /** 64 bytes, over the binding and the ticket. */
  readonly signature: Uint8Array
  /** 32 bytes, the same at both ends of this connection and of no other. */
  readonly binding: Uint8Array
  /** `10.0.0.8:40212`, for people. */
  readonly address: string
}

/**
 * Decides about one caller.
 *
 * @returns who takes the link, or why it is turned away, as the end of the sentence `it …`
 */
export type LaneGate = (call: LaneCall) => ((link: LaneLink) => void) | string

export interface Lanes extends AsyncDisposable {
  /** Where this machine is called; undefined where it only calls. */
  readonly own: Pick<LaneAddress, 'port' | 'certificate'> | undefined
  /** Set who decides about callers; before that all are turned away. */
  admit(gate: LaneGate): void
  /**
   * Call another machine.
   *
   * @param sign makes the signature of the call from its binding
   * @throws {HoloError} blame `source`, code `lane-failed`: nobody there, another certificate, turned away;
   *   `signal.reason`
   */
  open(
    address: LaneAddress,
    ticket: Uint8Array,
    sign: (binding: Uint8Array) => Uint8Array,
    signal: AbortSignal,
  ): Promise<LaneLink>
}
