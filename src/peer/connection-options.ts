/** What a connection is made of, and whom it tells. */
import type { Clock } from '../base/clock.ts'
import type { HoloError } from '../base/errors.ts'
import type { RateLimit } from '../base/rate-limit.ts'
import type { Sha256Digest } from '../blob/digest.ts'
import type { Delegation } from '../trust/keys.ts'
import type { LaneAccess } from './lane-keeper.ts'
import type { LeaseDesk } from './lease-desk.ts'
import type { Role } from './messages.ts'
import type { OwnHoldings } from './own-holdings.ts'
import type { PieceServer } from './piece-server.ts'
import type { ServedLibrary } from './serve.ts'
import type { Remote } from './session.ts'

export interface ConnectionOptions {
  /** Of every fleet of this machine. */
  readonly secrets: readonly Uint8Array[]
  readonly role: Role
  readonly agent: string
  readonly delegation: Delegation | undefined
  readonly library: ServedLibrary
  /** Sends pieces, for all connections; undefined where this process sends none. */
  readonly pieceServer?: PieceServer
  /** What comes from all peers, beside pieces, for which a fetch has it; undefined for as much as goes. */
  readonly downloadLimit?: RateLimit
  /** What this machine is fetching, and may be asked for already. */
  readonly ownHoldings?: OwnHoldings
  /** Who brings what from substituters; undefined where this process says and hears nothing of that. */
  readonly leases?: LeaseDesk
  readonly clock: Clock
  /** Undefined where this process has no lanes. */
  readonly laneAccess?: LaneAccess
}

/** Who is told what happens; all are called outside of any call into the connection but `start`. */
export interface ConnectionEvents {
  /** The remote is a member. */
  onOpen(remote: Remote): void
  /** The remote's catalogs have changed. */
  onHave(): void
  /** What it holds of a catalog has changed: by these pieces, or altogether. */
  onPieces(catalog: Sha256Digest, pieces: readonly number[] | undefined): void
  onChoke(choked: boolean): void
  onEnd(error: HoloError | undefined): void
}
