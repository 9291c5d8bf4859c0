/**
 * What a command and the daemon say to each other over the control socket: HTTP on a unix socket in our 0700 state
 * folder, JSON bodies, and one JSON event a line where an answer takes long. Schemas only; both ends check with them.
 */
import { z } from 'zod'

const catalog = z.string().max(64)
const sha256 = z.string().regex(/^[0-9a-f]{64}$/)
const count = z.int().min(0)

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

export const status = z.object({
  version: z.string().max(100),
  pid: count,
  fleets: z.array(z.string().max(100)).max(100),
  key: z.string().max(100),
  port: count,
  lanePort: count,
  catalogs: z.array(catalog).max(100_000),
  peers: z.array(peerStatus).max(100_000),
  substituters: z.array(substituterStatus).max(1_000),
})
export type DaemonStatus = z.infer<typeof status>

/**
 * `local`: SHA-256 of the decoded catalog that the library holds, which wins where peers differ. `refresh`: ask again
 * what is remembered of substituters.
 */
export const findRequest = z.strictObject({ catalog, local: sha256.optional(), refresh: z.boolean().optional() })
export type FindRequest = z.infer<typeof findRequest>
/** `stored` is the gzip form, base64. */
export const findAnswer = z.object({
  source: z.string().max(300),
  sha256,
  stored: z.string(),
  warnings: z.array(z.string().max(10_000)).max(100),
})
export type FindAnswer = z.infer<typeof findAnswer>

export const fetchRequest = z.strictObject({ catalog, sha256 })

/** One line of the answer to a fetch; a progress line comes at least once a second, or the daemon hangs. */
export const fetchEvent = z.discriminatedUnion('event', [
  z.object({ event: z.literal('progress'), totals, blobs: count }),
  z.object({ event: z.literal('done'), totals }),
  z.object({ event: z.literal('failed'), totals, error: wireError }),
])
export type FetchEvent = z.infer<typeof fetchEvent>
