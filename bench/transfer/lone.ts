/** Rows with one peer: the wire, `tar` over a socket and rcc against one fetch, pair by pair. */
import type { Form } from '../restore/home.ts'
import type { Measuring } from './measuring.ts'
import { RccRemote, rccObstacle } from './rcc-pull.ts'
import { compared, figure, type Row } from './row.ts'
import type { Site } from './site.ts'
import { plainMs, tarMs } from './socket-copy.ts'

/** TCP carries 1,448 bytes in a frame of 1,514: 0.956. */
const PLAIN_TARGET = 0.95
const PLAIN_SECONDS = 5

/** That the limits of links are what they are said to be, for plain TCP. */
export async function wireRows({ site, pairs }: Measuring): Promise<Row[]> {
  const [from, to] = [site.seed(firstForm(site)), site.receiver()]
  const rows: Row[] = []
  for (const megabits of [100, 1_000]) {
    await site.reset()
    site.shape([from, to], megabits)
    const bytes = (PLAIN_SECONDS * megabits * 1e6) / 8
    const rates: number[] = []
    for (let pair = 0; pair < pairs; pair++)
      rates.push((bytes * 8) / 1_000 / (await plainMs(from.host, to.host, bytes)))
    const head = { what: `plain TCP over ${megabits} Mbit/s / its rate`, unit: 'Mbit/s' } as const
    const leaky = rates.some((rate) => rate > megabits) ? { note: 'the limit lets more through than it says' } : {}
    const row = { ...head, ...leaky, target: { least: PLAIN_TARGET } }
    rows.push(
      compared(
        row,
        rates,
        rates.map(() => megabits),
      ),
    )
  }
  return rows
}

function firstForm(site: Site): Form {
  return site.hasForms[0] ?? 'raw'
}

interface TarContest {
  readonly megabits: number | undefined
  /** Of the blobs that tar moves, and of ours where nothing else was asked for. */
  readonly tarForm: Form
  readonly target: number
  /** Whether the first request with nothing prepared has to reach the target, too. */
  readonly coldMeets: boolean
}

const CONTESTS = {
  unshaped: { megabits: undefined, tarForm: 'raw', target: 0.75, coldMeets: true },
  gigabit: { megabits: 1_000, tarForm: 'gzip', target: 0.85, coldMeets: false },
  hundred: { megabits: 100, tarForm: 'gzip', target: 0.75, coldMeets: false },
} as const satisfies Record<string, TarContest>

export function unshapedRows(measuring: Measuring): Promise<Row[]> {
  return tarRows(measuring, CONTESTS.unshaped)
}

export function gigabitRows(measuring: Measuring): Promise<Row[]> {
  return tarRows(measuring, CONTESTS.gigabit)
}

export function hundredRows(measuring: Measuring): Promise<Row[]> {
  return tarRows(measuring, CONTESTS.hundred)
}

/** Ours against `tar`: by a command alone, whose look-up counts, too, and through a daemon that is there anyway. */
async function tarRows(measuring: Measuring, contest: TarContest): Promise<Row[]> {
  const { site, pairs, signal } = measuring
  const { megabits, tarForm, target } = contest
  const form = measuring.form ?? tarForm
  const [seed, receiver] = [site.seed(form), site.receiver()]
  const limitMs = site.limitMs(megabits)
  await site.reset()
  site.shape([seed, receiver], megabits)
  const fetchedMs = async () => {
    receiver.empty()
    return (await site.fetched(receiver, limitMs, signal)).ms
  }
  const tar = () => tarMs(seed.host, receiver.host, `${site.seed(tarForm).home}/hololib`, site.stock.blobs)

  const cold = { ours: [] as number[], tar: [] as number[] }
  for (let pair = 0; pair < Math.min(pairs, 2); pair++) {
    await seed.stop()
    seed.removePieces()
    await seed.start()
    await seed.settled()
    cold.ours.push(await fetchedMs())
    cold.tar.push(await tar())
  }
  await seed.prepared()
  const warm = { ours: [] as number[], tar: [] as number[] }
  for (let pair = 0; pair < pairs; pair++) {
    warm.ours.push(await fetchedMs())
    warm.tar.push(await tar())
  }
  const link = megabits === undefined ? 'unshaped' : `${megabits} Mbit/s`
  const what = `one peer, ${link}, from a ${form} library / tar of ${tarForm} blobs`
  const judged = { target: { most: target } }
  const daemon = await throughDaemon(measuring, limitMs, tar)
  return [
    compared({ what, unit: 'ms', ...judged }, warm.ours, warm.tar),
    compared({ what: "  the same through the receiver's daemon", unit: 'ms', ...judged }, daemon.ours, daemon.tar),
    compared(
      { what: '  the first request, nothing prepared', unit: 'ms', ...(contest.coldMeets ? judged : {}) },
      cold.ours,
      cold.tar,
    ),
  ]
}

/** Where the receiver has a daemon, which is at rest and knows the seed, but has fetched nothing yet. */
async function throughDaemon({ site, pairs, signal }: Measuring, limitMs: number, tar: () => Promise<number>) {
  const receiver = site.receiver()
  const times = { ours: [] as number[], tar: [] as number[] }
  for (let pair = 0; pair < pairs; pair++) {
    receiver.empty()
    const startedMs = performance.now()
    await receiver.start()
    await receiver.connected(1)
    await receiver.settled()
    const restMs = performance.now() - startedMs
    times.ours.push((await site.fetched(receiver, limitMs, signal)).ms)
    await receiver.stop()
    // As long idle before, which costs both some time.
    await Bun.sleep(restMs)
    times.tar.push(await tar())
  }
  return times
}

/** Ours against the pull of rcc, from gzip libraries, with and without a zip that its server keeps. */
export async function rccRows(measuring: Measuring): Promise<Row[] | string> {
  const { site, pairs, signal } = measuring
  const obstacle = rccObstacle()
  if (obstacle !== undefined) return obstacle
  const [seed, receiver] = [site.seed(measuring.form ?? 'gzip'), site.receiver()]
  await site.reset()
  await using remote = new RccRemote(seed.host, receiver.host, site.stock)
  await seed.start()
  const times = { ours: [] as number[], fresh: [] as number[], kept: [] as number[] }
  await site.fetched(receiver, site.limitMs(), signal)
  await seed.prepared()
  for (let pair = 0; pair < pairs; pair++) {
    receiver.empty()
    times.ours.push((await site.fetched(receiver, site.limitMs(), signal)).ms)
    await remote.restart()
    times.fresh.push(await remote.pullMs())
    times.kept.push(await remote.pullMs())
  }
  const what = 'one peer, unshaped / rcc pull, zip'
  return [
    compared({ what: `${what} not cached`, unit: 'ms', target: { most: 0.2 } }, times.ours, times.fresh),
    compared({ what: `${what} cached`, unit: 'ms', target: { most: 0.4 } }, times.ours, times.kept),
  ]
}

/** How soon the first byte of a blob is there, from the start of a process that has no daemon and knows one. */
export async function firstRows({ site, pairs, form, signal }: Measuring): Promise<Row[]> {
  const [seed, receiver] = [site.seed(form ?? 'raw'), site.receiver()]
  await site.reset()
  await seed.start()
  const times: number[] = []
  for (let run = 0; run < Math.max(pairs, 5); run++) {
    receiver.empty()
    const { firstByteMs } = await site.fetched(receiver, site.limitMs(), signal)
    if (firstByteMs === undefined) throw new Error('the report does not tell when the first byte came')
    times.push(firstByteMs)
  }
  return [figure({ what: 'first blob after process start, daemon known', unit: 'ms', target: { most: 300 } }, times)]
}

/** Many small blobs, in a site of their own. */
export async function smallRows({ site, pairs, signal }: Measuring): Promise<Row[]> {
  const [seed, receiver] = [site.seed('raw'), site.receiver()]
  await site.reset()
  await seed.start()
  await seed.prepared()
  const times = { stage: [] as number[], whole: [] as number[] }
  for (let run = 0; run <= pairs; run++) {
    receiver.empty()
    const { ms, stageMs } = await site.fetched(receiver, site.limitMs(), signal)
    // The first one only warms up.
    if (run === 0) continue
    times.stage.push((stageMs * 1_000) / site.stock.blobs.length)
    times.whole.push((ms * 1_000) / site.stock.blobs.length)
  }
  const what = `${site.stock.blobs.length} blobs of 4 KiB from one peer, each`
  return [
    figure({ what, unit: 'µs', target: { most: 40 } }, times.stage),
    figure({ what: '  the same with process start and look-up', unit: 'µs' }, times.whole),
  ]
}
