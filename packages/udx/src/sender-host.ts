/** What a sender needs of the stream that it is the sending half of. */

/** What the sender asks of the stream around it. */
export interface SenderHost {
  /** A packet with a current header has gone out. */
  sent(bytes: number): void
  sendHeartbeat(): void
}

/** What headers say of the receiving half. */
export interface Receiving {
  readonly expected: number
  offer(): number
}
