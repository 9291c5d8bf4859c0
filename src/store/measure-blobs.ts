/** How the files of many blobs look, by one question to the system for each: none is opened. */
import { nextTurn } from '../base/clock.ts'
import { type FileStamp, STAMP_LENGTH } from '../base/file-stamp.ts'
import { type Digest, type Sha256Digest, sha256Hasher } from '../blob/digest.ts'
import type { BlobTree } from '../blob/local.ts'
import { BlobPresence } from './blob-presence.ts'

/** One question takes some 3 µs; the event loop gets its turn after so many. */
const QUESTIONS_PER_TURN = 1024

export interface BlobMeasures {
  /** Bytes at rest, in the order of the question; NaN where a blob is not held. */
  readonly sizes: Float64Array
  /** SHA-256 of the digests and stamps: another one where any of the files was replaced. */
  readonly fingerprint: Sha256Digest
}

/**
 * Look at the files of `digests`. What is no regular file counts as not held.
 *
 * @throws `signal.reason` once `signal` aborts
 */
export async function measureBlobs(
  tree: BlobTree,
  digests: readonly Digest[],
  signal: AbortSignal,
): Promise<BlobMeasures> {
  const sizes = new Float64Array(digests.length)
  const stamps: FileStamp = new Uint32Array(STAMP_LENGTH * digests.length)
  using presence = new BlobPresence(tree)
  for (const [index, digest] of digests.entries()) {
    sizes[index] = presence.measure(digest, stamps, STAMP_LENGTH * index)
    if (index % QUESTIONS_PER_TURN === QUESTIONS_PER_TURN - 1) await nextTurn()
    signal.throwIfAborted()
  }
  // At once: an update for each blob costs another microsecond.
  const hasher = sha256Hasher()
  hasher.update(Buffer.from(digests.join('\n')))
  hasher.update(new Uint8Array(stamps.buffer))
  return { sizes, fingerprint: hasher.digest() as Sha256Digest }
}
