/**
 * The wire form of a piece: its content as it is, or one zstd frame that tells its content size (docs/protocol.md,
 * "Pieces"), where that is smaller.
 *
 * Decoding cannot be made to allocate more than the catalog says. Format of the header: RFC 8878 §3.1.1.
 */
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { messageOf } from '../base/errors.ts'
import type { PieceOnWire } from './pieces.ts'

const ZSTD_MAGIC = 0xfd2fb528

/** The bytes are no wire form of a piece of that size. The message ends the sentence `the piece …`. */
export class PieceError extends Error {
  override readonly name = 'PieceError'
}

/** @param level of zstd; 3 packs an environment as well as gzip does, eight times as fast */
export function encodePiece(content: Uint8Array, level = 3): PieceOnWire {
  const params = { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_contentSizeFlag]: 1 }
  const packed = zstdCompressSync(content, { params })
  if (packed.byteLength < content.byteLength) return { encoding: 'zstd', bytes: packed }
  return { encoding: 'identity', bytes: content }
}

/**
 * @param sizeBytes of the content, as the catalog says
 * @throws {PieceError} it is damaged, or decodes to another size
 */
export function decodePiece({ encoding, bytes }: PieceOnWire, sizeBytes: number): Uint8Array {
  const content = encoding === 'identity' ? bytes : inflated(bytes, sizeBytes)
  if (content.byteLength !== sizeBytes) throw new PieceError(`has ${content.byteLength} bytes instead of ${sizeBytes}`)
  return content
}

function inflated(frame: Uint8Array, sizeBytes: number): Uint8Array {
  if (claimedContentBytes(frame) !== sizeBytes) throw new PieceError(`does not claim to have ${sizeBytes} bytes`)
  try {
    return zstdDecompressSync(frame, { maxOutputLength: Math.max(1, sizeBytes) })
  } catch (error) {
    throw new PieceError(`cannot be decoded: ${messageOf(error)}`)
  }
}

/** What the header of a zstd frame says of its content's size; undefined where it is no such header, or says nothing. */
export function claimedContentBytes(frame: Uint8Array): number | undefined {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength)
  if (frame.byteLength < 6 || view.getUint32(0, true) !== ZSTD_MAGIC) return undefined
  const descriptor = view.getUint8(4)
  const singleSegment = (descriptor & 0x20) !== 0
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] ?? 0
  const at = 5 + (singleSegment ? 0 : 1) + dictionaryBytes
  const sizeCode = descriptor >> 6
  const fieldBytes = sizeCode === 0 ? (singleSegment ? 1 : 0) : 2 ** sizeCode
  if (fieldBytes === 0 || frame.byteLength < at + fieldBytes) return undefined
  switch (fieldBytes) {
    case 1:
      return view.getUint8(at)
    case 2:
      return view.getUint16(at, true) + 256
    case 4:
      return view.getUint32(at, true)
    default:
      return Number(view.getBigUint64(at, true))
  }
}
