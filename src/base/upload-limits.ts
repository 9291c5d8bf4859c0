/** The bounds of serving pieces, each with its reason. Times are milliseconds. */
import { KIB, MIB } from './limits.ts'

/**
 * Peers that one machine serves pieces to at the same time; the others are choked, and fetch from those. Simulated, a crowd
 * of 32 takes 1.3 to 1.8 times as long as one alone with 4 slots, 1.13 with 8, 1.09 with 16 and 1.17 with 32 (test/sim).
 */
export const UPLOAD_SLOTS = 16
/** How long a choked peer waits at least until the slots are dealt out anew: some pieces of a slow wire. */
export const UPLOAD_TURN_MS = 2_000
/** Wants of one peer that wait here, and the choices in them: as many as eight fetches at once have in their pipelines. */
export const UPLOAD_WANTS_MAX = 256
export const UPLOAD_CHOICES_MAX = 8192
/** Catalogs of which is remembered how often each piece was served. */
export const UPLOAD_CATALOGS_MAX = 64
/**
 * Peers for which the next piece is made ready while one goes out: with fewer one peer alone waits for disks; with more,
 * each has two pieces in memory, 1 MiB each where nothing is prepared, and the others keep the disks busy anyway.
 */
export const UPLOAD_AHEAD_MAX = 2
/** A peer that left the choice to us waits so long at most for others to pass on what they were sent. */
export const UPLOAD_REST_MS_MAX = 5_000
/** A lane whose round trip takes so much longer than its shortest one tells of a queue. */
export const UPLOAD_QUEUED_MS = 50
/**
 * Bytes that are under way over all lanes together before more is given to the system, where most of them tell of a queue.
 * In a crowd of eight at 12.5 Mbit/s with 128 KiB links ran dry and all took 1.41 times as long as one alone, with 256 KiB
 * 1.31, with 384 KiB 1.25, unbounded 1.30. With the bound for each lane below, and all else that follows: 1.15 with 512 KiB,
 * 1.17 with 640, 1.16 with 768 and 96 for each.
 */
export const UPLOAD_QUEUED_BYTES = 512 * KIB
/**
 * Bytes under way over one lane then, if its round trip takes so much longer than that of the quickest lane: with 32 to
 * 96 KiB, and 0 to 50 ms, a crowd took 1.18 to 1.20 times as long, without 1.25. A lane alone is not bound by it.
 */
export const UPLOAD_CLOGGED_BYTES = 64 * KIB
export const UPLOAD_CLOGGED_MS = 10
/**
 * What is sent to several peers after a pause of so long tells too late of a queue: all of the first pieces would come at the
 * same time, when one after the other the first is passed on before the last has left. So there is a queue until so much
 * has been sent, with a bound of its own, that a fast link is through with at once.
 */
export const UPLOAD_PAUSE_MS = 1_000
export const UPLOAD_UNKNOWN_BYTES = 2 * MIB
export const UPLOAD_UNKNOWN_QUEUED_BYTES = 128 * KIB
export const UPLOAD_UNKNOWN_LOOK_MS = 2
/** What is given at once then (with 32 KiB 1.165, where 16 made 1.145 and 1.155), and how soon it is looked again. */
export const UPLOAD_QUEUED_CHUNK_BYTES = 16 * KIB
export const UPLOAD_QUEUED_LOOK_MS = 10
/** Who has waited so long goes before pieces that were begun earlier: on a slow link these alone take longer than a stall. */
export const UPLOAD_WAIT_MS = 2_000
