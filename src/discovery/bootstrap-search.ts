/**
 * Asks the addresses where the fleet may be found, in the order and at the pace of `Candidates`.
 *
 * What asking means is its owner's business. Sleeps until the next one is due; nothing here ends discovery, whatever a
 * name server or a network does.
 */
import type { Clock } from '../base/clock.ts'
import { abortable } from '../base/concurrency.ts'
import { messageOf } from '../base/errors.ts'
import { formatHostPort, type HostPort } from '../base/host-port.ts'
import { type Logger, roomLogger } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import { Candidates, type Origin } from './candidates.ts'

export interface BootstrapSearchOptions {
  /** @returns whether it answered; a rejection counts as no answer, and is told once for each address */
  readonly ask: (address: HostPort, signal: AbortSignal) => Promise<boolean>
  readonly clock: Clock
  readonly random: Random
}

export class BootstrapSearch {
  readonly #log: Logger = roomLogger('discovery')
  readonly #candidates: Candidates
  readonly #told = new Set<string>()
  readonly #asking = new Set<Promise<void>>()
  #wake = () => {}

  constructor(private readonly options: BootstrapSearchOptions) {
    this.#candidates = new Candidates(options.random)
  }

  add(addresses: readonly HostPort[], origin: Origin): void {
    const nowMs = this.options.clock.nowMs()
    for (const address of addresses) this.#candidates.add(address, origin, nowMs)
    this.#wake()
  }

  /** Ask all again now: our own address has changed. */
  restart(): void {
    this.#candidates.restart(this.options.clock.nowMs())
    this.#wake()
  }

  /** Resolves once all that are asked now have answered, or have been given up. @throws `signal.reason` */
  async settled(signal: AbortSignal): Promise<void> {
    await abortable(Promise.all(this.#asking), signal)
  }

  /** Ask whoever is due until `signal` aborts; never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.options
    while (!signal.aborted) {
      for (const address of this.#candidates.due(clock.nowMs())) {
        const asked = this.#ask(address, signal).finally(() => this.#asking.delete(asked))
        this.#asking.add(asked)
      }
      const woken = new AbortController()
      this.#wake = () => woken.abort()
      const dueMs = this.#candidates.nextDueMs
      const sleepMs = dueMs === undefined ? Number.MAX_SAFE_INTEGER : dueMs - clock.nowMs()
      // setTimeout takes no more than 2^31 ms.
      await clock
        .sleep(Math.min(Math.max(sleepMs, 1), 2 ** 31 - 1), AbortSignal.any([woken.signal, signal]))
        .catch(() => {})
    }
  }

  async #ask(address: HostPort, signal: AbortSignal): Promise<void> {
    const { clock, ask } = this.options
    const startedMs = clock.nowMs()
    const answered = await ask(address, signal).catch((error: unknown) => {
      if (!signal.aborted) this.#tell(address, messageOf(error))
      return false
    })
    if (signal.aborted) return
    if (answered) this.#candidates.succeeded(address, clock.nowMs(), clock.nowMs() - startedMs)
    else this.#candidates.failed(address, clock.nowMs())
    this.#wake()
  }

  #tell({ host, port }: HostPort, problem: string): void {
    const key = formatHostPort(host, port)
    if (this.#told.has(key)) return
    this.#told.add(key)
    this.#log.warn(`The address ${key} is passed over for now: ${problem}`)
  }
}
