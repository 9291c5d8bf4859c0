/**
 * The note beside a space, `.meta` and `.meta.info`, that says which catalog stands in it (formats.md §5).
 *
 * Made from the catalog's compressed tail: the header goes in front as it is, so a note of 8 MB of JSON takes less than
 * a millisecond. The same catalog and space always give the same bytes; whoever finds them knows what they say without
 * decoding them. Knows no files.
 */
import { crc32 } from 'node:zlib'
import type { CatalogTail } from './catalog-tail.ts'
import { combineCrc32 } from './combine-crc32.ts'
import { encodeCatalogHead, encodeCatalogInfo, type SpaceIdentity, spaceMeta } from './encode-catalog.ts'
import type { Catalog } from './tree.ts'

/** RFC 1952: deflate, no name, no time, fastest, unknown system, as Go writes it. */
const GZIP_HEADER = Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255)
const GZIP_TRAILER_BYTES = 8
/** RFC 1951 §3.2.4: what a block holds that is not compressed, and what stands before it. */
const STORED_BLOCK_BYTES_MAX = 0xffff
const STORED_BLOCK_HEADER_BYTES = 5

export interface SpaceNote {
  /** What `.meta` says: the catalog with identity, path, controller and space of the space, and the same tree. */
  readonly meta: Catalog
  /** `.meta`: one gzip member. */
  bytes(): Uint8Array
  /** `.meta.info`. */
  infoBytes(): Uint8Array
}

/**
 * The note that a restore of `catalog` leaves.
 *
 * @param tail of the same catalog; asked for only once the bytes are wanted
 * @throws {HoloError} as `spaceTarget`
 */
export function spaceNote(catalog: Catalog, tail: () => CatalogTail, target: SpaceIdentity): SpaceNote {
  const meta = spaceMeta(catalog, target)
  return {
    meta,
    bytes: () => gzipMember(encodeCatalogHead(meta), tail()),
    infoBytes: () => encodeCatalogInfo(meta),
  }
}

function gzipMember(head: Uint8Array, tail: CatalogTail): Uint8Array {
  const blocks = Math.ceil(head.byteLength / STORED_BLOCK_BYTES_MAX)
  const headBytes = blocks * STORED_BLOCK_HEADER_BYTES + head.byteLength
  const member = new Uint8Array(GZIP_HEADER.byteLength + headBytes + tail.deflated.byteLength + GZIP_TRAILER_BYTES)
  const view = new DataView(member.buffer)
  member.set(GZIP_HEADER)
  let at = GZIP_HEADER.byteLength
  for (let from = 0; from < head.byteLength; from += STORED_BLOCK_BYTES_MAX) {
    const block = head.subarray(from, from + STORED_BLOCK_BYTES_MAX)
    // The first byte, zero, says: not the last block, not compressed.
    view.setUint16(at + 1, block.byteLength, true)
    view.setUint16(at + 3, ~block.byteLength & 0xffff, true)
    member.set(block, at + STORED_BLOCK_HEADER_BYTES)
    at += STORED_BLOCK_HEADER_BYTES + block.byteLength
  }
  member.set(tail.deflated, at)
  at += tail.deflated.byteLength
  view.setUint32(at, combineCrc32(crc32(head), tail.crc32, tail.sizeBytes), true)
  view.setUint32(at + 4, (head.byteLength + tail.sizeBytes) % 2 ** 32, true)
  return member
}
