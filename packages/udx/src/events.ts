/** What a connection tells the stream above it. */
import type { InboundEvents } from './inbound.ts'

/** Why a stream ended other than in order. */
export type CloseCode = 'ETIMEDOUT' | 'ECONNRESET'

/** What happens on a stream. Any of these may destroy it. */
export interface ConnectionEvents extends InboundEvents {
  onMessage(payload: Uint8Array): void
  /** Room again after write() returned false. */
  onDrain(): void
  /** More has been acked. */
  onAcked(): void
  onRemoteChanged(): void
  /** The last event. Undefined: both sides ended, or we destroyed it. */
  onClose(code: CloseCode | undefined): void
}
