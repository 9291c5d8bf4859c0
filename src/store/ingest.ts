/**
 * The only place where bytes become a blob.
 *
 * Content is decoded, counted against the catalog's size, hashed while it is written to a temporary name, and renamed
 * only where digest and size are right. At rest it is raw, which rcc reads as it reads gzip (formats.md §6) and which
 * can be cloned, unless the settings want gzip; content that begins like gzip itself is always stored gzip, since a
 * reader would decode it once too often. Knows nothing of sources but their name.
 */
import { HoloError } from '../base/errors.ts'
import { BLOB_BYTES_MAX, BLOB_WHOLE_BYTES_MAX } from '../base/limits.ts'
import { isSha256, sha256Hasher, sha256Of } from '../blob/digest.ts'
import {
  beginsLikeGzip,
  type Compression,
  GzipError,
  gunzipExactly,
  gunzipStream,
  gzipBytesMax,
  gzipStream,
  gzipWhole,
} from '../blob/gzip.ts'
import type { BlobForm, BlobNotes } from '../blob/notes.ts'
import type { BlobRef, BlobStream } from '../blob/source.ts'
import type { LibraryFiles, WrittenFile } from './library-files.ts'

export interface IngestPlace {
  readonly files: LibraryFiles
  /** Directory of the temporaries, on the same disk as `target`. */
  readonly temporaries: string
  /** Absolute path of the blob. */
  readonly target: string
  readonly compression: Compression
  /** Where it is noted that the blob was verified; to be flushed by the caller. */
  readonly notes: Pick<BlobNotes, 'add'>
}

/**
 * Read `stream` to its end and make it the blob `ref`; on any failure nothing is left behind.
 *
 * @returns bytes of the file at rest
 * @throws {HoloError} blame `source`, code `blob-corrupt`: other bytes than asked for; a stream that claims more is
 *   stopped one chunk after the size that `ref` tells
 * @throws {HoloError} blame `input`: no SHA-256 digest, or a size over `BLOB_BYTES_MAX`
 * @throws {HoloError} blame `host` when writing fails; whatever the stream throws, unchanged
 * @throws `signal.reason`, unwrapped, once `signal` aborts
 */
export async function ingestBlob(
  place: IngestPlace,
  ref: BlobRef,
  stream: BlobStream,
  signal: AbortSignal,
): Promise<number> {
  signal.throwIfAborted()
  checkRef(ref)
  try {
    if (ref.sizeBytes > BLOB_WHOLE_BYTES_MAX) return await ingestStreamed(place, ref, stream, signal)
    return ingestContent(place, ref, await readWhole(ref, stream, signal), stream.source)
  } catch (error) {
    if (error instanceof GzipError) throw corrupt(ref, stream, `it ${error.message}`)
    throw error
  }
}

/**
 * The same at once for the decoded content of a small blob.
 *
 * @param source who sent it
 * @throws {HoloError} blame `source`, code `blob-corrupt`; blame `host` when writing fails
 */
export function ingestContent(place: IngestPlace, ref: BlobRef, content: Uint8Array, source: string): number {
  const fault = contentFault(ref, content)
  if (fault !== undefined) throw corrupt(ref, { source }, fault)
  const form = formAtRest(place.compression, content)
  const atRest = form === 'gzip' ? gzipWhole(content) : content
  return noted(place, ref, form, place.files.write(place.target, atRest, place.temporaries))
}

/** @param head of the content: three bytes are enough */
export function formAtRest(compression: Compression, head: Uint8Array): BlobForm {
  return compression === 'gzip' || beginsLikeGzip(head) ? 'gzip' : 'identity'
}

/** Why these bytes are not that blob, for the end of `corrupt`'s sentence; undefined where they are. */
export function contentFault(ref: BlobRef, content: Uint8Array): string | undefined {
  if (content.byteLength !== ref.sizeBytes) return wrongSize(content.byteLength, ref)
  const actual = sha256Of(content)
  return actual === ref.digest ? undefined : `its SHA-256 is ${actual}`
}

/** @throws {HoloError} blame `input`: as `ingestBlob` */
export function checkRef(ref: BlobRef): void {
  if (!isSha256(ref.digest)) {
    throw new HoloError(`Blob ${ref.digest} is not named by a SHA-256, so bytes from elsewhere cannot be checked`, {
      code: 'digest-not-sha256',
      blame: 'input',
      hint: 'fetch environments that were recorded in a library without compress.no',
    })
  }
  if (!Number.isSafeInteger(ref.sizeBytes) || ref.sizeBytes < 0 || ref.sizeBytes > BLOB_BYTES_MAX) {
    throw new HoloError(`Blob ${ref.digest} has ${ref.sizeBytes} bytes; at most ${BLOB_BYTES_MAX} are taken`, {
      code: 'blob-too-large',
      blame: 'input',
    })
  }
}

/** Decoded content of a small blob. */
async function readWhole(ref: BlobRef, stream: BlobStream, signal: AbortSignal): Promise<Uint8Array> {
  const stored = await readStored(ref, stream, signal)
  return stream.encoding === 'gzip' ? gunzipExactly(stored, ref.sizeBytes) : stored
}

/**
 * A small blob as it comes, all of it: bounded by what the form can make of its size.
 *
 * @throws {HoloError} blame `source`, code `blob-corrupt`: it goes on after that; whatever the stream throws;
 *   `signal.reason`
 */
export async function readStored(ref: BlobRef, stream: BlobStream, signal: AbortSignal): Promise<Uint8Array> {
  const storedMax = stream.encoding === 'gzip' ? gzipBytesMax(ref.sizeBytes) : ref.sizeBytes
  const chunks: Uint8Array[] = []
  let storedBytes = 0
  for await (const chunk of stream.bytes) {
    signal.throwIfAborted()
    storedBytes += chunk.byteLength
    if (storedBytes > storedMax) throw corrupt(ref, stream, `it goes on after ${storedMax} bytes`)
    chunks.push(chunk)
  }
  signal.throwIfAborted()
  const [only] = chunks
  return chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks, storedBytes)
}

/** A large blob, with memory for some chunks. */
async function ingestStreamed(
  place: IngestPlace,
  ref: BlobRef,
  stream: BlobStream,
  signal: AbortSignal,
): Promise<number> {
  const { files, temporaries, target, compression } = place
  const decoded = stream.encoding === 'gzip' ? gunzipStream(stream.bytes, ref.sizeBytes) : stream.bytes
  const content = verified(decoded, ref, stream, signal)
  let form: BlobForm = 'gzip'
  const atRest =
    compression === 'gzip'
      ? gzipStream(content)
      : unlessGzip(content, (found) => {
          form = found
        })
  const written = await files.writeChunks(target, atRest, temporaries)
  return noted(place, ref, form, written)
}

function noted({ notes }: IngestPlace, { digest }: BlobRef, form: BlobForm, { bytes, stamp }: WrittenFile): number {
  notes.add(digest, form, stamp, 0)
  return bytes
}

/** Pass chunks through, and throw at the end, or as soon as they are too many, unless they are the blob. */
async function* verified(
  chunks: AsyncIterable<Uint8Array>,
  ref: BlobRef,
  stream: BlobStream,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const hasher = sha256Hasher()
  let total = 0
  for await (const chunk of chunks) {
    signal.throwIfAborted()
    total += chunk.byteLength
    if (total > ref.sizeBytes) throw corrupt(ref, stream, `it goes on after ${ref.sizeBytes} bytes`)
    hasher.update(chunk)
    yield chunk
  }
  signal.throwIfAborted()
  if (total !== ref.sizeBytes) throw corrupt(ref, stream, wrongSize(total, ref))
  const actual = hasher.digest()
  if (actual !== ref.digest) throw corrupt(ref, stream, `its SHA-256 is ${actual}`)
}

/** Content as it is, or gzip where its first three bytes, which may come in pieces, look like gzip. */
async function* unlessGzip(
  content: AsyncGenerator<Uint8Array>,
  onForm: (form: BlobForm) => void,
): AsyncGenerator<Uint8Array> {
  let head = new Uint8Array(0)
  while (head.byteLength < 3) {
    const next = await content.next()
    if (next.done === true) break
    head = Buffer.concat([head, next.value])
  }
  async function* whole(): AsyncGenerator<Uint8Array> {
    yield head
    yield* content
  }
  const form = beginsLikeGzip(head) ? 'gzip' : 'identity'
  onForm(form)
  yield* form === 'gzip' ? gzipStream(whole()) : whole()
}

function wrongSize(actualBytes: number, ref: BlobRef): string {
  return `it has ${actualBytes} bytes instead of ${ref.sizeBytes}`
}

/** @param difference what is wrong, as a clause */
export function corrupt(
  ref: Pick<BlobRef, 'digest'>,
  stream: Pick<BlobStream, 'source'>,
  difference: string,
): HoloError {
  return new HoloError(`${stream.source} sent other bytes than blob ${ref.digest}: ${difference}`, {
    code: 'blob-corrupt',
    blame: 'source',
    hint: 'run `rcc holotree check` on that machine',
  })
}
