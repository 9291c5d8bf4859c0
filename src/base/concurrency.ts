/**
 * The only two ways in which holo-peer does things at once: a bounded map, and one flight per key.
 */

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

/**
 * Join callers that want the same thing at the same time: the first starts `work`, the others share its outcome.
 * Nothing is remembered once it has settled.
 */
export class SingleFlight<Result> {
  readonly #flights = new Map<string, Promise<Result>>()

  run(key: string, work: () => Promise<Result>): Promise<Result> {
    const flying = this.#flights.get(key)
    if (flying !== undefined) return flying
    const flight = work().finally(() => this.#flights.delete(key))
    this.#flights.set(key, flight)
    return flight
  }
}
