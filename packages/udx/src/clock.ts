/**
 * Time as the protocol sees it: a monotonic clock, timers, and "after the events at hand".
 *
 * Everything above takes a {@link Clock}, so that a simulation can drive it with a time of its own. The system clock's
 * timers never keep a process alive: an open socket does that, as with libuv.
 */

/** Something to be called once the events at hand have been worked off. */
export interface Task {
  run(): void
}

export interface Clock {
  /** Milliseconds since some fixed point, fractional, never running backwards. */
  now(): number
  /** Call `callback` once after `delayMs`. @returns what {@link clear} takes */
  timer(callback: () => void, delayMs: number): unknown
  clear(timer: unknown): void
  /** Run `task` after the packets and writes at hand; a task that is deferred twice runs twice. */
  defer(task: Task): void
}

class SystemClock implements Clock {
  #tasks: Task[] = []
  #spare: Task[] = []
  #scheduled = false

  now(): number {
    return performance.now()
  }

  timer(callback: () => void, delayMs: number): unknown {
    const timer = setTimeout(callback, delayMs)
    timer.unref()
    return timer
  }

  clear(timer: unknown): void {
    clearTimeout(timer as ReturnType<typeof setTimeout>)
  }

  defer(task: Task): void {
    this.#tasks.push(task)
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(this.#run)
  }

  readonly #run = (): void => {
    const tasks = this.#tasks
    this.#tasks = this.#spare
    this.#scheduled = false
    for (const task of tasks) task.run()
    tasks.length = 0
    this.#spare = tasks
  }
}

/** The real clock of this process. */
export const systemClock: Clock = new SystemClock()

/**
 * One deadline that moves often. Moving it later costs nothing: the timer that is set goes off early, sees that, and is
 * set again.
 */
export class Alarm {
  readonly #clock: Clock
  readonly #ring: () => void
  #timer: unknown = null
  #timerAt = Number.POSITIVE_INFINITY
  #at = Number.POSITIVE_INFINITY

  constructor(clock: Clock, ring: () => void) {
    this.#clock = clock
    this.#ring = ring
  }

  /** When it will ring, on the clock's scale; infinite when it is not set. */
  get at(): number {
    return this.#at
  }

  /** Ring at `at`, replacing the earlier deadline; infinity means never. */
  set(at: number): void {
    this.#at = at
    if (at >= this.#timerAt) return
    if (this.#timer !== null) this.#clock.clear(this.#timer)
    this.#arm()
  }

  /** Never ring again, and leave no timer behind. */
  stop(): void {
    this.#at = Number.POSITIVE_INFINITY
    if (this.#timer !== null) this.#clock.clear(this.#timer)
    this.#timer = null
    this.#timerAt = Number.POSITIVE_INFINITY
  }

  #arm(): void {
    this.#timerAt = this.#at
    // A timer that goes off a fraction early would only be set again.
    const delayMs = Math.max(1, Math.ceil(this.#at - this.#clock.now()))
    this.#timer = this.#clock.timer(this.#onTimer, delayMs)
  }

  readonly #onTimer = (): void => {
    this.#timer = null
    this.#timerAt = Number.POSITIVE_INFINITY
    if (this.#at === Number.POSITIVE_INFINITY) return
    if (this.#clock.now() + 0.05 < this.#at) {
      this.#arm()
      return
    }
    this.#at = Number.POSITIVE_INFINITY
    this.#ring()
  }
}
