/**
 * The stored form of a blob: what counts as gzip, and decoding that cannot be made to allocate more than announced.
 *
 * A library file is gzip exactly where Go's reader accepts its header, else raw (formats.md §6): so the same file means
 * the same content to rcc and to us. Knows nothing of files, digests or sources.
 */
import { Readable, type Transform } from 'node:stream'
import { crc32, createGunzip, createGzip, gunzipSync } from 'node:zlib'
import { messageOf } from '../base/errors.ts'
import { CHUNK_BYTES, GZIP_BOMB_BYTES_MAX } from '../base/limits.ts'

/** What a reader needs to see of a file to know its form: fixed part, extra field, name, comment, checksum. */
export const GZIP_HEADER_BYTES_MAX = 10 + 2 + 0xffff + 512 + 512 + 2

const FLAG_HEADER_CRC = 2
const FLAG_EXTRA = 4
const FLAG_NAME = 8
const FLAG_COMMENT = 16
/** Go's reader gives up on a longer name or comment, the final zero included. */
const TEXT_BYTES_MAX = 512
/** The best ratio of deflate: 258 bytes out of two bits in. */
const DEFLATE_RATIO_MAX = 1032

/** Where zlib's header differs from that of Go's level 1: how hard it tried (fastest), and its system (unknown). */
const HEADER_OF_GO = [
  [8, 4],
  [9, 0xff],
] as const

/** How blobs are written to rest. Content that begins like gzip itself is gzip in either case. */
export type Compression = 'raw' | 'gzip'

/** The stream is not gzip, breaks off, or holds more than it may. The message ends the sentence `the blob …`. */
export class GzipError extends Error {
  override readonly name = 'GzipError'
}

/** Whether bytes start with the three that every gzip stream starts with. Wider than `isGzip`, and enough to be safe. */
export function beginsLikeGzip(head: Uint8Array): boolean {
  return head[0] === 0x1f && head[1] === 0x8b && head[2] === 8
}

/**
 * Whether Go's gzip reader, and so rcc, takes a file for gzip.
 *
 * @param head the whole file, or at least its first `GZIP_HEADER_BYTES_MAX` bytes
 */
export function isGzip(head: Uint8Array): boolean {
  if (head.byteLength < 10 || !beginsLikeGzip(head)) return false
  // Go ignores the three reserved flags.
  const flags = head[3] ?? 0
  let at = 10
  if ((flags & FLAG_EXTRA) !== 0) {
    if (head.byteLength < at + 2) return false
    at += 2 + (head[at] ?? 0) + (head[at + 1] ?? 0) * 256
  }
  for (const flag of [FLAG_NAME, FLAG_COMMENT]) {
    if ((flags & flag) === 0) continue
    const end = head.indexOf(0, at)
    if (end < 0 || end - at >= TEXT_BYTES_MAX) return false
    at = end + 1
  }
  if ((flags & FLAG_HEADER_CRC) !== 0) {
    if (head.byteLength < at + 2) return false
    const wanted = (head[at] ?? 0) + (head[at + 1] ?? 0) * 256
    if ((crc32(head.subarray(0, at)) & 0xffff) !== wanted) return false
    at += 2
  }
  return at <= head.byteLength
}

/**
 * An upper bound for the gzip form of `sizeBytes` of content. Fast encoders, zlib-ng at level 1 among them, write fixed
 * codes without looking at what they gain: nine bits for most bytes of content that is packed already.
 */
export function gzipBytesMax(sizeBytes: number): number {
  return sizeBytes + Math.ceil(sizeBytes / 8) + 1024
}

/** What a gzip file says of its content's size, at its end: true of one honest stream of less than 4 GiB. */
export function claimedBytes(stored: Uint8Array): number {
  return stored.byteLength < 4
    ? 0
    : new DataView(stored.buffer, stored.byteOffset).getUint32(stored.byteLength - 4, true)
}

/**
 * Decode a whole gzip file.
 *
 * @param sizeBytes what it must decode to
 * @throws {GzipError} it is damaged, or decodes to another size; at most about `sizeBytes` or `GZIP_BOMB_BYTES_MAX`,
 *   whichever is more, was allocated by then
 */
export function gunzipExactly(stored: Uint8Array, sizeBytes: number): Uint8Array {
  // libdeflate is a quarter faster, but doubles its buffer up to 1 GiB as long as a stream wants more: it only gets
  // what cannot grow large even at deflate's best ratio. It stops after the first member, so a short answer is no proof.
  if (stored.byteLength * DEFLATE_RATIO_MAX <= GZIP_BOMB_BYTES_MAX) {
    try {
      const decoded = Bun.gunzipSync(stored as Uint8Array<ArrayBuffer>, { library: 'libdeflate' })
      if (decoded.byteLength === sizeBytes) return decoded
    } catch {
      // The bounded decoder below says what is wrong.
    }
  }
  let decoded: Uint8Array
  try {
    decoded = gunzipSync(stored, { maxOutputLength: sizeBytes + 1 })
  } catch (error) {
    const tooLong = error instanceof RangeError
    throw new GzipError(
      tooLong ? `decodes to more than its ${sizeBytes} bytes` : `cannot be decoded: ${messageOf(error)}`,
    )
  }
  if (decoded.byteLength !== sizeBytes) {
    throw new GzipError(`decodes to ${decoded.byteLength} bytes instead of ${sizeBytes}`)
  }
  return decoded
}

/**
 * Decode a whole gzip file that was verified before, so that it holds no bomb: a quarter faster than `gunzipExactly`.
 *
 * @throws {GzipError} as `gunzipExactly`
 */
export function gunzipVerified(stored: Uint8Array, sizeBytes: number): Uint8Array {
  try {
    const decoded = Bun.gunzipSync(stored as Uint8Array<ArrayBuffer>, { library: 'libdeflate' })
    if (decoded.byteLength === sizeBytes) return decoded
  } catch {
    // The other decoder also reads several members, and says what is wrong.
  }
  return gunzipExactly(stored, sizeBytes)
}

/**
 * Decode a gzip stream with memory for some chunks only.
 *
 * @throws {GzipError} while iterating: it is damaged, or decodes to more than `bytesMax`; whatever `stored` throws
 *   comes out unchanged
 */
export async function* gunzipStream(stored: AsyncIterable<Uint8Array>, bytesMax: number): AsyncGenerator<Uint8Array> {
  let total = 0
  for await (const chunk of through(stored, createGunzip({ chunkSize: CHUNK_BYTES }))) {
    total += chunk.byteLength
    if (total > bytesMax) throw new GzipError(`decodes to more than its ${bytesMax} bytes`)
    yield chunk
  }
}

/** Encode as gzip at once, as rcc does in kind: level 1, and the header of Go's writer (formats.md §6). */
export function gzipWhole(content: Uint8Array): Uint8Array {
  // libdeflate writes that header by itself, and a tenth fewer bytes than zlib.
  return Bun.gzipSync(content as Uint8Array<ArrayBuffer>, { level: 1, library: 'libdeflate' })
}

/** The same with memory for some chunks only. Whatever `content` throws comes out unchanged. */
export async function* gzipStream(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let from = 0
  // Level 1 of Bun's zlib makes packed content larger (see gzipBytesMax); its level 2 does what Go's level 1 does.
  for await (const chunk of through(content, createGzip({ level: 2, chunkSize: CHUNK_BYTES }))) {
    for (const [at, byte] of HEADER_OF_GO) if (from <= at && at < from + chunk.byteLength) chunk[at - from] = byte
    from += chunk.byteLength
    yield chunk
  }
}

async function* through(input: AsyncIterable<Uint8Array>, coder: Transform): AsyncGenerator<Uint8Array> {
  // A failing source must not look like a damaged stream, so its error is kept and thrown as it is.
  let failure: { thrown: unknown } | undefined
  async function* kept(): AsyncGenerator<Uint8Array> {
    try {
      yield* input
    } catch (thrown) {
      failure = { thrown }
      throw thrown
    }
  }
  const source = Readable.from(kept(), { objectMode: false, highWaterMark: CHUNK_BYTES })
  source.on('error', (error) => coder.destroy(error))
  try {
    for await (const chunk of source.pipe(coder)) yield chunk
  } catch (error) {
    if (failure !== undefined) throw failure.thrown
    throw new GzipError(`cannot be decoded: ${messageOf(error)}`)
  } finally {
    source.destroy()
    coder.destroy()
  }
}
