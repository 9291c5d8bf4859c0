/**
 * Every bound of holo-peer, each with its reason; those of lanes, substituters and rcc's door stand in files beside this one.
 * Sizes are bytes, times milliseconds. Nothing that comes from a file or from the wire is allocated before it has been
 * held against one of them.
 */
export const KIB = 1024
export const MIB = 1024 * KIB
const GIB = 1024 * MIB

/** robot.yaml, conda.yaml, settings.yaml: real ones are a few KiB; YAML expands when parsed. */
export const YAML_BYTES_MAX = 1 * MIB

/** Texts and map entries that are taken from one YAML file, aliases expanded: real ones have some hundred. */
export const YAML_ITEMS_MAX = 200_000

/** Patterns of one list of settings, and the length of one: real lists have some ten of ten characters. */
export const PATTERNS_MAX = 256
export const PATTERN_CHARACTERS_MAX = 256

/** A catalog at rest or on the wire (gzip): 12,000 files take 744 kB, so 200,000 files take about 13 MB. */
export const CATALOG_STORED_BYTES_MAX = 64 * MIB
/** A decoded catalog (JSON): 12,000 files take 8 MB; 200,000 files take about 140 MB. */
export const CATALOG_JSON_BYTES_MAX = 512 * MIB
/** A catalog may inflate to 64 MiB, or to this many times its stored size where that is more: real ones reach 11 to 30. */
export const CATALOG_INFLATE_RATIO_MAX = 64
export const CATALOG_INFLATE_FREE_BYTES = 64 * MIB
/** Directories and files of one catalog, shadow trees included: 30 times the largest environment seen. */
export const CATALOG_ENTRIES_MAX = 1_000_000
/** Nesting of directories: Linux allows 2,047 one-letter levels in a path; real environments stay below 30. */
export const CATALOG_DEPTH_MAX = 256
/** One name in a directory: NAME_MAX of every file system that we restore to. */
export const NAME_BYTES_MAX = 255
/** A whole path inside a space, and the target of a link: PATH_MAX less the space's own path. */
export const PATH_BYTES_MAX = 4096
/** Relocations of one file: the largest seen has some hundred. */
export const REWRITES_PER_FILE_MAX = 1_000_000
/** Relocations of all files of one catalog together. */
export const CATALOG_REWRITES_MAX = 4_000_000
/** One text field of a catalog that is no name or path: version, controller, space. */
export const CATALOG_TEXT_BYTES_MAX = 4 * KIB
/** A catalog in the packed form of our state folder: 200,000 files take about 30 MB. */
export const PACKED_CATALOG_BYTES_MAX = 256 * MIB
/** Packed catalogs that are kept, and their bytes together: a machine uses some dozen environments, at 1 to 2 MB each. */
export const PACKED_CATALOGS_MAX = 64
export const PACKED_CATALOGS_BYTES_MAX = 512 * MIB
/** One blob: the largest seen (a CUDA library) is about 1 GiB. */
export const BLOB_BYTES_MAX = 16 * GIB
/** All files of one environment together. */
export const ENVIRONMENT_BYTES_MAX = 256 * GIB

/** Blobs up to this size are decoded and hashed in one call; larger ones are streamed. */
export const BLOB_WHOLE_BYTES_MAX = 1 * MIB
/** A gzip blob of the library is decoded at once up to this size while it is placed: two threads hold one each. */
export const BLOB_DECODED_BYTES_MAX = 4 * MIB
/** Files to place for which a second thread is started, which takes some 10 ms: below it one is as fast. */
export const SECOND_THREAD_FILES_MIN = 512
/** Notes of verified blobs, 72 bytes each: 900,000 of them. */
export const NOTES_BYTES_MAX = 64 * MIB

/** Blobs that `optimize` turns in memory, at rest and decoded; larger ones are read twice. Two Workers do this at once. */
export const RECODE_WHOLE_BYTES_MAX = 32 * MIB
/** Blobs that one Worker is given at once: some milliseconds of work, so that two Workers end together. */
export const RECODE_BATCH_BLOBS = 32
/** How long `optimize` keeps rcc waiting, and for how long it then stands back: a waiting flock needs microseconds. */
export const RECODE_TURN_MS = 1_000
export const RECODE_PAUSE_MS = 20

/** Blobs of one fetch that are asked for or being written at the same time, over all sources. */
export const BLOBS_IN_FLIGHT_MAX = 256
/** How long a blob that no present source delivers waits for another source to appear. */
export const SOURCE_GRACE_MS = 3_000

/** Bootstrap addresses of one fleet or settings file: a few per site. */
export const BOOTSTRAPS_MAX = 64

/** Addresses heard by multicast that are remembered at once: each is of a member, or a copy of what one has sent. */
export const HEARD_ADDRESSES_MAX = 128
/** Records looked at in one multicast packet: a beacon has four, a packet of 9,000 bytes has room for some hundred. */
export const BEACON_RECORDS_MAX = 256
/** Unicast answers that a beacon gives in one second: queries cost a stranger nothing, and answers are longer. */
export const BEACON_ANSWERS_PER_SECOND_MAX = 20
/** Interfaces that a beacon listens on: those of containers can be hundreds. */
export const BEACON_INTERFACES_MAX = 16

/** Peers remembered as unreachable: 4,096 take about 1 MiB of memory. */
export const RESTING_PEERS_MAX = 4096

/** A daemon that lets a command wait longer than this for any sign of life is taken for hung. */
export const CONTROL_ANSWER_MS = 2_000
/** A question that the daemon passes on to its peers. */
export const CONTROL_FIND_MS = 15_000

/** A step of streamed reading, writing, hashing and decoding: large enough that calls do not count. */
export const CHUNK_BYTES = 256 * KIB
/** What a lying gzip stream may make the fast decoder allocate for a moment; others are stopped at the size they claim. */
export const GZIP_BOMB_BYTES_MAX = 32 * MIB
/** A recording reads synchronously; the event loop gets its turn after some milliseconds of it. */
export const RECORD_FILES_PER_TURN = 64
export const RECORD_BYTES_PER_TURN = 4 * MIB
/** How long to sleep between two attempts at a lock that another process holds. */
export const LOCK_RETRY_MS = 50
/** rcc drops notes on lock holders that were not renewed for 35 s; it renews its own every 7 s. */
export const LOCK_NOTE_RENEWAL_MS = 7_000
export const LOCK_NOTE_STALE_MS = 35_000
/** /etc/passwd: 100,000 users of some 60 bytes take 6 MiB. */
export const PASSWD_BYTES_MAX = 16 * MIB
/** A temporary file of a run that ended, older than this, is swept away even where its process id lives again. */
export const TEMPORARY_AGE_MS_MAX = 60 * 60 * 1000
/** File changes in the catalog directory come in bursts: one look after this much quiet. */
export const CATALOG_SETTLE_MS = 100
/** A look at the catalog directory without any event: file events get lost on network volumes and in overflows. */
export const CATALOG_POLL_MS = 20_000
/** The same while a catalog lacks blobs: rcc writes a catalog before its blobs, and blobs raise no event here. */
export const CATALOG_POLL_INCOMPLETE_MS = 1_000

/** Fleets of one machine: each costs a topic and one proof per connection. */
export const FLEETS_MAX = 16
/** Old secrets of one fleet that count beside the present one: each costs a topic and a proof per connection. */
export const PREVIOUS_SECRETS_MAX = 3
/** How long an old secret may count at most. */
export const GRACE_MS_MAX = 90 * 24 * 60 * 60 * 1000
/** fleets.json: 16 fleets with 64 bootstraps of 260 characters take 270 KiB. */
export const FLEETS_JSON_BYTES_MAX = 512 * KIB
/** One invite, as pasted by a person; a fleet with 64 bootstraps takes about 23,000 characters. */
export const INVITE_CHARACTERS_MAX = 32 * KIB

/** One signature as a line of JSON: some 700 bytes, but the base of a holotree may be as long as a path, all of it escaped. */
export const SIGNATURE_BYTES_MAX = 32 * KIB
/** Signatures of one catalog, one a key: its builder, a few release keys, some machines that hold it. Together half a frame. */
export const SIGNATURES_MAX = 16
/** A daemon that hashes what it holds, to sign it, rests so many times as long as it has worked: a quarter of a core. */
export const HOLDER_SIGN_REST = 3
/** Keys whose last word on one catalog name is kept: what an older one is held against outlives what it was said of. */
export const SIGNATURE_KEYS_MAX = 256
/** The note where a catalog came from: one line. */
export const ORIGIN_BYTES_MAX = 4 * KIB
/** Keys in a list of trusted or revoked ones: a few publishers, and every machine that was ever lost. */
export const TRUSTED_KEYS_MAX = 1024
/** The file of both lists: 2,048 entries of some 250 bytes. */
export const TRUST_JSON_BYTES_MAX = 1 * MIB
/** Signing keys of one machine, each a file. */
export const SIGNING_KEYS_MAX = 64

/** Bytes of one blob or catalog that travel in one frame: several UDP packets, and still little to wait for. */
export const CHUNK_BYTES_MAX = 64 * KIB
/** One frame of a link, header included: far above what our messages need, far below what hurts. */
export const FRAME_BYTES_MAX = 1 * MIB
/**
 * What environments travel in: some hundred pieces for ten thousand blobs. Compression wants them large, a crowd small;
 * a group has no more blobs than one want can name.
 */
export const PIECE_BYTES = 1 * MIB
export const PIECE_BLOBS_MAX = 1024
/** Pieces of one environment: one of `ENVIRONMENT_BYTES_MAX`, or of a million one-blob groups, would have that many. */
export const PIECES_MAX = 1_048_576
/** The wire form of one piece: raw, or less. */
export const PIECE_WIRE_BYTES_MAX = PIECE_BYTES
/** Bytes of a piece in one frame: a lane takes large ones with few calls, and other frames wait for one at most. */
export const PIECE_CHUNK_BYTES_MAX = 128 * KIB
/** Pieces in one word about what has been got. */
export const PIECES_TOLD_MAX = 4096
/** What a limited rate lets go at once after a pause, as time at that rate. */
export const RATE_BURST_MS = 100
/** Above 150 Mbit/s a piece is sent raw sooner than it is made small (limits.md §5). */
export const FAST_LINK_BYTES_PER_SECOND = 19_000_000
/** A piece of which less is missing here is not fetched whole: its blobs are. Its small form is a third of it. */
export const PIECE_MISSING_SHARE_MIN = 1 / 3
/** An environment that was just fetched is served as one on its way until it is seen in the library, or for so long. */
export const HAND_OVER_MS_MAX = 5_000
/** How long one peer is sent a catalog while pieces, and other peers' catalogs, wait. */
export const CATALOG_TURN_MS = 1_000
/** A catalog larger than this is passed on once it is whole only; one of 12,000 files takes 744 kB. */
export const COMING_CATALOG_BYTES_MAX = 8 * MIB
/** Catalogs that are passed on while they come, and how long each is kept after that: until it is known what it is. */
export const COMING_CATALOGS_MAX = 4
export const COMING_CATALOGS_KEPT_MS = 5_000
/** How often peers are told of pieces that were just fetched, at most. */
export const HOLDINGS_BATCH_MS = 50
/** What zstd leaves of an environment, for planning: Python ones take 0.3 to 0.35. */
export const FRAME_SHARE_EXPECTED = 0.35
/** How long a daemon leaves what has come alone before it makes pieces ready: whoever asks first is served first. */
export const PREPARE_QUIET_MS = 30_000
/** Catalogs that one peer may hold partly: a machine fetches one or two environments at a time. */
export const PARTIAL_CATALOGS_MAX = 8
/** Attempts at one large blob whose ranges are remembered, 32 bytes a range, to name liars later: each costs one of them. */
export const RANGE_ATTEMPTS_MAX = 8
/** Prepared frames of all catalogs, which spare the time of making them: 20 environments of 180 MB raw each. */
export const PIECE_STORE_BYTES = 1 * GIB
/** Catalogs that have a file of frames or a table. */
export const PIECE_STORE_CATALOGS_MAX = 256
/** Frames that wait for a slow disk; beyond that they are not kept. */
export const FRAMES_WAITING_BYTES_MAX = 16 * MIB
/** Catalogs whose pieces are known to a process that serves: 10,000 blobs take half a MiB. */
export const SERVED_CATALOGS_MAX = 32
/** Levels of zstd for what is waited for and what is made ahead, once for a whole fleet: 0.25 in 7 ms a piece, 0.22 in 180. */
export const FRAME_LEVEL = 6
export const FRAME_LEVEL_AHEAD = 19
/** A frame that is not shorter than its content by so much is not worth its decoding. */
export const FRAME_GAIN_MIN = 0.05
/** Decoded copies of large blobs that are gzip at rest, which cannot be read in ranges: on disk, for each Worker. */
export const DECODED_COPIES_BYTES_MAX = 512 * MIB
/** Workers that read, verify and compress what is served; and how long without work until they are ended. */
export const SERVE_WORKERS_MAX = 2
export const SERVE_WORKERS_IDLE_MS = 30_000
/** How nice the thread is that makes tables and frames ahead: any other work comes first. */
export const BACKGROUND_NICE = 15
/** Workers that verify and write what comes over the wire: four connections gain nothing over two (limits of disks, too). */
export const INGEST_WORKERS_MAX = 4
/** How long a Worker that is ended has for what it has begun, so that it closes its files; then it is cut off. */
export const WORKER_END_MS = 1_000
/** Small blobs of the path by digest are handed to a Worker when so many bytes have gathered, or the event loop has turned. */
export const INGEST_BATCH_BYTES = 256 * KIB
export const INGEST_BATCH_BLOBS = 64
/** Bytes of one large blob that wait for its Worker: its source is asked for more when they are written. */
export const INGEST_AHEAD_BYTES = 2 * MIB
/** Pieces that one want, or refusal, may name on the wire. */
export const PIECES_NAMED_MAX = 128
/**
 * Pieces that one want may offer a seed to choose from. Simulated, a crowd of 8 takes 1.13 times as long as one alone with
 * 1 and 1.02 with 8 or more; one of 24 1.20 and 1.07 to 1.08 (test/sim).
 */
export const PIECE_CHOICES_MAX = 32
/** Raw bytes of one fetch that are asked for and not at rest yet: what a peer may make us hold, whatever it sends. */
export const FETCH_IN_FLIGHT_BYTES_MAX = 64 * MIB
/** Pieces asked of one peer at once: two, so that the wire never waits; at most what 1 GB/s needs over 30 ms. */
export const PEER_PIECES_IN_FLIGHT_MIN = 2
export const PEER_PIECES_IN_FLIGHT_MAX = 32
/** A peer that owes us pieces is not stalled while it sends this much in `PEER_STALL_MS`: a byte a second is no progress. */
export const PEER_STALL_BYTES = 16 * KIB
/** Pieces that a peer may refuse though it announced them, before nothing more is asked of it. */
export const PEER_REFUSALS_MAX = 64
/** Digests in one want or ask. */
export const WANT_DIGESTS_MAX = 1024
/** Questions that one peer may have open at us, and the digests in them. */
export const REQUESTS_OPEN_MAX = 256
export const REQUESTED_DIGESTS_MAX = 8192
/** Catalogs in one `have` frame, and in all that one peer may announce: 4,096 take about 1 MiB of memory. */
export const HAVE_ENTRIES_MAX = 1024
export const PEER_CATALOGS_MAX = 4096
/** `hello`: who is speaking, for people. */
export const AGENT_BYTES_MAX = 64
/** `bye`: why, for people. */
export const BYE_TEXT_BYTES_MAX = 256
/** A peer that has not said hello by then is not one of us. */
export const HELLO_DEADLINE_MS = 5_000
/** Blobs under way from one peer: with 64 of 8 KiB a Hyperswarm stream ran at 80 % of what it does with 256. */
export const PEER_BLOBS_IN_FLIGHT_MAX = 256
/** Bytes that a peer may send before we have consumed earlier ones: 1 Gbit/s at 32 ms; 16 peers make 64 MiB. */
export const PEER_CREDIT_BYTES = 4 * MIB
/** A peer that owes us something and sends no byte of it for so long is given up. */
export const PEER_STALL_MS = 10_000
/**
 * Connected members that a daemon looks for, while it lacks nothing; with fewer it calls others. The fleet then stays one graph, of diameter 3 at
 * 1,000 machines and 4 to 6 at 10,000, and everybody knows everybody up to 25 machines (`bench/graph.ts`).
 */
export const PEERS_WANTED = 24
/**
 * Connected members of one process, those that came to us included. More than twice what each looks for: were everybody
 * full with those that they called themselves, whoever comes next would find no room.
 */
export const PEERS_MAX = 64
/**
 * Connected members while this machine lacks something, and of a command: room is left for those that are found by what
 * they hold, of whom `PEERS_SOUGHT_MAX` are called at a time.
 */
export const PEERS_SOUGHT_MAX = 8
export const PEERS_WIDE = PEERS_MAX - PEERS_SOUGHT_MAX
/**
 * A catalog that fewer neighbours hold is announced for itself: what a tenth of a fleet holds, one of the 56 machines that
 * are asked holds but for 3 cases in 1,000, and then others announce it (`bench/graph.ts`).
 */
export const RARE_HOLDERS = 3
/** Catalogs that are announced for themselves: each takes 3 packets a minute in a DHT of 9 nodes, 12 in one of 120. */
export const RARE_CATALOGS_MAX = 64
/** How often to look which those are; they are announced every ten minutes. */
export const RARE_LOOK_MS = 10_000
/** Connections that have not proved anything yet, beside those: each lasts `HELLO_DEADLINE_MS` at most. */
export const STRANGERS_MAX = 32
/** How long a peer that lied or broke the protocol is shut out: its disk may be mended meanwhile. */
export const BAN_MS = 60 * 60 * 1000
/** Things that we do not have and never told of, which one peer may ask for before it is taken for hostile. */
export const BAD_REQUESTS_MAX = 64
/** Keys that one process shuts out: 4,096 take about 1 MiB of memory. */
export const BANNED_KEYS_MAX = 4096
/** Entries of an allow-list or ban-list: every machine of a large fleet. */
export const KEY_RULES_MAX = 16_384
/** Direct calls that were answered and have not finished their handshake: each lasts 3 s at most. */
export const DIRECT_PENDING_MAX = 32
/** How long after the first connection a fresh swarm waits for other holders at most, before it believes a majority. */
export const MAJORITY_GRACE_MS = 50
/** How long those who are connected have to say what they hold, where nobody else is on the way: some round trips of a LAN. */
export const MAJORITY_TOLD_MS = 10
/** An orderly end of the swarm (unannounce, bye) may take so long before it is cut off. */
export const SWARM_CLOSE_MS = 1_500

/** Entries of a hololib.zip: all blobs of several environments. */
export const ZIP_ENTRIES_MAX = 2_000_000
/** Its central directory: about 150 bytes an entry. */
export const ZIP_DIRECTORY_BYTES_MAX = 512 * MIB

/** Usage stamps younger than this are left alone in lite mode: rcc's clean-up counts in days. */
export const LITE_STAMP_AGE_MS = 24 * 60 * 60 * 1000

/** How long a fetch waits for another one of the same environment on this machine: as long as that may take on a slow line. */
export const FETCH_LOCK_WAIT_MS = 6 * 60 * 60 * 1000
/** How long a restore waits for another process that restores into the same space: a large cold restore of rcc. */
export const LOCK_WAIT_MS = 120_000

/** How long a command waits for the first member of its fleet to answer. */
export const MEMBER_WAIT_MS = 5_000
/** How long it then waits for a member that has the environment: others may still be connecting. */
export const CATALOG_WAIT_MS = 2_000

/** How long a command waits for another one that changes our state; a change takes some milliseconds. */
export const STATE_LOCK_WAIT_MS = 10_000

/** How often a daemon looks whether settings.yaml has changed: a look takes some microseconds. */
export const SETTINGS_LOOK_MS = 2_000

/** A wait for a time of day is looked at again after so long, since clocks are set. */
export const WALL_CLOCK_LOOK_MS = 3_600_000

/** How long a process that ends waits for its goodbyes to arrive. */
export const GOODBYE_MS = 300
