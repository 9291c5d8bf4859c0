/**
 * Every bound of substituters, each with its reason: as `limits.ts`, which is one file for all the rest.
 */
import { KIB, MIB } from './limits.ts'

/** Entries of `holo-peer.substituters`: each may cost a restore a moment. */
export const SUBSTITUTERS_MAX = 32

/** One URI in settings. */
export const SOURCE_ADDRESS_CHARACTERS_MAX = 2048

/** What stands in a file of credentials, or in a variable: tokens have some kilobytes. */
export const CREDENTIALS_BYTES_MAX = 16 * KIB

/** How long a TCP connection to a substituter may take to open: one around the world takes 0.4 s. */
export const SUBSTITUTER_CONNECT_MS = 1_000

/** How long a substituter may be silent while it owes bytes. */
export const SUBSTITUTER_SILENCE_MS = 10_000

/** A substituter that sends less than this within that time does not count as sending. */
export const SUBSTITUTER_SLOW_BYTES = 4 * KIB

/** An upload slower than this counts as silence, too: nothing tells how much of it has gone out. */
export const UPLOAD_BYTES_PER_SECOND_MIN = 32 * KIB

/** Attempts after the first, for what can pass. */
export const SUBSTITUTER_RETRIES = 2
export const SUBSTITUTER_RETRIES_MAX = 10

/** The pause before the first of them; it doubles each time, and is shortened at random by up to half. */
export const RETRY_PAUSE_MS = 200

/** What a server asks for by Retry-After is granted up to this; where it wants more, the next source is asked. */
export const RETRY_AFTER_MS_MAX = 5_000

/** How long a source that failed rests before it is asked again; it doubles with each failure in a row. */
export const BREAKER_REST_MS = 1_000
export const BREAKER_REST_MS_MAX = 5 * 60_000

/** How long a source's "I do not have it" is believed, and how many of those are remembered of each. */
export const NEGATIVE_MS = 60_000
export const NEGATIVES_MAX = 65_536

/** A source that has said nothing for so long does not lose its turn, but no longer has it alone. */
export const SOURCE_BUDGET_MS = 400

/** The same for peers, who have to be found first: 0.25 s for nine of ten on a LAN. */
export const PEERS_BUDGET_MS = 1_000

/** While blobs are fetched: nothing has come from a source for so long that the next one is asked for them, too. */
export const FETCH_SILENCE_MS = 700

/** The same for peers: in a crowd one waits for its turn, and the WAN is dearer than a moment. */
export const PEERS_SILENCE_MS = 3_000

/** Requests under way to one substituter. */
export const SUBSTITUTER_REQUESTS_MAX = 16

/** Redirects that are followed for one request. */
export const REDIRECTS_MAX = 5

/** `holo-cache-info`, and whatever else is some lines of text. */
export const CACHE_INFO_BYTES_MAX = 4 * KIB

/** Signatures of one catalog: some hundred bytes each. */
export const SIGNATURES_BYTES_MAX = 64 * KIB

/** Up to so many blobs are asked for one by one where a pack would send whole pieces for them. */
export const PACK_BLOBS_MIN = 4

/** Bytes between two wanted ranges of a pack that are read along, since another request costs more. */
export const PACK_GAP_BYTES = 256 * KIB

/** Ranges that one fetch asks of a pack: the smallest gaps are read along until there are no more than this. */
export const PACK_RANGES_MAX = 6

/** Ranges of one pack that are read at the same time. */
export const PACK_RANGES_AT_ONCE = 3

/** A range longer than this is cut, so that several connections carry it. */
export const PACK_RANGE_BYTES = 16 * MIB

/** Blobs that an rccremote is asked for at once: it packs all of them before it sends the first byte. */
export const DELTA_BLOBS_MAX = 1_024

/** Blobs that it is asked for along with a catalog, so that its list is like no other. */
export const DELTA_MARKS = 3

/** A file larger than this goes to S3 in parts of this size, so that a part that fails is all that is sent again. */
export const S3_PART_BYTES = 8 * MIB

/** Up to so many objects S3 is asked one by one; above that their names are listed, a thousand at a time. */
export const S3_QUESTIONS_MAX = 64

/** A manifest of an OCI registry: ours have three layers; registries take up to 4 MiB. */
export const MANIFEST_BYTES_MAX = 4 * MIB

/** What a token server answers: tokens have some kilobytes. */
export const TOKEN_BYTES_MAX = 64 * KIB

/** Bytes of pieces from a substituter that are being decoded and written: some for each Worker, so that none waits. */
export const RECEIVE_BYTES_MAX = 16 * MIB

/** How long a daemon that wants to bring an environment from a substituter listens first whether another one does. */
export const LEASE_SETTLE_MS = 200

/** A lease counts for so long after its holder's last word; while bytes come to it, it says so at this interval. */
export const LEASE_MS = 3_000
export const LEASE_RENEWAL_MS = 1_000

/** Nobody holds the lease: how long whoever comes first has to take it, before the next one does; and the first of so many. */
export const LEASE_CLAIM_MS = 1_000
export const LEASE_CLAIMS_MAX = 4

/** Whoever holds a lease while nothing comes to us for so long is waited for no more, as long as the peers' own stalls. */
export const LEASE_PATIENCE_MS = 10_000

/** So many leases of one holder that ended without anything, and it is waited for no more either. */
export const LEASE_LAPSES_MAX = 3

/** So many such holders, and nobody is waited for any more; nor while nothing has come from anybody for so long. */
export const LEASE_HOLDERS_IN_VAIN_MAX = 3
export const LEASE_ALONE_MS = 30_000

/** How long the leases of such a holder do not count. */
export const LEASE_DISTRUST_MS = 10 * 60_000

/** Leases that one machine asks for or holds, and holders that are remembered for bringing nothing. */
export const LEASES_MAX = 8
export const LEASE_DISTRUSTED_MAX = 1_024

/** How long the catalog is waited for that the holder of a lease is looking for: then everybody asks for itself. */
export const LEASE_CATALOG_MS = 1_000

/** How long a lease outlives the look-up, until its environment is fetched, and the fetch, until that is announced. */
export const LEASE_LINGER_MS = 2_000

/** Whoever takes over a lease first gets what peers hold of it, until nothing has come of that for so long. */
export const LEASE_SWEEP_MS = 1_000

/** That peers do not have an environment is believed for so long: from looking for it to the end of its fetch. */
export const PEERS_MISS_MS = 10_000
