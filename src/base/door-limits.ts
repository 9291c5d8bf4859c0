/** The bounds of rcc's door, each with its reason. Sizes are bytes, times milliseconds. */
import { KIB, MIB } from './limits.ts'

/** Connections of rcc's door, also those that have asked nothing yet: a CI host runs some dozen jobs at once. */
export const DOOR_CONNECTIONS_MAX = 128
/** Head of one request: rcc's has some 400 bytes, of which a token is the longest part. */
export const DOOR_HEAD_BYTES_MAX = 16 * KIB
/** A connection that has not sent the head of its (next) request by then is closed. */
export const DOOR_HEAD_MS = 15_000
/** A request's body has to be here by then: 13 MB take 11 s at 10 Mbit/s. */
export const DOOR_BODY_MS = 60_000
/** Who takes nothing of an answer for so long is closed: a chunk of 256 KiB in it is 9 KB/s. */
export const DOOR_STALL_MS = 30_000
/** How long what a client still sends is read away after an answer that did not want it. */
export const DOOR_LINGER_MS = 2_000
/** A want list: 200,000 digests with their newlines take 13 MB. */
export const DOOR_WANT_BYTES_MAX = 16 * MIB
/** Distinct blobs of one want list that names no environment: 200,000 take some 40 MiB of memory. */
export const DOOR_WANT_BLOBS_MAX = 200_000
/** One line of a want list: a digest behind a path. */
export const DOOR_WANT_LINE_BYTES_MAX = 4 * KIB
/** Decoded lists of blobs that are kept for the next request: 10,000 digests take about 1 MiB. */
export const DOOR_ENVIRONMENTS_KEPT = 8
/** How long rcc waits for an environment that has to be fetched first; it holds its global lock meanwhile. */
export const DOOR_BRING_MS = 300_000
/** Environments that the door has fetched at the same time; names cost a stranger nothing. */
export const DOOR_BRINGS_MAX = 8
/**
 * Packs whose layout is remembered for those who read them in parts: 1,000 pieces take some 100 KiB. One that was dropped
 * has its readers begin again.
 */
export const DOOR_PACKS_KEPT = 16
/** Whoever asks for a pack so soon after another one gets the same, even where more of it was compressed meanwhile. */
export const DOOR_PACK_FRESH_MS = 10_000
