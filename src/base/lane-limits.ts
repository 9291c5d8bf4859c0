/** The bounds of lanes, each with its reason. Sizes are bytes, times milliseconds. */
import { KIB } from './limits.ts'

/** Large blobs wait so long for a lane; on a LAN it is open within milliseconds, and the swarm carries the rest. */
export const LANE_CONNECT_MS = 500
/** A catalog waits so long for it: then it is asked for over the session. */
export const CATALOG_LANE_MS = 100
/** After a lane could not be opened, or was lost, the next try waits so long: a firewall does not change its mind. */
export const LANE_RETRY_MS = 30_000
/** Lanes that may be lost in the middle of one blob before its source is taken for failing. */
export const LANE_LOSSES_MAX = 3
/** A caller of the lane's port that has not shown a ticket by then is cut off, however busily it sends, and gives up itself. */
export const LANE_OPENING_MS = 2_000
/** Callers of the lane's port that have shown no ticket yet: each costs a socket and a TLS state of some 10 KiB. */
export const LANE_STRANGERS_MAX = 32
/** A ticket is used within milliseconds; one that was not is worth nothing soon. */
export const LANE_TICKET_MS = 10_000
/** Tickets that one peer, and all peers together, may hold unused. */
export const LANE_TICKETS_PER_PEER_MAX = 2
export const LANE_TICKETS_MAX = 256
/** What waits on a lane for its socket before its sender is asked for patience, and in the system for the wire. */
export const LANE_QUEUE_BYTES = 256 * KIB
export const LANE_UNSENT_BYTES = 128 * KIB
