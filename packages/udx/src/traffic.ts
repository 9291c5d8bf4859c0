/** Bytes and packets that have passed, in both directions; UDP payload, without IP and UDP headers. */
export class Traffic {
  bytesTransmitted = 0
  packetsTransmitted = 0
  bytesReceived = 0
  packetsReceived = 0

  sent(bytes: number): void {
    this.bytesTransmitted += bytes
    this.packetsTransmitted++
  }

  received(bytes: number): void {
    this.bytesReceived += bytes
    this.packetsReceived++
  }
}
