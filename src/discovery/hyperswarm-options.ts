/** What discovery by Hyperswarm is told at its start: who this machine is, where to look, and whom to refuse. */
import type { Clock } from '../base/clock.ts'
import type { HostPort } from '../base/host-port.ts'
import type { Random } from '../base/random.ts'
import type { KeyPair } from '../trust/keys.ts'

export interface HyperswarmOptions {
  readonly keyPair: KeyPair
  /** `daemon` announces itself and hosts bootstrap nodes, `client` only looks. */
  readonly mode: 'daemon' | 'client'
  readonly bootstraps: readonly HostPort[]
  /** UDP port of a daemon's own bootstrap nodes on a private DHT; a taken one moves to the next. */
  readonly port: number
  readonly dht: 'private' | 'public'
  /** Of all fleets of this machine. */
  readonly secrets: () => readonly Uint8Array[]
  /**
   * Whether to tell of ourselves on the LAN, and to listen. Not on the public DHT, where no daemon has a node of its own
   * to tell of.
   */
  readonly multicast: boolean
  /** Whether a key is refused, before a handshake costs anything, when it calls us (`in`) or we would call it (`out`). */
  readonly refuses: (publicKey: Uint8Array, direction: 'in' | 'out') => boolean
  readonly clock: Clock
  readonly random: Random
}
