/**
 * Reading the ack fields of a packet against what is in flight. Pure.
 *
 * The work is bounded by the flight, whatever the packet says: ranges must ascend and lie within it.
 */
import { HEADER_BYTES, type Header, readUint32, SACK_BLOCK_BYTES, sackBlocks, seqAdd, seqDiff } from './codec.ts'
import type { Flight, SentPacket } from './flight.ts'

/** What reading acks tells. */
export interface AckVisitor {
  /** Acked for the first time. */
  acked(packet: SentPacket): void
  /** Acked selectively, and still part of the flight. */
  sacked(packet: SentPacket): void
  /** Acked in order, selectively acked before. */
  confirmed(packet: SentPacket): void
}

/** Drop from `flight` what is acked in order. @returns payload bytes of that */
export function readCumulativeAck(flight: Flight, ack: number, visitor: AckVisitor): number {
  let payloadBytes = 0
  while (seqDiff(ack, flight.unacked) > 0) {
    const packet = flight.get(flight.unacked)
    if (packet === undefined) break
    if (packet.delivered) visitor.confirmed(packet)
    else visitor.acked(packet)
    payloadBytes += flight.shift()
  }
  return payloadBytes
}

/** Mark in `flight` what is acked selectively. A range that makes no sense ends the reading. */
export function readSelectiveAcks(flight: Flight, header: Header, bytes: Uint8Array, visitor: AckVisitor): void {
  const blocks = sackBlocks(header, bytes.byteLength)
  let floor = flight.unacked
  for (let i = 0; i < blocks; i++) {
    const start = readUint32(bytes, HEADER_BYTES + i * SACK_BLOCK_BYTES)
    const end = readUint32(bytes, HEADER_BYTES + i * SACK_BLOCK_BYTES + 4)
    if (seqDiff(start, floor) < 0 || seqDiff(end, start) <= 0 || seqDiff(end, flight.next) > 0) return
    for (let seq = start; seq !== end; seq = seqAdd(seq, 1)) {
      const packet = flight.get(seq)
      if (packet === undefined || packet.delivered) continue
      visitor.acked(packet)
      packet.delivered = true
      packet.list?.remove(packet)
      visitor.sacked(packet)
    }
    floor = end
  }
}
