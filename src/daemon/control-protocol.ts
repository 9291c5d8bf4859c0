/**
 * What a command and the daemon say to each other over the control socket: HTTP on a unix socket in our 0700 state
 * folder, JSON bodies, and one JSON event a line where an answer takes long. Schemas only; both ends check with them.
 */
import { SIGNATURE_BYTES_MAX, SIGNATURES_MAX } from '../base/limits.ts'
import { z } from '../base/schema.ts'

const catalog = z.string().max(64)
const sha256 = z.string().regex(/^[0-9a-f]{64}$/)
const count = z.int().min(0)
const grounds = z.enum(['own', 'trusted-key', 'member', 'proved-member', 'trusted-source'])

/** Code of the error of a daemon that does not know what it is asked: the command is newer, or older. */
export const CONTROL_UNKNOWN = 'control-unknown'

/** An error as it stands in `--json` and on the control socket. */
export const wireError = z.object({
  code: z.string().max(100),
  blame: z.enum(['input', 'missing', 'trust', 'source', 'host', 'locked']),
  message: z.string().max(10_000),
  hint: z.string().max(1_000).optional(),
})
export type WireError = z.infer<typeof wireError>

export const totals = z.object({
  blobs: count,
  blobBytes: count,
  wireBytes: count,
  firstByteMs: z.number().min(0).optional(),
  bySource: z.record(z.string().max(300), count),
  dropped: z.record(z.string().max(300), wireError),
})
export type WireTotals = z.infer<typeof totals>

export const peerStatus = z.object({
  name: z.string().max(300),
  address: z.string().max(300),
  /** Of the machine. */
  fingerprint: z.string().max(100),
  /** The machine's key, in hex. */
  key: z.string().max(100),
  role: z.enum(['daemon', 'client']),
  agent: z.string().max(100),
  catalogs: count,
  sentBytes: count,
  /** Whether bulk goes over a lane now. */
  lane: z.boolean(),
  roundTripMs: z.number().min(0).optional(),
})
export type PeerStatus = z.infer<typeof peerStatus>

/** How a substituter does: one that failed rests for a while. */
export const substituterStatus = z.object({
  name: z.string().max(3_000),
  state: z.enum(['well', 'resting']),
  restsForMs: z.number().min(0),
  /** Failures in a row. */
  failures: count,
  lastError: z.string().max(10_000).optional(),
})
export type SubstituterStatus = z.infer<typeof substituterStatus>
/** On whose word an environment is served; as reports have it. */
const published = z.object({
  catalog,
  grounds,
  signer: z
    .object({
      name: z.string().max(100),
      key: z.string().max(200),
      role: z.enum(['builder', 'holder']),
      time: z.string().max(40),
      serial: count,
    })
    .nullable(),
  signers: z.array(z.string().max(100)).max(1_000),
  origin: z.object({ source: z.string().max(300), time: z.string().max(40) }).nullable(),
})

export const status = z.object({
  version: z.string().max(100),
  pid: count,
  fleets: z.array(z.string().max(100)).max(100),
  key: z.string().max(100),
  port: count,
  lanePort: count,
  catalogs: z.array(catalog).max(100_000),
  published: z.array(published).max(100_000),
  peers: z.array(peerStatus).max(100_000),
  substituters: z.array(substituterStatus).max(1_000),
  /** Of blobs and pieces, since it started. */
  sentBytes: count,
  fetching: z.array(z.object({ catalog, blobs: count, done: count, wireBytes: count })).max(1_000),
  /** What one machine brings from substituters for all: `holder` is the peer that this machine waits for, null is itself. */
  leases: z.array(z.object({ catalog, holder: z.string().max(300).nullable() })).max(1_000),
  banned: z
    .array(
      z.object({
        name: z.string().max(300),
        fingerprint: z.string().max(100),
        /** The machine's key, in hex. */
        key: z.string().max(100),
        reason: z.string().max(10_000),
        code: z.string().max(100),
        /** ISO 8601, UTC. */
        until: z.string().max(40),
      }),
    )
    .max(10_000),
})
export type DaemonStatus = z.infer<typeof status>

/**
 * `local`: SHA-256 of the decoded catalog that the library holds, which wins where peers differ; `allowRollback`: an older
 * statement of a key will do; `refresh`: ask again what is remembered of substituters.
 */
export const findRequest = z.strictObject({
  catalog,
  local: sha256.optional(),
  allowRollback: z.boolean(),
  refresh: z.boolean(),
})
export type FindRequest = z.infer<typeof findRequest>
const signatures = z.array(z.string().max(SIGNATURE_BYTES_MAX)).max(SIGNATURES_MAX)
/** On whose word the daemon takes a catalog; signatures as they travel, where `isSigned` the first one is why. */
const publication = z.object({
  grounds,
  isSigned: z.boolean(),
  believed: signatures,
  strangers: signatures,
})
export type WirePublication = z.infer<typeof publication>

const found = {
  source: z.string().max(300),
  published: publication,
  warnings: z.array(z.string().max(10_000)).max(100),
}

/** `stored` is the gzip form, base64. */
export const findAnswer = z.object({ ...found, sha256, stored: z.string() })
export type FindAnswer = z.infer<typeof findAnswer>

export const fetchRequest = z.strictObject({ catalog, sha256 })

/** One line of the answer to a fetch; a progress line comes at least once a second, or the daemon hangs. */
export const fetchEvent = z.discriminatedUnion('event', [
  z.object({ event: z.literal('progress'), totals, blobs: count }),
  z.object({ event: z.literal('done'), totals }),
  z.object({ event: z.literal('failed'), totals, error: wireError }),
])
export type FetchEvent = z.infer<typeof fetchEvent>

/**
 * The same where an environment is found and fetched in one go, by a request as for finding it: the first line tells what
 * was found. `blobs` is of all of it, `missing` what the library lacked of that.
 */
const foundEvent = z.object({
  event: z.literal('found'),
  ...found,
  blobs: count,
  missing: z.object({ blobs: count, bytes: count }),
})
export type FoundEvent = z.infer<typeof foundEvent>
export const bringEvent = z.discriminatedUnion('event', [foundEvent, ...fetchEvent.options])
export type BringEvent = z.infer<typeof bringEvent>
