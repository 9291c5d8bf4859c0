/**
 * How much of a TCP socket waits in the system before its turn on the wire.
 *
 * What the system has taken cannot be taken back: over a slow link it would hold seconds of pieces that are cancelled
 * meanwhile, and tell nothing of how fast the link is. Linux bounds it with TCP_NOTSENT_LOWAT (tcp(7)).
 */

import { LANE_UNSENT_BYTES } from '../base/lane-limits.ts'
import { libc } from '../base/libc.ts'

const IPPROTO_TCP = 6
const TCP_NOTSENT_LOWAT = 25

/** @param descriptor of the socket @returns whether the system did so; elsewhere than on Linux it is not asked */
export function limitUnsent(descriptor: number): boolean {
  if (process.platform !== 'linux') return false
  const value = new Uint32Array([LANE_UNSENT_BYTES])
  return libc().setsockopt(descriptor, IPPROTO_TCP, TCP_NOTSENT_LOWAT, value, value.byteLength) === 0
}
