/**
 * The leases of this process, with the time: tells every member what is to be told, and lets those who wait for their turn
 * know. `Leases` decides.
 */
import type { Clock } from '../base/clock.ts'
import type { CatalogName } from '../catalog/tree.ts'
import { type LeaseMember, Leases, type LeaseView, type Turn } from './leases.ts'
import type { HeldCatalog, Lease } from './messages.ts'
import type { Remote } from './session.ts'

/** The other end of a connection. */
export interface AttachedPeer extends Pick<LeaseMember, 'id' | 'name'> {
  readonly remote: Pick<Remote, 'machineKey' | 'role' | 'version'>
}

type Settled = Exclude<Turn, { readonly turn: 'open' }>

export class LeaseDesk {
  readonly #clock: Clock
  readonly #leases: Leases
  readonly #senders = new Map<string, (message: Lease) => void>()
  #changes = new Set<() => void>()

  /** @param self the key of this machine, and whether others can get from here what comes here */
  constructor(self: Pick<LeaseMember, 'key' | 'serves'>, clock: Clock) {
    this.#leases = new Leases(self)
    this.#clock = clock
  }

  /** A member has come. @param send queues one message to it @returns to be called when it has gone */
  attach({ id, name, remote }: AttachedPeer, send: (message: Lease) => void): () => void {
    if (remote.version < 3) return () => {}
    const member = { id, name, key: remote.machineKey, serves: remote.role === 'daemon' }
    this.#senders.set(member.id, send)
    for (const message of this.#leases.add(member)) send(message)
    this.#settle()
    return () => {
      this.#senders.delete(member.id)
      this.#leases.remove(member.id)
      this.#settle()
    }
  }

  /** @throws {HoloError} as `Leases.hear` */
  hear(id: string, message: Lease): void {
    this.#leases.hear(id, message, this.#clock.nowMs())
    this.#settle()
  }

  /** As `Leases.offered`. */
  offered(id: string, name: CatalogName): HeldCatalog | undefined {
    return this.#leases.offered(id, name)
  }

  /** As `Leases.list`. */
  list(): readonly LeaseView[] {
    return this.#leases.list()
  }

  /** This machine lacks an environment, until what is returned is disposed of. @param mayPay as for `Leases.want` */
  want(name: CatalogName, mayPay: boolean): WantedLease {
    const now = () => this.#clock.nowMs()
    this.#tell(() => this.#leases.want(name, mayPay, now()))
    let over = false
    return {
      turn: () => this.#tell(() => this.#leases.turn(name, now())),
      settled: async (signal) => {
        for (;;) {
          const turn = this.#tell(() => this.#leases.turn(name, now()))
          if (turn.turn !== 'open') return turn
          await this.#change(turn.lookMs, signal)
        }
      },
      changed: async (signal) => {
        const before = this.#tell(() => this.#leases.turn(name, now()))
        for (let turn = before; ; turn = this.#tell(() => this.#leases.turn(name, now()))) {
          if (turn.turn !== before.turn) return
          await this.#change(turn.turn === 'ours' ? Number.POSITIVE_INFINITY : turn.lookMs, signal)
        }
      },
      knows: (catalog) => this.#tell(() => this.#leases.knows(name, catalog, now())),
      came: () => this.#tell(() => this.#leases.came(name, now())),
      [Symbol.dispose]: () => {
        if (over) return
        over = true
        this.#tell(() => this.#leases.release(name))
      },
    }
  }

  /** Do something, and tell the members what is to be told of it. */
  #tell<Value>(work: () => Value): Value {
    const value = work()
    for (const message of this.#leases.takeSaid()) for (const send of [...this.#senders.values()]) send(message)
    return value
  }

  #settle(): void {
    const changes = this.#changes
    this.#changes = new Set()
    for (const wake of changes) wake()
  }

  /** Resolves at the next change, or at `dueMs`. @throws `signal.reason` */
  async #change(dueMs: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const over = new AbortController()
    const either = AbortSignal.any([over.signal, signal])
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#changes.add(resolve)
    const onAbort = () => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    if (Number.isFinite(dueMs)) {
      this.#clock.sleep(Math.max(1, dueMs - this.#clock.nowMs()), either).then(resolve, () => {})
    }
    try {
      await promise
    } finally {
      signal.removeEventListener('abort', onAbort)
      this.#changes.delete(resolve)
      over.abort(new Error('it has changed'))
    }
  }
}

/** One environment that this machine lacks. Disposing of it tells the others. */
export interface WantedLease extends Disposable {
  turn(): Turn
  /** Resolves once it is settled whose turn it is. @throws `signal.reason` */
  settled(signal: AbortSignal): Promise<Settled>
  /** Resolves once it is somebody else's turn, or ours, or nobody's, where it was not before. @throws `signal.reason` */
  changed(signal: AbortSignal): Promise<void>
  /** What is wanted is this catalog. */
  knows(catalog: Omit<HeldCatalog, 'name'>): void
  /** Something of it has come, from whomever. */
  came(): void
}
