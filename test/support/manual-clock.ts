/** A clock that stands still until the test moves it. */
import type { Clock } from '../../src/base/clock.ts'

interface Sleeper {
  readonly dueMs: number
  readonly wake: () => void
}

export class ManualClock implements Clock {
  #nowMs = 0
  #sleepers: Sleeper[] = []

  nowMs(): number {
    return this.#nowMs
  }

  wallMs(): number {
    return this.#nowMs
  }

  async sleep(ms: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const sleeper = { dueMs: this.#nowMs + ms, wake: resolve }
    const onAbort = () => {
      this.#sleepers = this.#sleepers.filter((each) => each !== sleeper)
      reject(signal.reason)
    }
    signal.addEventListener('abort', onAbort, { once: true })
    this.#sleepers.push(sleeper)
    await promise
    signal.removeEventListener('abort', onAbort)
  }

  /** Move on by `ms`, waking sleepers in order, with a turn of the event loop after each. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve))
      const next = this.#sleepers
        .filter(({ dueMs }) => dueMs <= endMs)
        .sort((left, right) => left.dueMs - right.dueMs)[0]
      if (next === undefined) break
      this.#sleepers = this.#sleepers.filter((each) => each !== next)
      this.#nowMs = Math.max(this.#nowMs, next.dueMs)
      next.wake()
    }
    this.#nowMs = endMs
    await new Promise((resolve) => setImmediate(resolve))
  }
}
