/**
 * What the system has of the bytes of a TCP socket, and how long they wait on their way: `TCP_INFO` of Linux (tcp(7),
 * `struct tcp_info` of linux/tcp.h, the same on every architecture).
 */
import type { Backlog } from '../base/lane.ts'
import { libc } from '../base/libc.ts'

const IPPROTO_TCP = 6
const TCP_INFO = 11
/** Up to `tcpi_min_rtt`, which Linux has since 4.6. */
const INFO_BYTES = 152
const SEGMENT_BYTES = 16
const UNACKED_SEGMENTS = 24
const LAST_ACK_MS = 56
const ROUND_TRIP_US = 68
const WINDOW_SEGMENTS = 80
const UNSENT_BYTES = 144
const LEAST_ROUND_TRIP_US = 148
/** What has been acknowledged for so long not at all is in no queue: the way is cut, or nobody reads at its end. */
const STUCK_MS = 1_000
/** The least round trip of a socket that has measured none. */
const UNKNOWN_US = 0xffffffff

const info = new Uint8Array(INFO_BYTES)
const fields = new DataView(info.buffer)
const length = new Uint32Array(1)

/** @param descriptor of the socket @returns undefined where the system does not tell, or has closed it */
export function tcpBacklog(descriptor: number): Backlog | undefined {
  if (process.platform !== 'linux') return undefined
  length[0] = INFO_BYTES
  if (libc().getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, info, length) !== 0 || length[0] < INFO_BYTES)
    return undefined
  const field = (offset: number) => fields.getUint32(offset, true)
  if (field(LAST_ACK_MS) > STUCK_MS) return { bytes: 0, queueMs: 0 }
  const segment = field(SEGMENT_BYTES)
  // What the window lets out next is as good as sent; the rest waits here, in nobody's way.
  const next = Math.min(field(UNSENT_BYTES), field(WINDOW_SEGMENTS) * segment)
  const leastUs = field(LEAST_ROUND_TRIP_US)
  const queueUs = leastUs === UNKNOWN_US ? 0 : Math.max(0, field(ROUND_TRIP_US) - leastUs)
  return { bytes: field(UNACKED_SEGMENTS) * segment + next, queueMs: queueUs / 1000 }
}
