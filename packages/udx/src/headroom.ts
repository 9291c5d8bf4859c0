/**
 * How much of what congestion control would keep under way beyond the bare bandwidth-delay product is wise.
 *
 * BBR does not take loss for congestion, and keeps about two products under way. A small receive buffer overflows when a
 * batch arrives while its process is busy: then this share is cut until that stops. Loss that goes on however little is
 * under way is the path's own, and not held against it. Pure.
 */

/** A share of loss beyond this is taken for an overrun buffer, as in BBR version 2. */
const LOSS_TOLERATED = 0.02
/** The same while starting, where the pace is raised until something gives. */
const STARTUP_LOSS_TOLERATED = 0.15
/** Loss is judged over so many packets, or as soon as so many of them are lost: fewer say nothing. */
const JUDGED_PACKETS = 1000
const JUDGED_LOST_PACKETS = LOSS_TOLERATED * JUDGED_PACKETS
const HEADROOM_CUT = 0.7
const HEADROOM_GROWTH = 0.02
/** With so little headroom, loss that goes on is the path's own. */
const HEADROOM_LOW = 0.1
const PATH_LOSS_WEIGHT = 1 / 16

export class Headroom {
  /** 0 to 1. */
  share = 1
  /** More is being lost than the path's own share. */
  overrun = false
  readonly #packetBytes: number
  /** Share that is lost however little is under way. */
  #pathLoss = 0
  #lostBytes = 0
  #judgedBytes = 0

  constructor(packetBytes: number) {
    this.#packetBytes = packetBytes
  }

  /** Take in an ack. @returns true when so much is lost that the path must be full */
  onAck(ackedBytes: number, lostBytes: number): boolean {
    this.#lostBytes += lostBytes
    this.#judgedBytes += lostBytes + ackedBytes
    const enough =
      this.#judgedBytes >= JUDGED_PACKETS * this.#packetBytes ||
      this.#lostBytes >= JUDGED_LOST_PACKETS * this.#packetBytes
    if (!enough) return false
    const loss = this.#lostBytes / this.#judgedBytes
    this.#lostBytes = 0
    this.#judgedBytes = 0
    if (this.share < HEADROOM_LOW) this.#pathLoss += (loss - this.#pathLoss) * PATH_LOSS_WEIGHT
    this.overrun = loss > LOSS_TOLERATED + this.#pathLoss * 1.25
    if (this.overrun) this.share *= HEADROOM_CUT
    else this.share = Math.min(1, this.share + HEADROOM_GROWTH)
    return loss > STARTUP_LOSS_TOLERATED
  }
}
