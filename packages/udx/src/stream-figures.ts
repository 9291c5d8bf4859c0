/** What a stream tells of itself in numbers: the read-only properties of the native UDXStream. */
import { Duplex, type DuplexEvents } from 'streamx'
import type { Connection } from './connection.ts'
import { overheadBytes } from './path.ts'

export interface StreamEvents extends DuplexEvents {
  connect: []
  message: [Buffer]
  'remote-changed': []
}

export abstract class StreamFigures extends Duplex<StreamEvents> {
  abstract readonly connection: Connection

  /** Largest packet known to pass, in bytes with all headers. */
  get mtu(): number {
    return this.connection.sender.packetSize.bytes
  }

  /** Smoothed round-trip time in milliseconds, rounded. */
  get rtt(): number {
    return Math.round(this.connection.sender.rtt.smoothedMs)
  }

  /** Congestion window in full packets. */
  get cwnd(): number {
    return Math.floor(this.connection.sender.bbr.windowBytes / (this.mtu - overheadBytes(4)))
  }

  get rtoCount(): number {
    return this.connection.sender.recovery.timeouts
  }

  get retransmits(): number {
    return this.connection.sender.retransmits
  }

  get fastRecoveries(): number {
    return this.connection.sender.recovery.fastRecoveries
  }

  /** 0 startup, 1 drain, 2 probing bandwidth, 3 probing the round-trip time. */
  get bbrState(): number {
    return this.connection.sender.bbr.state
  }

  /** Estimated bandwidth in bytes per second. */
  get bbrBandwidth(): number {
    return Math.round(this.connection.sender.bbr.rateBytesPerMs * 1000)
  }

  /** Bytes believed to be under way. */
  get inflight(): number {
    return this.connection.sender.flight.inflight.bytes
  }

  get bytesTransmitted(): number {
    return this.connection.traffic.bytesTransmitted
  }

  get packetsTransmitted(): number {
    return this.connection.traffic.packetsTransmitted
  }

  get bytesReceived(): number {
    return this.connection.traffic.bytesReceived
  }

  get packetsReceived(): number {
    return this.connection.traffic.packetsReceived
  }
}
