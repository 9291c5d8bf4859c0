/** What discovery by Hyperswarm is told at its start: who this machine is, where to look, and whom to refuse. */
import type { Clock } from '../base/clock.ts'
import type { HostPort } from '../base/host-port.ts'
import type { Random } from '../base/random.ts'
import type { Delegation, KeyPair } from '../trust/keys.ts'

/**
 * Whether a machine is refused before a handshake costs anything: one that we would call, or one that calls us.
 *
 * @param publicKey of the link
 * @param delegation the word of its machine, as it stands in the call, where a process calls under a key of its own
 */
export type Refuses = (publicKey: Uint8Array, delegation?: Delegation) => boolean

export interface HyperswarmOptions {
  readonly keyPair: KeyPair
  /** The word of our machine for this key, where it is not the machine's own. */
  readonly delegation: Delegation | undefined
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
  readonly refuses: Refuses
  readonly clock: Clock
  readonly random: Random
}
