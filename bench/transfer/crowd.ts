/**
 * Peers that start together, one of which or two have the environment, and one receiver alone with a seed.
 *
 * All receivers run daemons, since they serve each other; what is timed are the commands, each a process that asks its
 * daemon.
 */
import type { Form } from '../restore/home.ts'
import { median } from '../restore/rows.ts'
import { untilTooBusy } from './honest-rates.ts'
import type { Fetched, Machine } from './machine.ts'
import type { Measuring } from './measuring.ts'
import { type Busy, watchProcessors } from './processors.ts'
import type { Moved, Site } from './site.ts'

/** What is the same in all crowds. */
export interface Crowd {
  readonly megabits: number
  readonly form: Form
  readonly signal: AbortSignal
}

/** What a crowd did; times are of those only who were to have the environment in the end. */
export interface CrowdRun {
  readonly lastMs: number
  readonly medianMs: number
  readonly seedBytes: number
  readonly allBytes: number
  readonly receivedBytes: ReadonlyMap<Machine, number>
  readonly busy: Busy
  readonly fetched: readonly Fetched[]
}

/** Something that happens to a crowd. */
export interface Plan {
  /** Holds the environment beside the seed. */
  readonly holder?: Machine
  /** Before the start; those that it returns are not waited for. */
  readonly prepare?: () => readonly Machine[]
  /** Resolves with those that die at that moment, command and daemon. */
  readonly deaths?: (counted: ReturnType<Site['count']>, signal: AbortSignal) => Promise<readonly Machine[]>
}

export async function runCrowd(
  site: Site,
  receivers: readonly Machine[],
  crowd: Crowd,
  plan: Plan = {},
): Promise<CrowdRun> {
  const { megabits, form } = crowd
  const seed = site.seed(form)
  const all = [seed, ...(plan.holder === undefined ? [] : [plan.holder]), ...receivers]
  await site.reset()
  for (const machine of all) await machine.start()
  for (const machine of all) await machine.connected(all.length - 1)
  await seed.settled()
  site.shape(all, megabits)
  const left = new Set(plan.prepare?.() ?? [])

  const counted = site.count()
  const busy = watchProcessors()
  const fetches = receivers.map((machine) => startedFetch(site, machine, crowd))
  const over = new AbortController()
  try {
    const tooBusy = untilTooBusy(megabits, over.signal)
    tooBusy.catch(() => {})
    // A fetch that fails ends the wait for deaths, too.
    const failing = Promise.all(fetches.map(({ fetching }) => fetching))
    failing.catch(() => {})
    const dying = plan.deaths?.(counted, AbortSignal.any([over.signal, crowd.signal]))
    dying?.catch(() => {})
    for (const machine of (await Promise.race([tooBusy, dying, failing.then(() => dying)])) ?? []) {
      left.add(machine)
      fetches.find((each) => each.machine === machine)?.end()
      await machine.stop('SIGKILL')
    }
    const remaining = fetches.filter(({ machine }) => !left.has(machine))
    const fetched = await Promise.race([tooBusy, Promise.all(remaining.map(({ fetching }) => fetching))])
    const times = fetched.map(({ ms }) => ms)
    const run = {
      lastMs: Math.max(...times),
      medianMs: median(times),
      seedBytes: counted.sentBy(seed),
      allBytes: counted.all(),
      receivedBytes: new Map(receivers.map((machine) => [machine, counted.receivedBy(machine)])),
      busy: busy(),
      fetched,
    }
    for (const { machine } of remaining) site.inspect(machine)
    return run
  } finally {
    over.abort(new Error('the crowd is through'))
    for (const { end } of fetches) end()
    await Promise.allSettled(fetches.map(({ fetching }) => fetching))
    await site.reset()
  }
}

/** A fetch that can be ended; whoever does so need not listen to its failure. */
function startedFetch(site: Site, machine: Machine, { megabits, signal }: Crowd) {
  const over = new AbortController()
  const either = AbortSignal.any([over.signal, signal])
  const fetching = machine.fetch(site.stock.robotFile, site.limitMs(megabits), either)
  fetching.catch(() => {})
  return { machine, fetching, end: () => over.abort(new Error('it was left behind')) }
}

/** One receiver alone with the seed, through its daemon. */
export async function runLone(
  { site, signal }: Measuring,
  form: Form,
  megabits: number | undefined,
): Promise<Fetched & Moved> {
  const [seed, receiver] = [site.seed(form), site.receiver()]
  await site.reset()
  await seed.start()
  await receiver.start()
  await receiver.connected(1)
  await seed.settled()
  site.shape([seed, receiver], megabits)
  return site.fetched(receiver, site.limitMs(megabits), signal)
}
