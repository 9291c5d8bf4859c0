/** Simulated time: what is due next happens next; at the same moment, in the order in which it was planned. */

interface Event {
  readonly atMs: number
  readonly order: number
  readonly run: () => void
}

export class EventQueue {
  nowMs = 0
  #order = 0
  /** A binary heap, the earliest first. */
  readonly #heap: Event[] = []

  after(ms: number, run: () => void): void {
    this.at(this.nowMs + ms, run)
  }

  at(atMs: number, run: () => void): void {
    const heap = this.#heap
    const event = { atMs: Math.max(atMs, this.nowMs), order: this.#order++, run }
    let at = heap.push(event) - 1
    while (at > 0) {
      const above = (at - 1) >> 1
      const parent = heap[above]
      if (parent === undefined || !isBefore(event, parent)) break
      heap[at] = parent
      at = above
    }
    heap[at] = event
  }

  /** Let the next event happen. @returns false where nothing is due up to `untilMs` */
  step(untilMs: number): boolean {
    const next = this.#heap[0]
    if (next === undefined || next.atMs > untilMs) return false
    this.#removeFirst()
    this.nowMs = next.atMs
    next.run()
    return true
  }

  #removeFirst(): void {
    const heap = this.#heap
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let at = 0
    for (;;) {
      let below = 2 * at + 1
      let child = heap[below]
      if (child === undefined) break
      const right = heap[below + 1]
      if (right !== undefined && isBefore(right, child)) {
        below++
        child = right
      }
      if (isBefore(last, child)) break
      heap[at] = child
      at = below
    }
    heap[at] = last
  }
}

function isBefore(left: Event, right: Event): boolean {
  return left.atMs < right.atMs || (left.atMs === right.atMs && left.order < right.order)
}
