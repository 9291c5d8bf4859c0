/**
 * What was observed lately: how fast somebody is, how long something takes, and where its slow end begins.
 *
 * All of them forget: what happened a half-life ago counts half. Pure, time comes in.
 */

/** Bytes a second over the time in which there was something to do: pauses with nothing asked do not count. */
export class BusyRate {
  #bytes = 0
  #busyMs = 0
  #sinceMs: number | undefined

  /** @param halfLifeMs busy time after which an observation counts half */
  constructor(readonly halfLifeMs: number) {}

  /** There is something to do from now on; without effect where there was already. */
  begin(nowMs: number): void {
    this.#sinceMs ??= nowMs
  }

  /** There is nothing to do any more. */
  end(nowMs: number): void {
    if (this.#sinceMs === undefined) return
    this.add(0, nowMs)
    this.#sinceMs = undefined
  }

  /** `bytes` have come, since the last call. */
  add(bytes: number, nowMs: number): void {
    const elapsedMs = Math.max(0, nowMs - (this.#sinceMs ?? nowMs))
    const kept = 2 ** (-elapsedMs / this.halfLifeMs)
    this.#bytes = this.#bytes * kept + bytes
    this.#busyMs = this.#busyMs * kept + elapsedMs
    if (this.#sinceMs !== undefined) this.#sinceMs = nowMs
  }

  /** @returns bytes a second, silence up to now included; undefined before anything has come */
  perSecond(nowMs: number): number | undefined {
    if (this.#bytes === 0) return undefined
    const silentMs = Math.max(0, nowMs - (this.#sinceMs ?? nowMs))
    return (this.#bytes * 1000) / Math.max(1, this.#busyMs + silentMs)
  }

  /** The same as of the last bytes: silence since then means nothing yet. */
  get perSecondAtLast(): number | undefined {
    return this.#bytes === 0 ? undefined : (this.#bytes * 1000) / Math.max(1, this.#busyMs)
  }
}

/** The mean of a quantity; each observation counts half after `halfLife` further ones. */
export class MovingAverage {
  readonly #kept: number
  #sum = 0
  #weight = 0

  /** @param halfLife number of observations */
  constructor(halfLife: number) {
    this.#kept = 2 ** (-1 / halfLife)
  }

  add(value: number): void {
    this.#sum = this.#sum * this.#kept + value
    this.#weight = this.#weight * this.#kept + 1
  }

  /** undefined before the first observation */
  get value(): number | undefined {
    return this.#weight === 0 ? undefined : this.#sum / this.#weight
  }
}

/** A percentile of the last observations. */
export class RecentPercentile {
  readonly #recent: number[] = []
  #at = 0
  #known: number | undefined

  /**
   * @param fraction 0.95 for the 95th percentile
   * @param window how many observations count; fewer than a quarter of them say nothing
   */
  constructor(
    readonly fraction: number,
    readonly window: number,
  ) {}

  add(value: number): void {
    this.#recent[this.#at] = value
    this.#at = (this.#at + 1) % this.window
    this.#known = undefined
  }

  /** undefined before there is enough to go by */
  get value(): number | undefined {
    if (this.#recent.length < this.window / 4) return undefined
    if (this.#known === undefined) {
      const sorted = [...this.#recent].sort((left, right) => left - right)
      this.#known = sorted[Math.min(sorted.length - 1, Math.floor(this.fraction * sorted.length))]
    }
    return this.#known
  }
}
