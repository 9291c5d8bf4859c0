/**
 * How recorded content becomes a blob of a `compress.no` library: raw, and named by SipHash-128 (formats.md §2).
 *
 * The sibling of ingest.ts for content that this machine itself has read; nothing that a peer sends comes this way.
 */
import * as fs from 'node:fs'
import { HoloError } from '../base/errors.ts'
import type { BlobRef, BlobStream } from '../blob/source.ts'
import { hasherFor } from '../catalog/hasher.ts'
import type { IngestPlace } from './ingest.ts'
import { removeQuietly, writeAll } from './library-files.ts'
import { temporaryIn } from './temporary.ts'

/**
 * Write `stream`, hashing it again on its way, and make it the blob `ref`; on any failure nothing is left behind.
 *
 * @throws {HoloError} blame `source`, code `blob-corrupt`: other bytes than `ref` tells; blame `host` when writing fails
 * @throws `signal.reason`, unwrapped, once `signal` aborts
 */
export async function putRawBlob(
  { files, temporaries, target }: Pick<IngestPlace, 'files' | 'temporaries' | 'target'>,
  ref: BlobRef,
  stream: BlobStream,
  signal: AbortSignal,
): Promise<void> {
  const hasher = hasherFor(ref.digest)
  const temporary = temporaryIn(temporaries)
  const descriptor = files.create(temporary)
  let total = 0
  try {
    try {
      for await (const chunk of stream.bytes) {
        signal.throwIfAborted()
        total += chunk.byteLength
        hasher.update(chunk)
        writeAll(descriptor, chunk, target)
      }
    } finally {
      fs.closeSync(descriptor)
    }
    if (total !== ref.sizeBytes || hasher.digest() !== ref.digest) {
      throw new HoloError(`${stream.source} gave other bytes than blob ${ref.digest}`, {
        code: 'blob-corrupt',
        blame: 'source',
      })
    }
    files.rename(temporary, target)
  } catch (error) {
    removeQuietly(temporary)
    throw error
  }
}
