/** Wait for a moment in which nobody else works here: two cores that others share measure nothing. */
import * as fs from 'node:fs'

const LOOK_MS = 100
/** Of all processors; the kernel's own threads are always a little busy. */
const BUSY_SHARE_MAX = 0.1
const WAIT_MS_MAX = 10_000

/** Rounds that began beside other work, since the wait for its end has a bound. */
let disturbed = 0

export function disturbedRounds(): number {
  return disturbed
}

/** Return as soon as the processors were idle for a moment, or after ten seconds. */
export function waitForQuiet(): void {
  const deadlineMs = performance.now() + WAIT_MS_MAX
  for (;;) {
    const before = processorTimes()
    Bun.sleepSync(LOOK_MS)
    const after = processorTimes()
    const busyShare = 1 - (after.idle - before.idle) / (after.all - before.all)
    if (busyShare <= BUSY_SHARE_MAX) return
    if (performance.now() < deadlineMs) continue
    disturbed++
    return
  }
}

/** In ticks, of all processors together: proc(5), /proc/stat. */
function processorTimes(): { readonly all: number; readonly idle: number } {
  const line = fs.readFileSync('/proc/stat', 'utf8').split('\n', 1)[0] ?? ''
  // cpu user nice system idle iowait irq softirq steal guest guest_nice; guest times are part of user and nice.
  const ticks = line.split(/\s+/).slice(1, 9).map(Number)
  return { all: ticks.reduce((sum, value) => sum + value, 0), idle: (ticks[3] ?? 0) + (ticks[4] ?? 0) }
}
