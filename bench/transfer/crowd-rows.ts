/**
 * Rows with many peers that start together: how much the seed sends, how long the last one takes, and what a slow one,
 * dead ones and a liar among them do to the others; and what a second holder is worth.
 */
import type { Form } from '../restore/home.ts'
import { median } from '../restore/rows.ts'
import { type Crowd, type CrowdRun, type Plan, runCrowd, runLone } from './crowd.ts'
import { atHonestRates } from './honest-rates.ts'
import type { Machine } from './machine.ts'
import type { Measuring } from './measuring.ts'
import { compared, figure, type Row } from './row.ts'

/** Of each of two holders. */
const PAIR_MEGABITS = 100
const SLOW_SHARE = 0.01
const KILLED_SHARE = 1 / 4
/** Each look at the counters starts a process a host. */
const POLL_MS = 500

function formOf({ form }: Measuring): Form {
  return form ?? 'gzip'
}

function crowdOf(measuring: Measuring, megabits: number): Crowd {
  return { megabits, form: formOf(measuring), signal: measuring.signal }
}

/** What the seed prepares for the wire is prepared after this. */
async function warmUp(measuring: Measuring): Promise<void> {
  await runLone(measuring, formOf(measuring), undefined)
  await measuring.site.seed(formOf(measuring)).prepared()
}

/** One seed, and all receivers start together. */
export async function crowdRows(measuring: Measuring): Promise<Row[]> {
  const { site } = measuring
  const count = site.receivers.length
  await warmUp(measuring)
  const { pairs, note } = await atHonestRates(measuring, async (megabits) => {
    const crowd = crowdOf(measuring, megabits)
    const lone = await runLone(measuring, crowd.form, megabits)
    const together = await runCrowd(site, site.receivers, crowd)
    return { pair: { lone, together }, busy: together.busy }
  })
  const megabytes = (bytes: readonly number[]) => bytes.map((value) => value / 1e6)
  const environment = megabytes(pairs.map(({ lone }) => lone.sentBytes))
  const allOfAll = megabytes(pairs.map(({ lone }) => lone.allBytes * count))
  const last = pairs.map(({ together }) => together.lastMs)
  const what = `${count} receivers, one seed`
  return [
    compared(
      { what: `${what}: bytes that the seed sends / environment`, unit: 'MB', target: { most: 1.1 }, note },
      megabytes(pairs.map(({ together }) => together.seedBytes)),
      environment,
    ),
    compared(
      { what: `${what}: time of the last / one alone`, unit: 'ms', target: { most: 1.15 } },
      last,
      pairs.map(({ lone }) => lone.ms),
    ),
    compared(
      { what: `${what}: time of the slowest / median`, unit: 'ms', target: { most: 1.1 } },
      last,
      pairs.map(({ together }) => together.medianMs),
    ),
    compared(
      { what: `${what}: LAN bytes of all / (${count} × environment)`, unit: 'MB', target: { most: 1.05 } },
      megabytes(pairs.map(({ together }) => together.allBytes)),
      allOfAll,
    ),
  ]
}

/** A crowd to which something happens, against one to which nothing does. */
async function disturbed(
  measuring: Measuring,
  head: { readonly what: string; readonly target: number },
  plan: (megabits: number, healthy: CrowdRun) => Plan,
): Promise<Row[]> {
  const { site } = measuring
  await warmUp(measuring)
  const { pairs, note } = await atHonestRates(measuring, async (megabits) => {
    const crowd = crowdOf(measuring, megabits)
    const healthy = await runCrowd(site, site.receivers, crowd)
    const other = await runCrowd(site, site.receivers, crowd, plan(megabits, healthy))
    return { pair: { healthy, other }, busy: healthy.busy }
  })
  return [
    compared(
      { what: head.what, unit: 'ms', target: { most: head.target }, note },
      pairs.map(({ other }) => other.lastMs),
      pairs.map(({ healthy }) => healthy.lastMs),
    ),
  ]
}

/** One receiver has a hundredth of the others' rate; it is not waited for, since it would take a hundred times longer. */
export function slowRows(measuring: Measuring): Promise<Row[]> {
  const { site } = measuring
  const slow = site.receiver(site.receivers.length - 1)
  const what = `one of ${site.receivers.length} at 1 % of the rate: last of the others / all healthy`
  return disturbed(measuring, { what, target: 1.3 }, (megabits) => ({
    prepare: () => {
      site.shape([slow], megabits * SLOW_SHARE)
      return [slow]
    },
  }))
}

/** A quarter of the receivers dies when it has half of the environment: daemons and commands, without a word. */
export function killedRows(measuring: Measuring): Promise<Row[]> {
  const { site } = measuring
  const victims = site.receivers.slice(-Math.max(1, Math.floor(site.receivers.length * KILLED_SHARE)))
  const what = `${victims.length} of ${site.receivers.length} killed half-way: last of the others / none killed`
  return disturbed(measuring, { what, target: 1.3 }, (megabits, healthy) => ({
    deaths: async (counted, signal) => {
      const startedMs = performance.now()
      const half = (victim: Machine) => (healthy.receivedBytes.get(victim) ?? 0) / 2
      while (victims.some((victim) => counted.receivedBy(victim) < half(victim))) {
        signal.throwIfAborted()
        if (performance.now() - startedMs > site.limitMs(megabits)) throw new Error('nobody came half-way')
        await Bun.sleep(POLL_MS)
      }
      return victims
    },
  }))
}

/** One of those that hold everything sends other bytes in one blob of a hundred. */
export async function liarRows(measuring: Measuring): Promise<Row[]> {
  const { site } = measuring
  const form = formOf(measuring)
  const receivers = site.receivers.slice(1)
  const before = site.wrongBlobs
  await warmUp(measuring)
  let falsified = 0
  const { pairs, note } = await atHonestRates(measuring, async (megabits) => {
    const crowd = crowdOf(measuring, megabits)
    const honest = await runCrowd(site, receivers, crowd, { holder: await site.second(form) })
    const liar = await site.second(form)
    const lying = await runCrowd(site, receivers, crowd, {
      holder: liar,
      // Its daemon has announced the library by now.
      prepare: () => {
        falsified = site.stock.falsify(liar.home, form)
        const { wrong } = site.stock.inspect(liar.home)
        if (wrong !== falsified) throw new Error(`${falsified} blobs were altered, and ${wrong} were found out`)
        return []
      },
    })
    return { pair: { honest, lying }, busy: honest.busy }
  })
  const dropped = median(pairs.map(({ lying }) => lying.fetched.filter((each) => each.dropped.length > 0).length))
  const what = `a second holder lies in ${falsified} of ${site.stock.blobs.length} blobs`
  const seen = `dropped by ${dropped} of ${receivers.length}`
  return [
    compared(
      { what: `${what}: time / all honest`, unit: 'ms', target: { most: 1.2 }, note: `${note}; ${seen}` },
      pairs.map(({ lying }) => lying.lastMs),
      pairs.map(({ honest }) => honest.lastMs),
    ),
    figure({ what: '  wrong bytes in libraries', unit: 'blobs', target: { most: 0 } }, [site.wrongBlobs - before]),
  ]
}

/** Two holders instead of one, each with a limit; the receiver has none. */
export async function pairRows(measuring: Measuring): Promise<Row[]> {
  const { site, pairs, signal } = measuring
  const form = formOf(measuring)
  const [seed, receiver] = [site.seed(form), site.receiver()]
  const second = await site.second(form)
  const fetchedMs = async (holders: readonly Machine[]) => {
    await site.reset()
    for (const machine of [...holders, receiver]) await machine.start()
    await receiver.connected(holders.length)
    for (const machine of holders) await machine.settled()
    site.shape(holders, PAIR_MEGABITS)
    return (await site.fetched(receiver, site.limitMs(PAIR_MEGABITS), signal)).ms
  }
  await fetchedMs([seed, second])
  await Promise.all([seed, second].map((machine) => machine.prepared()))
  const times = { one: [] as number[], two: [] as number[] }
  for (let pair = 0; pair < pairs; pair++) {
    times.one.push(await fetchedMs([seed]))
    times.two.push(await fetchedMs([seed, second]))
  }
  await site.reset()
  const what = `speed-up by a second peer, each limited to ${PAIR_MEGABITS} Mbit/s`
  return [compared({ what, unit: 'ms', target: { least: 1.8 } }, times.one, times.two)]
}
