/** How a stream takes loss: what a hole, a lost retransmission and a lossy wide path may cost. Simulated, so exact. */
import { describe, expect, test } from 'bun:test'
import { FLAG_DATA, readUint32 } from '../../packages/udx/src/codec.ts'
import { RECEIVE_WINDOW_BYTES } from '../../packages/udx/src/inbound.ts'
import { type LinkOptions, simulate } from './support/simulation.ts'

const isData = (packet: Uint8Array) => ((packet[2] ?? 0) & FLAG_DATA) !== 0
const seqOf = (packet: Uint8Array) => readUint32(packet, 12)

/** Send `bytes` over `there`. @returns the milliseconds until all has come */
function transfer(there: LinkOptions, back: LinkOptions, bytes: number, seed = 7) {
  const { clock, left, right } = simulate(seed, there, back)
  right.keep = false
  left.connection.write([new Uint8Array(bytes)])
  const ms = clock.run(120_000, () => right.receivedBytes === bytes)
  expect(right.receivedBytes).toBe(bytes)
  return { ms, left, right }
}

describe('a hole in what has arrived', () => {
  // Goal: while one packet is missing, as much may follow as the receiver holds, not only one receive window.
  // Method: packet 40 is lost for half a second; a path of 10 ms carries many windows in that time.
  test('does not stop a sender at the receive window', () => {
    const { clock, left, right } = simulate(1, { delayMs: 5, bytesPerMs: 20_000 })
    left.link.options = { ...left.link.options, drop: (packet) => isData(packet) && seqOf(packet) === 40 }
    left.connection.write([new Uint8Array(20e6)])
    clock.run(500)
    expect(right.receivedBytes).toBeLessThan(100_000)
    expect(right.connection.inbound.packets.heldBytes).toBeGreaterThan(2 * RECEIVE_WINDOW_BYTES)
  })

  test('does not narrow the window that the receiver offers', () => {
    const { clock, left, right } = simulate(1, { delayMs: 5 })
    left.link.options = { delayMs: 5, drop: (packet) => isData(packet) && seqOf(packet) === 3 }
    left.connection.write([new Uint8Array(200_000)])
    clock.run(100)
    expect(right.connection.inbound.packets.heldBytes).toBeGreaterThan(100_000)
    expect(right.connection.inbound.offer()).toBe(RECEIVE_WINDOW_BYTES)
  })

  test('lets a writer go on: what has arrived out of order no longer counts as pending', () => {
    const { clock, left, right } = simulate(1, { delayMs: 5, bytesPerMs: 20_000 })
    left.link.options = { ...left.link.options, drop: (packet) => isData(packet) && seqOf(packet) === 40 }
    for (let round = 0, drains = -1; round < 500; round++, clock.run(1)) {
      if (left.drains === drains) continue
      drains = left.drains
      while (left.connection.write([new Uint8Array(65_536)]));
    }
    expect(left.connection.sender.ackedBytes).toBeLessThan(100_000)
    expect(right.connection.inbound.packets.heldBytes).toBeGreaterThan(2 * RECEIVE_WINDOW_BYTES)
  })
})

describe('a lost retransmission', () => {
  // Goal: where nothing follows that would tell of the loss, it costs round trips, not the timeout of a second.
  // Method: the last but one packet of a burst is lost, and so is its retransmission.
  test('at the end of a burst is found by a probe', () => {
    let lost = 0
    const drop = (packet: Uint8Array) => isData(packet) && seqOf(packet) === 30 && lost++ < 2
    const { ms, left } = transfer({ delayMs: 10, drop }, { delayMs: 10 }, 32 * 1152)
    expect(lost).toBeGreaterThanOrEqual(2)
    expect(left.connection.sender.recovery.timeouts).toBe(0)
    expect(ms).toBeLessThan(400)
  })

  test('of a single packet is found by a second probe', () => {
    let lost = 0
    const { clock, left, right } = simulate(1, { delayMs: 10 })
    left.connection.write([new Uint8Array(100)])
    clock.run(100)
    left.link.options = { delayMs: 10, drop: (packet) => isData(packet) && lost++ < 2 }
    left.connection.write([new Uint8Array(100)])
    expect(clock.run(5000, () => right.receivedBytes === 200)).toBeLessThan(200)
    expect(left.connection.sender.recovery.timeouts).toBe(0)
  })
})

describe('random loss', () => {
  // 200 MB/s, 20 ms, 2 ms of jitter that lets packets overtake each other.
  const wide = { delayMs: 9, reorder: 1, reorderMs: 2, bytesPerMs: 200_000 }

  for (const [loss, floor] of [
    [0.01, 0.5],
    [0.05, 0.4],
  ] as const) {
    test(`of ${loss * 100} % leaves a wide path of 20 ms more than ${floor * 100} % of its rate`, () => {
      const { ms } = transfer({ ...wide, loss }, { ...wide, loss }, 100e6)
      expect(100e6 / ms / wide.bytesPerMs).toBeGreaterThan(floor)
    })
  }

  test('of 1 % does not make a sender overfill a short queue', () => {
    const path = { delayMs: 10, bytesPerMs: 12_500, queueBytes: 128 * 1024, loss: 0.01 }
    const { ms, left } = transfer(path, { delayMs: 10 }, 30e6)
    expect(30e6 / ms / path.bytesPerMs).toBeGreaterThan(0.8)
    expect(left.link.dropped / left.link.packets).toBeLessThan(0.04)
  })
})
