/**
 * One zstd frame for one piece: what counts as one, and decoding that allocates no more than was announced.
 *
 * A frame must tell its content size, use no dictionary, and end where the bytes end: decoders pass over what follows,
 * take several frames for one, and one of them takes a frame that was cut off for whole, so the frame is measured here
 * first, block by block (RFC 8878 §3.1). Knows nothing of pieces and sources.
 */
import { constants, zstdCompressSync } from 'node:zlib'
import { messageOf } from '../base/errors.ts'

const MAGIC = [0x28, 0xb5, 0x2f, 0xfd] as const
const FLAG_SINGLE_SEGMENT = 0x20
const FLAG_RESERVED = 0x08
const FLAG_CHECKSUM = 0x04
const FLAGS_DICTIONARY = 0x03
const CHECKSUM_BYTES = 4
const BLOCK_HEADER_BYTES = 3
const BLOCK_BYTES_MAX = 128 * 1024
const BLOCK_RLE = 1
const BLOCK_RESERVED = 3

/** The bytes are no single frame that says what it holds, or hold something else. The message ends a sentence: `it …`. */
export class ZstdError extends Error {
  override readonly name = 'ZstdError'
}

/**
 * Encode as one frame that tells its content size. It has no checksum: whoever decodes it makes the SHA-256 of what comes
 * out, and looking at a checksum besides would take an eighth of that.
 *
 * @param level of zstd, 1 to 19
 */
export function zstdFrame(content: Uint8Array, level: number): Uint8Array {
  const { ZSTD_c_compressionLevel, ZSTD_c_contentSizeFlag } = constants
  const { buffer, byteOffset, byteLength } = zstdCompressSync(content, {
    params: { [ZSTD_c_compressionLevel]: level, [ZSTD_c_contentSizeFlag]: 1 },
  })
  return new Uint8Array(buffer, byteOffset, byteLength)
}

/**
 * Decode one frame.
 *
 * @param sizeBytes what it must decode to; nothing is decoded, nor memory taken, where the frame tells another size
 * @throws {ZstdError} it is not one frame, tells or holds another size, or is damaged
 */
export function unzstdExactly(frame: Uint8Array, sizeBytes: number): Uint8Array {
  checkFrame(frame, sizeBytes)
  let content: Uint8Array
  try {
    // Four times as fast as that of node:zlib, which streams; it allocates what the header tells.
    content = Bun.zstdDecompressSync(frame as Uint8Array<ArrayBuffer>)
  } catch (error) {
    throw new ZstdError(`cannot be decoded: ${messageOf(error)}`)
  }
  if (content.byteLength !== sizeBytes) {
    throw new ZstdError(`decodes to ${content.byteLength} bytes instead of ${sizeBytes}`)
  }
  return content
}

/** Measure a frame without decoding it. @throws {ZstdError} it is not one frame of `sizeBytes` bytes of content */
export function checkFrame(frame: Uint8Array, sizeBytes: number): void {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength)
  const flags = frame[MAGIC.length] ?? 0
  if (frame.byteLength <= MAGIC.length || MAGIC.some((byte, at) => frame[at] !== byte)) {
    throw new ZstdError('is no zstd frame')
  }
  if ((flags & FLAGS_DICTIONARY) !== 0) throw new ZstdError('wants a dictionary')
  if ((flags & FLAG_RESERVED) !== 0) throw new ZstdError('is a frame of an unknown kind')
  const single = (flags & FLAG_SINGLE_SEGMENT) !== 0
  const sizeAt = MAGIC.length + 1 + (single ? 0 : 1)
  const { tells, next } = contentSize(view, flags >> 6, single, sizeAt)
  if (tells === undefined) throw new ZstdError('does not tell its content size')
  if (tells !== sizeBytes) throw new ZstdError(`tells ${tells} bytes instead of ${sizeBytes}`)
  let at = next
  for (let last = false; !last; ) {
    if (at + BLOCK_HEADER_BYTES > frame.byteLength) throw new ZstdError('is cut off')
    const header = view.getUint16(at, true) + (frame[at + 2] ?? 0) * 0x10000
    last = (header & 1) !== 0
    const type = (header >> 1) & 3
    const bytes = header >>> 3
    if (type === BLOCK_RESERVED || bytes > BLOCK_BYTES_MAX) throw new ZstdError('has a block of an unknown kind')
    at += BLOCK_HEADER_BYTES + (type === BLOCK_RLE ? 1 : bytes)
  }
  if ((flags & FLAG_CHECKSUM) !== 0) at += CHECKSUM_BYTES
  if (at > frame.byteLength) throw new ZstdError('is cut off')
  if (at < frame.byteLength) throw new ZstdError(`goes on after its end, by ${frame.byteLength - at} bytes`)
}

/** The field of the header that stands at `at`. @param code the two bits that tell its length */
function contentSize(
  view: DataView,
  code: number,
  single: boolean,
  at: number,
): { tells: number | undefined; next: number } {
  const bytes = code === 0 ? (single ? 1 : 0) : 2 ** code
  if (at + bytes > view.byteLength) throw new ZstdError('is cut off')
  switch (bytes) {
    case 0:
      return { tells: undefined, next: at }
    case 1:
      return { tells: view.getUint8(at), next: at + 1 }
    case 2:
      return { tells: view.getUint16(at, true) + 256, next: at + 2 }
    case 4:
      return { tells: view.getUint32(at, true), next: at + 4 }
    default:
      // What does not fit into a number exactly is no size of ours either.
      return { tells: Number(view.getBigUint64(at, true)), next: at + 8 }
  }
}
