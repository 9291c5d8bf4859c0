/**
 * Rates at which links, not processors, set the pace of a crowd: where they do not, all of it is measured anew at half of
 * them, the lone fetch and whatever else it is held against included.
 */
import { availableParallelism } from 'node:os'
import { median } from '../restore/rows.ts'
import type { Measuring } from './measuring.ts'
import { type Busy, busyText, watchProcessors } from './processors.ts'

/** Of all processors, others' work included: above it they are what is measured. */
const BUSY_MAX = 0.7
/**
 * Where our own share is lower than this, it is others who keep them busy, and a lower rate would not help: the kernel's
 * work for our packets, which is nobody's, stays below the rest.
 */
const OWN_MIN = 0.5
/** Below it nothing is gained: discovery and starts take as long as the transfer. */
const MEGABITS_MIN = 100 / 16
/** It is known by then, and the rest of such a crowd need not be waited for; what starts processes is over. */
const BUSY_FROM_MS = 3_000
const BUSY_FOR_MS = 6_000

/** The processors, not the links, set the pace. */
class TooBusyError extends Error {
  constructor(busy: Busy) {
    super(busyText(busy))
  }
}

function isTooBusy({ machine, ours }: Busy, megabits: number): boolean {
  return machine > BUSY_MAX && ours > OWN_MIN && megabits > MEGABITS_MIN
}

/** Never resolves. @throws {TooBusyError} a crowd that has begun leaves the processors too little time */
export async function untilTooBusy(megabits: number, signal: AbortSignal): Promise<never> {
  const never = new Promise<never>(() => {})
  await Bun.sleep(BUSY_FROM_MS)
  const busy = watchProcessors()
  await Bun.sleep(BUSY_FOR_MS)
  const until = busy()
  if (signal.aborted || !isTooBusy(until, megabits)) return never
  throw new TooBusyError(until)
}

/**
 * Measure pairs, at rates that leave the processors time.
 *
 * @param pair one pair, at these rates; it tells how busy the processors were
 */
export async function atHonestRates<Pair>(
  { site, pairs }: Measuring,
  pair: (megabits: number) => Promise<{ readonly pair: Pair; readonly busy: Busy }>,
): Promise<{ readonly pairs: Pair[]; readonly note: string }> {
  for (;;) {
    const megabits = site.crowdMegabits
    const done: Pair[] = []
    const busy: Busy[] = []
    try {
      while (done.length < pairs) {
        const measured = await pair(megabits)
        if (isTooBusy(measured.busy, megabits)) throw new TooBusyError(measured.busy)
        done.push(measured.pair)
        busy.push(measured.busy)
      }
    } catch (error) {
      if (!(error instanceof TooBusyError)) throw error
      console.log(`    (${megabits} Mbit/s: ${error.message}; again at half the rate)`)
      site.crowdMegabits /= 2
      continue
    }
    const typical = { machine: median(busy.map((each) => each.machine)), ours: median(busy.map((each) => each.ours)) }
    const disturbed = typical.machine > BUSY_MAX ? ': disturbed, measure again' : ''
    const note = `at ${megabits} Mbit/s each way; ${busyText(typical)} (${availableParallelism()} cores)${disturbed}`
    return { pairs: done, note }
  }
}
