/** Rows of whole restores: what a daemon that knows nobody costs, and what a peer costs that does not answer. */
import type { Measuring } from './measuring.ts'
import { compared, type Row } from './row.ts'

/** Neither in nor out: as a machine whose cable was pulled after it had announced itself. */
const UNREACHABLE = `table inet dark {
  chain in { type filter hook input priority 0; policy drop; }
  chain out { type filter hook output priority 0; policy drop; }
}`

/** They are short, and what else runs on the machine disturbs them: the median needs some. */
const RESTORES_MIN = 11

/** All blobs are in the library already. */
export async function localRows({ site, pairs, form, signal }: Measuring): Promise<Row[]> {
  const machine = site.receiver()
  await site.reset()
  site.stock.install(machine.home, form ?? 'raw')
  const restoreMs = async () => {
    machine.removeSpaces()
    return machine.restore(site.stock.robotFile, site.limitMs(), signal)
  }
  // The first one verifies the blobs, and packs the catalog.
  await restoreMs()
  const times = { daemon: [] as number[], none: [] as number[] }
  for (let pair = 0; pair < Math.max(pairs, RESTORES_MIN); pair++) {
    const startedMs = performance.now()
    await machine.start()
    await machine.settled()
    const restMs = performance.now() - startedMs
    times.daemon.push(await restoreMs())
    await machine.stop()
    // A machine that was idle for seconds is slower, by a quarter on some.
    await Bun.sleep(restMs)
    times.none.push(await restoreMs())
  }
  await site.reset()
  const what = 'restore, all blobs local: daemon without peers / no daemon'
  return [compared({ what, unit: 'ms', target: { most: 1.05 } }, times.daemon, times.none)]
}

/** The second peer was announced, and is silent now; without it, it has left in order. */
export async function unreachableRows({ site, pairs, form, signal }: Measuring): Promise<Row[]> {
  const [seed, receiver] = [site.seed(form ?? 'raw'), site.receiver()]
  const second = await site.second(form ?? 'raw')
  await site.reset()
  await seed.start()
  const restoreMs = async () => {
    receiver.empty()
    const ms = await receiver.restore(site.stock.robotFile, site.limitMs(), signal)
    site.inspect(receiver)
    return ms
  }
  await restoreMs()
  await seed.settled()
  const times = { silent: [] as number[], without: [] as number[] }
  try {
    for (let pair = 0; pair < Math.max(pairs, 3); pair++) {
      await second.start()
      await second.connected(1)
      // On one machine its start would be counted, which is over on a machine of its own.
      await second.settled()
      second.host.nft(UNREACHABLE)
      times.silent.push(await restoreMs())
      second.host.nft('')
      await second.connected(1)
      await second.stop()
      times.without.push(await restoreMs())
    }
  } finally {
    second.host.nft('')
    await site.reset()
  }
  const what = 'restore from one peer, a second one silent / without it'
  return [compared({ what, unit: 'ms', target: { most: 1.05 } }, times.silent, times.without)]
}
