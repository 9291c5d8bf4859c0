/**
 * How recorded content becomes a blob of a `compress.no` library: raw, and named by SipHash-128 (formats.md §2).
 *
 * The sibling of ingest.ts for content that this machine itself has read; nothing that a peer sends comes this way.
 */
import { HoloError } from '../base/errors.ts'
import type { BlobRef, BlobStream } from '../blob/source.ts'
import { hasherFor } from '../catalog/hasher.ts'
import type { IngestPlace } from './ingest.ts'

/**
 * Write `stream`, hashing it again on its way, and make it the blob `ref`; on any failure nothing is left behind.
 *
 * @throws {HoloError} blame `source`, code `blob-corrupt`: other bytes than `ref` tells; blame `host` when writing fails
 * @throws `signal.reason`, unwrapped, once `signal` aborts
 */
export async function putRawBlob(
  { files, temporaries, target, notes }: Pick<IngestPlace, 'files' | 'temporaries' | 'target' | 'notes'>,
  ref: BlobRef,
  stream: BlobStream,
  signal: AbortSignal,
): Promise<void> {
  const { stamp } = await files.writeChunks(target, verified(ref, stream, signal), temporaries)
  notes.add(ref.digest, 'identity', stamp, 0)
}

async function* verified(ref: BlobRef, stream: BlobStream, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const hasher = hasherFor(ref.digest)
  let total = 0
  for await (const chunk of stream.bytes) {
    signal.throwIfAborted()
    total += chunk.byteLength
    hasher.update(chunk)
    yield chunk
  }
  if (total === ref.sizeBytes && hasher.digest() === ref.digest) return
  throw new HoloError(`${stream.source} gave other bytes than blob ${ref.digest}`, {
    code: 'blob-corrupt',
    blame: 'source',
  })
}
