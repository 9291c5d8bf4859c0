/**
 * How busy the processors were: in all, others' work included, and by the processes of this benchmark, which are all
 * that its process namespace shows.
 */
import * as fs from 'node:fs'
import { availableParallelism } from 'node:os'

/** Of the kernel's clock for processes, on every platform that rcc runs on. */
const TICKS_PER_SECOND = 100

/** Shares of all processors, 0 to 1. */
export interface Busy {
  readonly machine: number
  readonly ours: number
}

/** @returns what tells, at the end, how busy they were since */
export function watchProcessors(): () => Busy {
  const [startedMs, before, ownBefore] = [performance.now(), machineTicks(), ownTicks()]
  return () => {
    const wallTicks = ((performance.now() - startedMs) / 1000) * TICKS_PER_SECOND * availableParallelism()
    const { busy, all } = machineTicks()
    return {
      machine: (busy - before.busy) / Math.max(1, all - before.all),
      ours: (ownTicks() - ownBefore) / Math.max(1, wallTicks),
    }
  }
}

/** As text: `71 % of the processors busy, 60 % by us`. */
export function busyText({ machine, ours }: Busy): string {
  return `${(machine * 100).toFixed(0)} % of the processors busy, ${(ours * 100).toFixed(0)} % by us`
}

/** User and system time of one process, in seconds. */
export function processorSeconds(pid: number): number {
  const [user = 0, system = 0] = timesOf(pid)
  return (user + system) / TICKS_PER_SECOND
}

function machineTicks(): { busy: number; all: number } {
  const line = fs.readFileSync('/proc/stat', 'utf8').split('\n')[0] ?? ''
  // user nice system idle iowait irq softirq steal; guests are counted in user already.
  const ticks = line.trim().split(/\s+/).slice(1, 9).map(Number)
  const all = ticks.reduce((sum, value) => sum + value, 0)
  return { busy: all - (ticks[3] ?? 0) - (ticks[4] ?? 0), all }
}

/** Of all processes that live, and of those that they have waited for. */
function ownTicks(): number {
  return fs
    .readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => timesOf(Number(name)))
    .reduce((sum, value) => sum + value, 0)
}

/** User, system, and both of its children that have ended; nothing of a process that is gone. */
function timesOf(pid: number): number[] {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .slice(11, 15)
      .map(Number)
  } catch {
    return []
  }
}
