/**
 * One blob file at rest: what form it has, its bytes as stored, and its digest.
 *
 * Form is sniffed as rcc does, by the gzip header; a blob named by SipHash-128 is always raw, since only a
 * `compress.no` library makes them (formats.md §2). A file may be replaced by its other form at any time (`optimize`),
 * so the form is always that of the very descriptor that the bytes are read from.
 */
import * as fs from 'node:fs'
import { hostError, systemCodeOf } from '../base/errors.ts'
import { type FileStamp, stampOf } from '../base/file-stamp.ts'
import { freeNow } from '../base/free-now.ts'
import { BLOB_BYTES_MAX, BLOB_WHOLE_BYTES_MAX, CHUNK_BYTES } from '../base/limits.ts'
import { giveBack, spareMemory } from '../base/spare-memory.ts'
import { type Digest, isSha256 } from '../blob/digest.ts'
import {
  beginsLikeGzip,
  GZIP_HEADER_BYTES_MAX,
  GzipError,
  gunzipExactly,
  gunzipStream,
  gzipBytesMax,
  isGzip,
} from '../blob/gzip.ts'
import type { LocalBlob, StoredBlob } from '../blob/local.ts'
import type { BlobRef } from '../blob/source.ts'
import { hasherFor } from '../catalog/hasher.ts'

// One buffer for every sniff: they are synchronous, and nothing keeps a view of it.
const sniffed = new Uint8Array(GZIP_HEADER_BYTES_MAX)

/** Files up to this size are read while they are open for the sniff: most blobs, and half of the system calls. */
const READ_AT_ONCE_BYTES_MAX = 64 * 1024

/** @returns undefined where no regular file stands at `path` @throws {HoloError} blame `host` */
export function findBlobFile(path: string, digest: Digest): LocalBlob | undefined {
  return withOpen(path, (descriptor, storedBytes, status) => {
    const stamp = stampOf(status)
    if (storedBytes > READ_AT_ONCE_BYTES_MAX) {
      return {
        path,
        form: sniff(descriptor, digest),
        storedBytes,
        stamp,
        whole: (sizeBytes) => readAgain(path, digest, sizeBytes),
        chunks: (bytesMax) => decodedChunks(path, digest, bytesMax),
      }
    }
    const stored = new Uint8Array(storedBytes)
    readFully(descriptor, stored, path)
    const form = isSha256(digest) && isGzip(stored) ? 'gzip' : 'identity'
    return {
      path,
      form,
      storedBytes,
      stamp,
      whole: (sizeBytes) => decodeWhole(stored, form, sizeBytes),
      chunks: (bytesMax) => (form === 'gzip' ? gunzipStream(oneChunk(stored), bytesMax) : oneChunk(stored)),
    }
  })
}

function readAgain(path: string, digest: Digest, sizeBytes: number): Uint8Array {
  const content = withOpen(path, (descriptor, storedBytes) => {
    if (storedBytes > gzipBytesMax(sizeBytes)) {
      throw new GzipError(`has ${storedBytes} bytes at rest, too many for ${sizeBytes} of content`)
    }
    const stored = new Uint8Array(storedBytes)
    const form = sniff(descriptor, digest)
    readFully(descriptor, stored, path)
    return decodeWhole(stored, form, sizeBytes)
  })
  return content ?? gone(path)
}

/** Opened anew at the first chunk, closed after the last or when the reader leaves. */
async function* decodedChunks(path: string, digest: Digest, bytesMax: number): AsyncGenerator<Uint8Array> {
  const opened = openRegular(path) ?? gone(path)
  try {
    const form = sniff(opened.descriptor, digest)
    const chunks = fileChunks(opened.descriptor, path, opened.sizeBytes)
    yield* form === 'gzip' ? gunzipStream(chunks, bytesMax) : chunks
  } finally {
    fs.closeSync(opened.descriptor)
  }
}

function gone(path: string): never {
  throw hostError(`read ${path}`, new Error('it has gone'))
}

function decodeWhole(stored: Uint8Array, form: LocalBlob['form'], sizeBytes: number): Uint8Array {
  if (form === 'gzip') return gunzipExactly(stored, sizeBytes)
  if (stored.byteLength !== sizeBytes) throw new GzipError(`has ${stored.byteLength} bytes instead of ${sizeBytes}`)
  return stored
}

/** What a small blob's file was when it was read. */
export interface ReadBlob {
  readonly form: LocalBlob['form']
  /** Of the very file that was read. */
  readonly stamp: FileStamp
}

/**
 * Read a small blob at once.
 *
 * @param target as long as the content, which it holds afterwards; that is not held against its digest
 * @returns undefined where no regular file stands at `path`
 * @throws {GzipError} it is damaged, or not of the size that `ref` tells; {HoloError} blame `host`
 */
export function readBlobInto(target: Uint8Array, path: string, { digest, sizeBytes }: BlobRef): ReadBlob | undefined {
  return withOpen(path, (descriptor, storedBytes, status) => {
    if (storedBytes > gzipBytesMax(sizeBytes)) throw new GzipError(`has ${storedBytes} bytes at rest`)
    // Of before the bytes: a file that is changed in between bears another stamp later.
    const stamp = stampOf(status)
    const inPlace = storedBytes === sizeBytes
    const stored = inPlace ? target : spareMemory(storedBytes)
    readFully(descriptor, stored, path)
    const form = isSha256(digest) && isGzip(stored) ? 'gzip' : 'identity'
    const content = decodeWhole(stored, form, sizeBytes)
    if (content !== target) {
      target.set(content)
      freeNow(content)
    }
    if (!inPlace) giveBack(stored)
    return { form, stamp }
  })
}

/** A large blob's file, held open: whoever replaces it meanwhile changes nothing here. */
export interface OpenBlob extends Disposable {
  readonly form: LocalBlob['form']
  readonly stamp: FileStamp
  readonly storedBytes: number
  /** As stored, from the start at each call. @throws {HoloError} blame `host` */
  bytes(): AsyncIterable<Uint8Array>
  /** Fill `target` from what is stored at `offset`. @throws {HoloError} blame `host`: it ends before that, too */
  readAt(target: Uint8Array, offset: number): void
}

/** @returns undefined where no regular file stands at `path` @throws {HoloError} blame `host` */
export function openBlobFile(path: string, digest: Digest): OpenBlob | undefined {
  const opened = openRegular(path)
  if (opened === undefined) return undefined
  const { descriptor, sizeBytes: storedBytes, status } = opened
  try {
    return {
      form: sniff(descriptor, digest),
      stamp: stampOf(status),
      storedBytes,
      bytes: () => fileChunks(descriptor, path, storedBytes),
      readAt: (target, offset) => readFully(descriptor, target, path, offset),
      [Symbol.dispose]: () => fs.closeSync(descriptor),
    }
  } catch (error) {
    fs.closeSync(descriptor)
    throw hostError(`read ${path}`, error)
  }
}

/** The file as a server sends it; a small one is read at once, a large one kept open. @returns, @throws as `findBlobFile` */
export function openStoredBlob(path: string, digest: Digest): StoredBlob | undefined {
  const opened = openRegular(path)
  if (opened === undefined) return undefined
  const { descriptor, sizeBytes } = opened
  let open = true
  const close = () => {
    if (open) fs.closeSync(descriptor)
    open = false
  }
  try {
    const readWhole = () => {
      const whole = new Uint8Array(sizeBytes)
      readFully(descriptor, whole, path)
      return whole
    }
    if (sizeBytes > BLOB_WHOLE_BYTES_MAX) {
      const encoding = sniff(descriptor, digest)
      const bytes = (from = 0) => fileChunks(descriptor, path, sizeBytes, from)
      return { encoding, sizeBytes, bytes, whole: readWhole, [Symbol.dispose]: close }
    }
    // Most blobs: sniffed in memory, which spares a read.
    const whole = readWhole()
    close()
    const encoding = isSha256(digest) && isGzip(whole) ? 'gzip' : 'identity'
    const bytes = (from = 0) => oneChunk(whole.subarray(from))
    return { encoding, sizeBytes, bytes, whole: () => whole, [Symbol.dispose]: close }
  } catch (error) {
    close()
    throw hostError(`read ${path}`, error)
  }
}

/** What is wrong with a blob, as the end of the sentence `the blob …`; undefined where nothing is. */
export type BlobFault = string | undefined

/**
 * Decode and hash the file.
 *
 * @throws {HoloError} blame `host` when it cannot be read; `signal.reason` once `signal` aborts
 */
export async function faultOf(blob: LocalBlob, ref: BlobRef, signal: AbortSignal): Promise<BlobFault> {
  const hasher = hasherFor(ref.digest)
  let total = 0
  try {
    for await (const chunk of blob.chunks(ref.sizeBytes)) {
      signal.throwIfAborted()
      total += chunk.byteLength
      if (total > ref.sizeBytes) return `has more than its ${ref.sizeBytes} bytes`
      hasher.update(chunk)
    }
  } catch (error) {
    if (error instanceof GzipError) return error.message
    throw error
  }
  if (total !== ref.sizeBytes) return `has ${total} bytes instead of ${ref.sizeBytes}`
  const actual = hasher.digest()
  return actual === ref.digest ? undefined : `has the digest ${actual}`
}

/**
 * Whether the content has its digest, whatever size a catalog claims: then it is the catalog that is wrong.
 *
 * @throws as `faultOf`
 */
export async function bearsDigest(blob: LocalBlob, digest: Digest, signal: AbortSignal): Promise<boolean> {
  const hasher = hasherFor(digest)
  try {
    for await (const chunk of blob.chunks(BLOB_BYTES_MAX)) {
      signal.throwIfAborted()
      hasher.update(chunk)
    }
  } catch (error) {
    if (error instanceof GzipError) return false
    throw error
  }
  return hasher.digest() === digest
}

async function* oneChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.byteLength > 0) yield bytes
}

async function* fileChunks(descriptor: number, path: string, sizeBytes: number, from = 0): AsyncGenerator<Uint8Array> {
  for (let at = from; at < sizeBytes; ) {
    const chunk = new Uint8Array(Math.min(CHUNK_BYTES, sizeBytes - at))
    const count = guarded(path, () => fs.readSync(descriptor, chunk, 0, chunk.byteLength, at))
    if (count === 0) throw hostError(`read ${path}`, new Error(`it ends after ${at} of ${sizeBytes} bytes`))
    at += count
    yield chunk.subarray(0, count)
  }
}

function readFully(descriptor: number, target: Uint8Array, path: string, from = 0): void {
  for (let at = 0; at < target.byteLength; ) {
    const count = guarded(path, () => fs.readSync(descriptor, target, at, target.byteLength - at, from + at))
    if (count === 0) throw hostError(`read ${path}`, new Error(`it ends after ${at} of ${target.byteLength} bytes`))
    at += count
  }
}

function sniff(descriptor: number, digest: Digest): 'identity' | 'gzip' {
  if (!isSha256(digest)) return 'identity'
  // Almost every gzip header is the ten bytes of rcc's own.
  const short = sniffed.subarray(0, fs.readSync(descriptor, sniffed, 0, 10, 0))
  if (!beginsLikeGzip(short)) return 'identity'
  if (isGzip(short)) return 'gzip'
  const long = sniffed.subarray(0, fs.readSync(descriptor, sniffed, 0, sniffed.byteLength, 0))
  return isGzip(long) ? 'gzip' : 'identity'
}

interface OpenFile {
  readonly descriptor: number
  readonly sizeBytes: number
  /** When it was opened. */
  readonly status: fs.BigIntStats
}

/** @returns undefined where no regular file stands at `path`; else an open file that the caller closes */
function openRegular(path: string): OpenFile | undefined {
  let descriptor: number
  try {
    // Non-blocking, so that a named pipe planted at a blob's place does not stop us.
    const flags = fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW | fs.constants.O_NONBLOCK
    descriptor = fs.openSync(path, flags)
  } catch (error) {
    const systemCode = systemCodeOf(error)
    if (systemCode === 'ENOENT' || systemCode === 'ENOTDIR' || systemCode === 'ELOOP') return undefined
    throw hostError(`open ${path}`, error)
  }
  const status = fs.fstatSync(descriptor, { bigint: true })
  if (status.isFile()) return { descriptor, sizeBytes: Number(status.size), status }
  fs.closeSync(descriptor)
  return undefined
}

function withOpen<Result>(
  path: string,
  use: (descriptor: number, sizeBytes: number, status: fs.BigIntStats) => Result,
): Result | undefined {
  const opened = openRegular(path)
  if (opened === undefined) return undefined
  try {
    return use(opened.descriptor, opened.sizeBytes, opened.status)
  } catch (error) {
    if (error instanceof GzipError) throw error
    throw hostError(`read ${path}`, error)
  } finally {
    fs.closeSync(opened.descriptor)
  }
}

function guarded<Result>(path: string, work: () => Result): Result {
  try {
    return work()
  } catch (error) {
    throw hostError(`read ${path}`, error)
  }
}
