/**
 * Give one blob of the library its other form, raw or gzip, in place.
 *
 * The content is hashed before anything is written, so no claim of a damaged file reaches the disk; the new file
 * appears by rename, so readers have the one or the other. Content that begins like gzip stays gzip, since rcc would
 * decode it once too often. Knows nothing of catalogs: the digest is all it takes.
 */
import { BLOB_BYTES_MAX, RECODE_WHOLE_BYTES_MAX } from '../base/limits.ts'
import { type Sha256Digest, sha256Hasher, sha256Of } from '../blob/digest.ts'
import {
  beginsLikeGzip,
  type Compression,
  claimedBytes,
  GzipError,
  gunzipExactly,
  gunzipStream,
  gzipStream,
  gzipWhole,
} from '../blob/gzip.ts'
import type { StoredBlob } from '../blob/local.ts'
import { openStoredBlob } from './blob-file.ts'
import type { LibraryFiles } from './library-files.ts'

export interface RecodePlace {
  readonly files: LibraryFiles
  /** Directory of the temporaries, on the same disk as `path`. */
  readonly temporaries: string
  /** Absolute path of the blob. */
  readonly path: string
}

/**
 * What became of a blob: `kept` is in the other form for good, `already` was in the wanted one, `absent` has gone
 * meanwhile, `corrupt` was left as it was.
 */
export type Recoded =
  | { readonly outcome: 'converted' | 'kept' | 'already'; readonly bytesBefore: number; readonly bytesAfter: number }
  | { readonly outcome: 'absent' }
  /** What is wrong with it, as the end of the sentence `the blob …`. */
  | { readonly outcome: 'corrupt'; readonly bytesBefore: number; readonly fault: string }

/**
 * @param to the wanted form
 * @param write false to find out everything and change nothing
 * @throws {HoloError} blame `host` when reading or writing fails: then the blob is as it was, and nothing else is left
 * @throws `signal.reason`, unwrapped, once `signal` aborts, during a large blob too
 */
export async function recodeBlob(
  place: RecodePlace,
  digest: Sha256Digest,
  { to, write }: { readonly to: Compression; readonly write: boolean },
  signal: AbortSignal,
): Promise<Recoded> {
  signal.throwIfAborted()
  using stored = openStoredBlob(place.path, digest)
  if (stored === undefined) return { outcome: 'absent' }
  const bytesBefore = stored.sizeBytes
  try {
    const whole = wholeContent(stored)
    if (whole === undefined) return await recodeStreamed(place, digest, stored, { to, write }, signal)
    const actual = sha256Of(whole)
    if (actual !== digest) return { outcome: 'corrupt', bytesBefore, fault: `has the digest ${actual}` }
    const outcome = outcomeOf(stored, to, whole)
    if (outcome !== 'converted') return { outcome, bytesBefore, bytesAfter: bytesBefore }
    const atRest = to === 'gzip' ? gzipWhole(whole) : whole
    if (write) place.files.write(place.path, atRest, place.temporaries)
    return { outcome, bytesBefore, bytesAfter: atRest.byteLength }
  } catch (error) {
    if (error instanceof GzipError) return { outcome: 'corrupt', bytesBefore, fault: error.message }
    throw error
  }
}

function outcomeOf({ encoding }: StoredBlob, to: Compression, head: Uint8Array): 'converted' | 'kept' | 'already' {
  if (encoding === (to === 'gzip' ? 'gzip' : 'identity')) return 'already'
  return to === 'raw' && beginsLikeGzip(head) ? 'kept' : 'converted'
}

/** @returns undefined where it is too large, or no single gzip stream that decodes to what its end claims */
function wholeContent(stored: StoredBlob): Uint8Array | undefined {
  if (stored.sizeBytes > RECODE_WHOLE_BYTES_MAX) return undefined
  const bytes = stored.whole()
  if (stored.encoding === 'identity') return bytes
  const sizeBytes = claimedBytes(bytes)
  if (sizeBytes > RECODE_WHOLE_BYTES_MAX) return undefined
  try {
    return gunzipExactly(bytes, sizeBytes)
  } catch (error) {
    // Several streams in a row: each tells only its own size.
    if (error instanceof GzipError) return undefined
    throw error
  }
}

/** The same with memory for some chunks: read once to know that it is right, and again to write it. */
async function recodeStreamed(
  { files, path, temporaries }: RecodePlace,
  digest: Sha256Digest,
  stored: StoredBlob,
  { to, write }: { readonly to: Compression; readonly write: boolean },
  signal: AbortSignal,
): Promise<Recoded> {
  const bytesBefore = stored.sizeBytes
  const content = () => verified(stored, digest, signal)
  let head = new Uint8Array(0)
  let contentBytes = 0
  for await (const chunk of content()) {
    if (head.byteLength < 3) head = Buffer.concat([head, chunk.subarray(0, 3)])
    contentBytes += chunk.byteLength
  }
  const outcome = outcomeOf(stored, to, head)
  if (outcome !== 'converted') return { outcome, bytesBefore, bytesAfter: bytesBefore }
  const atRest = to === 'gzip' ? gzipStream(content()) : content()
  if (write) return { outcome, bytesBefore, bytesAfter: (await files.writeChunks(path, atRest, temporaries)).bytes }
  if (to === 'raw') return { outcome, bytesBefore, bytesAfter: contentBytes }
  let bytesAfter = 0
  for await (const chunk of atRest) bytesAfter += chunk.byteLength
  return { outcome, bytesBefore, bytesAfter }
}

/** @throws {GzipError} at the end at the latest, where the content is not that of the blob */
async function* verified(stored: StoredBlob, digest: Sha256Digest, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const hasher = sha256Hasher()
  const bytes = stored.bytes()
  for await (const chunk of stored.encoding === 'gzip' ? gunzipStream(bytes, BLOB_BYTES_MAX) : bytes) {
    signal.throwIfAborted()
    hasher.update(chunk)
    yield chunk
  }
  const actual = hasher.digest()
  if (actual !== digest) throw new GzipError(`has the digest ${actual}`)
}
