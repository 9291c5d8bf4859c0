/** The name of a peer, for people. */
import { fingerprint } from '../trust/keys.ts'

/** How a peer is called in errors, reports and logs. */
export function peerName(key: Uint8Array, address: string): string {
  return `peer ${fingerprint(key)} (${address})`
}
