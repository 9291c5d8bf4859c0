/** The row of memory: what a serving daemon has at most while everybody asks it at once, and nobody else. */
import type { Form } from '../restore/home.ts'
import type { Measuring } from './measuring.ts'
import { figure, type Row } from './row.ts'

export async function memoryRows({ site, form: wanted, signal }: Measuring): Promise<Row[]> {
  const forms: readonly Form[] = wanted === undefined ? site.hasForms : [wanted]
  const rows: Row[] = []
  for (const form of forms) {
    const seed = site.seed(form)
    await site.reset()
    await seed.start()
    // No daemons: commands serve nobody.
    const fetches = site.receivers.map((client) => client.fetch(site.stock.robotFile, site.limitMs(100), signal))
    await Promise.all(fetches)
    const peak = seed.peakBytes() / 1e6
    for (const client of site.receivers) site.inspect(client)
    const what = `peak memory of a serving daemon, ${form} library, ${site.receivers.length} clients at once`
    rows.push(figure({ what, unit: 'MB', target: { most: 200 } }, [peak]))
  }
  await site.reset()
  return rows
}
