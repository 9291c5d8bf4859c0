/**
 * The part of a catalog's JSON that a `.meta` shares with it, compressed once.
 *
 * A `.meta` is the JSON of its catalog with other info fields in front (formats.md §5). With this part at hand, one is
 * made by putting a header before it, without encoding or compressing the tree again.
 */
import { constants, crc32, deflateRawSync } from 'node:zlib'
import { CHUNK_BYTES } from '../base/limits.ts'
import { encodeCatalogTail } from './encode-catalog.ts'
import type { Catalog } from './tree.ts'

/** At rcc's level. Each chunk ends at the border of a byte and refers to nothing before it, so the next can just follow. */
const DEFLATE = { level: 1, finishFlush: constants.Z_SYNC_FLUSH, chunkSize: CHUNK_BYTES }
/** The last block of a deflate stream, with nothing in it (RFC 1951 §3.2.6: fixed codes, end of block). */
const EMPTY_LAST_BLOCK = Uint8Array.of(0x03, 0x00)

export interface CatalogTail {
  /** Raw deflate (RFC 1951) from the start of a byte to the end of the stream: what stands before it is not referred to. */
  readonly deflated: Uint8Array
  /** CRC-32 and length in bytes of what that inflates to. */
  readonly crc32: number
  readonly sizeBytes: number
}

/** Encode and compress, chunk by chunk: the JSON of 200,000 files is never there as a whole. */
export function catalogTail(catalog: Catalog): CatalogTail {
  const deflated: Uint8Array[] = []
  let checksum = 0
  let sizeBytes = 0
  encodeCatalogTail(catalog, (chunk) => {
    deflated.push(deflateRawSync(chunk, DEFLATE))
    checksum = crc32(chunk, checksum)
    sizeBytes += chunk.byteLength
  })
  deflated.push(EMPTY_LAST_BLOCK)
  return { deflated: Buffer.concat(deflated), crc32: checksum, sizeBytes }
}
