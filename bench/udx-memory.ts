/**
 * Whether packages/udx keeps what it no longer needs: 24 simulated hours of idle connections, then 10,000 connects over real
 * sockets, each with an exchange and an orderly close or a reset, and a fresh socket for every hundredth.
 *
 * `bun bench/udx-memory.ts [HOURS] [CONNECTS]`. Prints resident memory after collection, at the half and at the end of each
 * part, and the growth in between; ends with status 1 when that is more than 1 MB.
 */
import { once } from 'node:events'
import type { UDXStream } from '../packages/udx/src/stream.ts'
import { UDX } from '../packages/udx/src/udx.ts'
import { Network } from '../test/udx/support/network.ts'

const hours = Number(process.argv[2] ?? 24)
const connects = Number(process.argv[3] ?? 10_000)
const GROWTH_BYTES_MAX = 1024 * 1024
/** Looks at memory in the second half. */
const MARKS = 12
const IDLE_STREAMS = 50
const KEEPALIVE_MS = 5000
const HOUR_MS = 3_600_000
const HOST = '127.0.0.1'

/** Resident bytes once nothing is left to collect: the least of several looks, because the allocator returns pages late. */
async function resident(): Promise<number> {
  let least = Number.POSITIVE_INFINITY
  for (let i = 0; i < 5; i++) {
    Bun.gc(true)
    await Bun.sleep(50)
    least = Math.min(least, process.memoryUsage.rss())
  }
  return least
}

/** Growth along the line that fits `values` best: the allocator's own ups and downs are larger than what is looked for. */
function fittedGrowth(values: readonly number[]): number {
  const middle = (values.length - 1) / 2
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  const covariance = values.reduce((sum, value, i) => sum + (i - middle) * (value - mean), 0)
  const variance = values.reduce((sum, _, i) => sum + (i - middle) ** 2, 0)
  return (covariance / variance) * (values.length - 1)
}

/** Do `work(0)` to `work(steps - 1)`, and say by how much memory has grown over the second half. */
async function watch(what: string, steps: number, work: (step: number) => Promise<void> | void): Promise<boolean> {
  const half = Math.floor(steps / 2)
  const every = Math.max(1, Math.floor((steps - half) / MARKS))
  const marks: number[] = []
  for (let step = 0; step < steps; step++) {
    if (step >= half && (step - half) % every === 0) marks.push(await resident())
    await work(step)
  }
  marks.push(await resident())
  const growth = fittedGrowth(marks)
  const mega = (bytes: number) => `${(bytes / 1024 / 1024).toFixed(2)} MB`
  console.log(
    `${what}: ${mega(marks[0] ?? 0)} at the half, ${mega(marks.at(-1) ?? 0)} at the end, grown by ${mega(growth)}`,
  )
  return growth <= GROWTH_BYTES_MAX
}

/** Connections that only keep alive, `hours` long. */
async function idle(): Promise<boolean> {
  const network = new Network(1, { delayMs: 5, loss: 0.001 })
  network.keepTrace = false
  const [here, there] = [network.udx('10.0.0.1').createSocket(), network.udx('10.0.0.2').createSocket()]
  here.bind(4000)
  there.bind(4000)
  const streams: UDXStream[] = []
  for (let id = 1; id <= IDLE_STREAMS; id++) {
    const [left, right] = [here.udx.createStream(id), there.udx.createStream(id)]
    left.connect(here, id, 4000, '10.0.0.2')
    right.connect(there, id, 4000, '10.0.0.1')
    for (const stream of [left, right]) stream.setKeepalive(KEEPALIVE_MS)
    streams.push(left, right)
  }
  const good = await watch(`${IDLE_STREAMS} idle connections, ${hours} simulated hours`, hours, () => {
    network.clock.run(HOUR_MS)
  })
  const heard = streams.every((stream) => stream.connected && stream.packetsReceived > hours * 700)
  if (!heard) throw new Error('a connection has not been kept alive')
  return good
}

/** Connect, exchange, close; again and again. */
async function connecting(): Promise<boolean> {
  const [left, right] = [new UDX(), new UDX()]
  const bound = (udx: UDX) => {
    const socket = udx.createSocket()
    socket.bind(0, HOST)
    return socket
  }
  const there = bound(right)
  let here = bound(left)
  return await watch(`${connects} connects`, connects, async (step) => {
    if (step % 100 === 99) {
      await here.close()
      here = bound(left)
    }
    const id = step + 1
    const [active, passive] = [left.createStream(id), right.createStream(id)]
    const closed = Promise.all(
      [active, passive].map((stream) => new Promise((resolve) => stream.once('close', () => resolve(null)))),
    )
    for (const stream of [active, passive]) stream.on('error', () => {})
    active.connect(here, id, there.address()?.port ?? 0, HOST)
    passive.connect(there, id, here.address()?.port ?? 0, HOST)
    passive.once('data', () => (step % 4 === 0 ? passive.destroy() : passive.end('answer')))
    active.resume()
    active.once('end', () => active.end())
    active.write(Buffer.alloc(2000))
    await once(passive as never, 'data')
    await closed
  })
}

const good = [await idle(), await connecting()]
process.exit(good.every(Boolean) ? 0 : 1)
