/**
 * The UDX packet format, version 1: pure reading and writing of headers and selective acks.
 *
 * Every field is little-endian. A packet is a 20-byte header, `dataOffset` bytes of selective acks or of padding, then
 * the payload. Sequence numbers count packets and wrap at 2^32. Nothing here allocates, and nothing throws on bad input:
 * a packet that is not UDX is answered with `false`, a selective ack that makes no sense is left to the sender to drop.
 * Source: the header layout of libudx 1.x.
 */

export const HEADER_BYTES = 20
/** At most so many (start, end) pairs travel in one ack: 400 bytes. */
export const SACK_BLOCKS_MAX = 50
export const SACK_BLOCK_BYTES = 8
/** The data offset is one byte. */
export const PADDING_BYTES_MAX = 255

export const FLAG_DATA = 1
export const FLAG_END = 2
export const FLAG_SACK = 4
export const FLAG_MESSAGE = 8
export const FLAG_DESTROY = 16
export const FLAG_HEARTBEAT = 32

const MAGIC = 0xff
const VERSION = 1

/** The fixed part of a packet. Meant to be reused: {@link readHeader} fills it in place. */
export interface Header {
  flags: number
  /** Bytes between the header and the payload. */
  dataOffset: number
  /** The receiver's stream id. */
  id: number
  /** Bytes that the packet's sender is willing to receive. */
  window: number
  seq: number
  /** The sequence number that the packet's sender expects next. */
  ack: number
}

/** A header with every field zero, to be filled by {@link readHeader}. */
export function emptyHeader(): Header {
  return { flags: 0, dataOffset: 0, id: 0, window: 0, seq: 0, ack: 0 }
}

/** Read 32 unsigned bits; bytes past the end count as zero. */
export function readUint32(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24)) >>> 0
  )
}

/** Write the low 32 bits of `value`. */
export function writeUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value
  bytes[at + 1] = value >>> 8
  bytes[at + 2] = value >>> 16
  bytes[at + 3] = value >>> 24
}

/**
 * Fill `into` from `bytes`.
 *
 * @returns false when this is no UDX packet (too short, other magic, other version); `into` is then untouched
 */
export function readHeader(bytes: Uint8Array, into: Header): boolean {
  if (bytes.byteLength < HEADER_BYTES || bytes[0] !== MAGIC || bytes[1] !== VERSION) return false
  into.flags = bytes[2] ?? 0
  into.dataOffset = bytes[3] ?? 0
  into.id = readUint32(bytes, 4)
  into.window = readUint32(bytes, 8)
  into.seq = readUint32(bytes, 12)
  into.ack = readUint32(bytes, 16)
  return true
}

/** Write a whole header, data offset 0, into the first 20 bytes. */
export function writeHeader(
  bytes: Uint8Array,
  flags: number,
  id: number,
  window: number,
  seq: number,
  ack: number,
): void {
  bytes[0] = MAGIC
  bytes[1] = VERSION
  bytes[2] = flags
  bytes[3] = 0
  writeUint32(bytes, 4, id)
  writeUint32(bytes, 8, window)
  writeUint32(bytes, 12, seq)
  writeUint32(bytes, 16, ack)
}

/** Renew what a retransmitted packet says about our receiving side; flags, id, sequence number and payload stay. */
export function refreshHeader(bytes: Uint8Array, window: number, ack: number): void {
  writeUint32(bytes, 8, window)
  writeUint32(bytes, 16, ack)
}

/** Address a packet to another stream: what a relay does. */
export function readdress(bytes: Uint8Array, id: number): void {
  writeUint32(bytes, 4, id)
}

/** Where the payload begins, or -1 when the data offset points past the end. */
export function payloadStart(header: Header, packetBytes: number): number {
  const start = HEADER_BYTES + header.dataOffset
  return start > packetBytes ? -1 : start
}

/**
 * How many selective-ack pairs a packet carries, 0 to 50. Pair `i` stands at `20 + 8 i`: first sequence number received,
 * then the first one not received.
 *
 * Without a data offset the pairs fill the packet; with one that leaves a payload, they end where the payload begins.
 */
export function sackBlocks(header: Header, packetBytes: number): number {
  if ((header.flags & FLAG_SACK) === 0) return 0
  const rest = packetBytes - HEADER_BYTES
  const bytes = header.dataOffset > 0 && header.dataOffset < rest ? header.dataOffset : rest
  return Math.min(SACK_BLOCKS_MAX, Math.floor(bytes / SACK_BLOCK_BYTES))
}

/** Signed distance from `b` to `a` on the circle of sequence numbers: negative when `a` is older. */
export function seqDiff(a: number, b: number): number {
  return (a - b) | 0
}

/** The sequence number `steps` after `seq`. */
export function seqAdd(seq: number, steps: number): number {
  return (seq + steps) >>> 0
}
