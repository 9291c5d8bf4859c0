/** The ways in which holo-peer does many things at once, and stops waiting for one. */

/**
 * Run `work` over `items`, at most `limit` at a time, in order of start.
 *
 * The first failure stops the start of further items; those under way are awaited, then the failure is thrown.
 *
 * @returns results in the order of `items`
 * @throws the first failure, or `signal.reason` once `signal` aborts
 */
export async function mapBounded<Item, Result>(
  items: readonly Item[],
  limit: number,
  work: (item: Item, index: number) => Promise<Result>,
  signal: AbortSignal,
): Promise<Result[]> {
  const results: Result[] = new Array(items.length)
  let next = 0
  let failure: { thrown: unknown } | undefined
  const lane = async (): Promise<void> => {
    while (failure === undefined && next < items.length) {
      const index = next++
      try {
        signal.throwIfAborted()
        results[index] = await work(items[index] as Item, index)
      } catch (thrown) {
        failure ??= { thrown }
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, lane))
  if (failure !== undefined) throw failure.thrown
  return results
}

/** Wait for `promise`, but not longer than until `signal` aborts; it goes on by itself then. @throws `signal.reason` */
export function abortable<Result>(promise: Promise<Result>, signal: AbortSignal): Promise<Result> {
  return new Promise((resolve, reject) => {
    // A turn later: what had come before the signal aborted counts, though nobody has been told yet.
    const onAbort = () => queueMicrotask(() => reject(signal.reason))
    const settle = () => signal.removeEventListener('abort', onAbort)
    if (signal.aborted) reject(signal.reason)
    else signal.addEventListener('abort', onAbort, { once: true })
    promise.then(
      (result) => {
        settle()
        resolve(result)
      },
      (error) => {
        settle()
        reject(error)
      },
    )
  })
}
