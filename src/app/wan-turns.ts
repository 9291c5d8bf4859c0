/** The visits of one process to what crosses the WAN, for as long as its sources are open. */
import { type Clock, systemClock } from '../base/clock.ts'
import type { CatalogName } from '../catalog/tree.ts'
import type { FleetNode } from './fleet-node.ts'
import { type WanPlace, WanVisit } from './wan-visit.ts'

export class WanTurns implements AsyncDisposable {
  readonly #over = new AbortController()

  /** @param nodeOf undefined where this machine belongs to no fleet; asked only after peers had their turn */
  constructor(
    private readonly nodeOf: () => Promise<FleetNode | undefined>,
    private readonly place: WanPlace,
    private readonly clock: Clock = systemClock,
  ) {}

  visit(name: CatalogName): WanVisit {
    // Without a fleet, or where it could not be joined, there is nobody to wait for; peers have said why.
    const node = () => this.nodeOf().catch(() => undefined)
    return new WanVisit(name, node, this.place, this.clock, this.#over.signal)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort(new Error('the sources are closed'))
  }
}
