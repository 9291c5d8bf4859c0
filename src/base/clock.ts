/** Time as an argument: the real clock at the edge, a simulated one in tests. */
export interface Clock {
  /** Monotonic milliseconds; only differences mean anything. */
  nowMs(): number
  /** Wall clock, milliseconds since 1970-01-01 UTC. */
  wallMs(): number
  /** Resolve after `ms`. @throws `signal.reason` once `signal` aborts. */
  sleep(ms: number, signal: AbortSignal): Promise<void>
}

export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      signal.throwIfAborted()
      const onAbort = () => {
        clearTimeout(timer)
        reject(signal.reason)
      }
      const timer = setTimeout(() => {
        signal.removeEventListener('abort', onAbort)
        resolve()
      }, ms)
      signal.addEventListener('abort', onAbort, { once: true })
    }),
}

/** Resolve after the event loop has turned once: sockets and other waiters have had their turn. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}

/** Stop this thread for `ms`: nothing else happens meanwhile, so only where nothing else is left to do. */
export function pauseThread(ms: number): void {
  Bun.sleepSync(ms)
}

/** A signal that never aborts. */
export const never: AbortSignal = new AbortController().signal

/**
 * A signal that aborts with `reason` after `ms`, or with `parent`'s own reason before that.
 *
 * @returns the signal, and `clear`, which must be called once the wait is over so that no timer is left behind
 */
export function deadline(ms: number, reason: Error, parent: AbortSignal): { signal: AbortSignal; clear(): void } {
  const controller = new AbortController()
  const timer = setTimeout(() => controller.abort(reason), ms)
  return { signal: AbortSignal.any([controller.signal, parent]), clear: () => clearTimeout(timer) }
}

/** Call `work` once after `ms`, unless the returned function is called before; keeps no process alive. */
export function after(ms: number, work: () => void): () => void {
  const timer = setTimeout(work, ms)
  timer.unref()
  return () => clearTimeout(timer)
}

/** Call `work` every `ms` until the returned function is called; keeps no process alive. */
export function repeat(ms: number, work: () => void): () => void {
  const timer = setInterval(work, ms)
  timer.unref()
  return () => clearInterval(timer)
}
