// Goal: what benchmarks say about rates and bytes is so.
// Method: plain TCP between two hosts, one of which has a limited link; the bucket bounds the time from below.
import { describe, expect } from 'bun:test'
import { plainMs } from '../../bench/transfer/socket-copy.ts'
import { type Host, Lan, lanObstacle } from '../support/lan.ts'
import { skipUnless } from '../support/skip.ts'

const missing = ['tc', 'perl', 'bash'].find((tool) => Bun.which(tool) === null)
const obstacle = lanObstacle() ?? (missing === undefined ? undefined : `the command ${missing} is not installed`)
const lanTest = skipUnless(obstacle === undefined, obstacle ?? '')

const MEGABITS = 80
const BYTES = 4_000_000
/** What passes at once, on both ends of the link, does not wait. */
const BURSTS_MS = 20

describe('Lan', () => {
  lanTest('shape() bounds what a host sends and what it receives, and lets go again', async () => {
    await using lan = new Lan()
    const [a, b] = [lan.host(), lan.host()]
    const leastMs = (BYTES * 8) / (MEGABITS * 1_000) - BURSTS_MS
    lan.shape(a, MEGABITS)
    expect(await plainMs(a, b, BYTES)).toBeGreaterThan(leastMs)
    expect(await plainMs(b, a, BYTES)).toBeGreaterThan(leastMs)
    lan.shape(a, undefined)
    for (const [from, to] of [[a, b] as const, [b, a] as const]) expect(qdiscs(from) + qdiscs(to)).not.toContain('tbf')
  })

  lanTest('traffic() counts what each host sends and receives', async () => {
    await using lan = new Lan()
    const [a, b, c] = [lan.host(), lan.host(), lan.host()]
    await plainMs(a, b, BYTES)
    const traffic = lan.traffic()
    expect(traffic.get(a)?.sentBytes).toBeGreaterThan(BYTES)
    expect(traffic.get(b)?.receivedBytes).toBeGreaterThan(BYTES)
    expect(traffic.get(a)?.receivedBytes).toBeGreaterThan(0)
    expect(traffic.get(c)?.sentBytes).toBeLessThan(BYTES / 100)
  })
})

function qdiscs({ namespace }: Host): string {
  return Bun.spawnSync(['tc', '-n', namespace, 'qdisc', 'show']).stdout.toString()
}
