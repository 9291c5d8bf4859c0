/**
 * Lanes over TCP: a daemon is called and calls, a client only calls. Why TLS: see ARCHITECTURE.md.
 */
import type { Clock } from '../base/clock.ts'
import type { LaneAddress, LaneGate, LaneLink, Lanes } from '../base/lane.ts'
import { callLane } from './call.ts'
import { LaneListener } from './listen.ts'

/**
 * @param port TCP port of a daemon; undefined for a machine that only calls
 * @param queueBytes what may wait for the network per lane
 * @throws {HoloError} blame `host`: no port can be listened on
 */
export function startLanes(port: number | undefined, queueBytes: number, clock: Clock): Lanes {
  return new TcpLanes(port === undefined ? undefined : new LaneListener(port, queueBytes, clock), queueBytes, clock)
}

class TcpLanes implements Lanes {
  readonly #links = new Set<LaneLink>()

  constructor(
    readonly own: LaneListener | undefined,
    private readonly queueBytes: number,
    private readonly clock: Clock,
  ) {}

  admit(gate: LaneGate): void {
    this.own?.admit(gate)
  }

  async open(
    address: LaneAddress,
    ticket: Uint8Array,
    sign: (binding: Uint8Array) => Uint8Array,
    signal: AbortSignal,
  ): Promise<LaneLink> {
    const link = await callLane({ address, ticket, sign, queueBytes: this.queueBytes, clock: this.clock }, signal)
    this.#links.add(link)
    void link.closed.then(() => this.#links.delete(link))
    return link
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.own?.[Symbol.asyncDispose]()
    for (const link of this.#links) link.destroy()
  }
}
