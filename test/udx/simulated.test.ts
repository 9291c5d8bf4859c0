/** Whole UDX objects, streams and sockets included, under a simulated clock and network. */
import { describe, expect, test } from 'bun:test'
import type { UDXStream } from '../../packages/udx/src/stream.ts'
import { Network } from './support/network.ts'
import type { LinkOptions } from './support/simulation.ts'

const LEFT = '10.0.0.1'
const RIGHT = '10.0.0.2'

/** Two connected streams on two hosts. */
function connected(network: Network, hosts: readonly [string, string] = [LEFT, RIGHT]) {
  const [here, there] = [network.udx(hosts[0]).createSocket(), network.udx(hosts[1]).createSocket()]
  here.bind(0)
  there.bind(0)
  const [left, right] = [here.udx.createStream(1), there.udx.createStream(2)]
  left.connect(here, 2, there.address()?.port ?? 0, hosts[1])
  right.connect(there, 1, here.address()?.port ?? 0, hosts[0])
  return { here, there, left, right }
}

function outcome(stream: UDXStream) {
  const seen = { bytes: 0, ended: false, closed: false, error: '' }
  stream.on('data', (chunk) => {
    seen.bytes += (chunk as Buffer).byteLength
  })
  stream.on('end', () => {
    seen.ended = true
  })
  stream.on('error', (error) => {
    seen.error = (error as Error & { code?: string }).code ?? error.message
  })
  stream.on('close', () => {
    seen.closed = true
  })
  return seen
}

async function exchange(seed: number, options: LinkOptions, hosts?: readonly [string, string]) {
  const network = new Network(seed, options)
  const { here, there, left, right } = connected(network, hosts)
  const [atLeft, atRight] = [outcome(left), outcome(right)]
  left.end(Buffer.alloc(300_000, 1))
  right.end(Buffer.alloc(50_000, 2))
  await network.clock.runAsync(60_000, () => atLeft.closed && atRight.closed)
  void here.close()
  void there.close()
  await network.clock.runAsync(30_000)
  return { network, atLeft, atRight }
}

describe('a UDX object with an injected clock and injected ports', () => {
  const bad = { delayMs: 8, loss: 0.03, reorder: 0.2, reorderMs: 5, bytesPerMs: 5000, queueBytes: 60_000 }

  // Goal: nothing below the public interface looks at a clock or a random number of its own.
  test('does the same packet by packet with the same seed', async () => {
    const [once, again, other] = [await exchange(3, bad), await exchange(3, bad), await exchange(4, bad)]
    expect(once.network.trace.length).toBeGreaterThan(300)
    expect(again.network.trace).toEqual(once.network.trace)
    expect(other.network.trace).not.toEqual(once.network.trace)
  })

  for (const [family, hosts] of [
    ['IPv4', [LEFT, RIGHT]],
    ['IPv6', ['fd00::1', 'fd00::2']],
  ] as const) {
    test(`exchanges, ends, closes and leaves no timer and no port behind: ${family}`, async () => {
      const { network, atLeft, atRight } = await exchange(5, bad, hosts)
      expect(atLeft).toEqual({ bytes: 50_000, ended: true, closed: true, error: '' })
      expect(atRight).toEqual({ bytes: 300_000, ended: true, closed: true, error: '' })
      expect([network.clock.pending, network.bound]).toEqual([0, 0])
    })
  }
})

describe('a machine that sleeps', () => {
  // Goal: what was under way when the lid closed arrives when it opens; nobody is given up for time that nobody lived.
  test('goes on with its streams when it wakes up', async () => {
    const network = new Network(1, { delayMs: 5, bytesPerMs: 5000, queueBytes: 100_000 })
    const { left, right } = connected(network)
    const [atLeft, atRight] = [outcome(left), outcome(right)]
    left.setKeepalive(5000)
    left.end(Buffer.alloc(1_000_000))
    for (let hour = 0; hour < 5; hour++) {
      await network.clock.runAsync(30)
      network.clock.sleep(3_600_000)
    }
    await network.clock.runAsync(60_000, () => atRight.ended)
    expect(atRight).toEqual({ bytes: 1_000_000, ended: true, closed: false, error: '' })
    expect(atLeft.error).toBe('')
  })

  // Method: as dht-rpc does, a new socket takes over; the remote is told by other means.
  test('moves a stream to a fresh socket when it wakes up', async () => {
    const network = new Network(1, { delayMs: 5 })
    const { left, right, here, there } = connected(network)
    const atRight = outcome(right)
    left.write(Buffer.alloc(10_000))
    await network.clock.runAsync(100)
    network.clock.sleep(60_000)
    const fresh = here.udx.createSocket()
    fresh.bind(0)
    const moved = left.changeRemote(fresh, 2, there.address()?.port ?? 0, RIGHT)
    const followed = right.changeRemote(there, 1, fresh.address()?.port ?? 0, LEFT)
    left.write(Buffer.alloc(10_000))
    await network.clock.runAsync(1000)
    await Promise.all([moved, followed])
    let closed = false
    void here.close().then(() => {
      closed = true
    })
    await network.clock.runAsync(10)
    expect([closed, atRight.bytes, atRight.error]).toEqual([true, 20_000, ''])
  })
})
