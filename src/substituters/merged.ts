/**
 * Several streams of items read at the same time, as one.
 *
 * So many are open at once, in the order given; each has one item ready at most, so that a slow reader slows them all.
 * A failure of one ends all of them.
 */
export async function* merged<Item>(
  streams: readonly (() => AsyncGenerator<Item>)[],
  limit: number,
): AsyncGenerator<Item> {
  const open = new Map<AsyncGenerator<Item>, Promise<{ from: AsyncGenerator<Item>; next: IteratorResult<Item> }>>()
  const step = (from: AsyncGenerator<Item>) => {
    const next = from.next().then((result) => ({ from, next: result }))
    // Its failure is seen when it is raced again; until then it must not count as unhandled.
    next.catch(() => {})
    open.set(from, next)
  }
  let started = 0
  const fill = () => {
    for (; open.size < limit && started < streams.length; started++) {
      const stream = streams[started]
      if (stream !== undefined) step(stream())
    }
  }
  try {
    fill()
    while (open.size > 0) {
      const { from, next } = await Promise.race(open.values())
      if (next.done === true) {
        open.delete(from)
        fill()
        continue
      }
      step(from)
      yield next.value
    }
  } finally {
    await Promise.allSettled([...open.keys()].map((stream) => stream.return(undefined)))
  }
}
