import { describe, expect, test } from 'bun:test'
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import {
  FLAG_DATA,
  FLAG_DESTROY,
  FLAG_END,
  FLAG_HEARTBEAT,
  HEADER_BYTES,
  writeHeader,
} from '../../packages/udx/src/codec.ts'
import { runs } from '../support/runs.ts'
import { type End, Link, type LinkOptions, pathOver, seeded, simulate } from './support/simulation.ts'

const flagsOf = (packet: Uint8Array) => packet[2] ?? 0

function noise(seed: number, length: number): Uint8Array {
  const random = seeded(seed)
  return Uint8Array.from({ length }, () => random() * 256)
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** Write all of `bytes` in uneven chunks. */
function writeAll(end: End, bytes: Uint8Array): void {
  for (let at = 0, size = 1; at < bytes.byteLength; at += size, size = (size * 7 + 3) % 9001) {
    end.connection.write([bytes.subarray(at, at + size)])
  }
}

/** Failed once: the answers of a side that had closed were lost for 6 s, and then nobody answered any more. */
const LOST_LAST_WORDS = [
  2147483624,
  { delayMs: 25.529, loss: 0, reorder: 0, reorderMs: 20 as const, bytesPerMs: 100, queueBytes: 20_000, mtu: 1400 },
  {
    delayMs: 6.727,
    loss: 0.18603,
    reorder: 0,
    reorderMs: 20 as const,
    bytesPerMs: 12_500,
    queueBytes: 20_000,
    mtu: 1500,
  },
] as const

describe('a stream over a bad link', () => {
  // Goal: bytes arrive once, in order, both ways, and both sides close, whatever the link loses, delays and reorders.
  test('delivers and closes', () => {
    const link = fc.record({
      delayMs: fc.double({ min: 0.05, max: 40, noNaN: true }),
      loss: fc.double({ min: 0, max: 0.2, noNaN: true }),
      reorder: fc.double({ min: 0, max: 0.3, noNaN: true }),
      reorderMs: fc.constant(20),
      bytesPerMs: fc.constantFrom(100, 1250, 12_500, 125_000),
      queueBytes: fc.constantFrom(20_000, 200_000),
      mtu: fc.constantFrom(1228, 1300, 1400, 1500, 9000),
    })
    fc.assert(
      fc.property(fc.integer(), link, link, (seed, there, back) => {
        const { clock, left, right } = simulate(seed, there, back)
        const up = noise(seed, 150_000)
        const down = noise(seed + 1, 40_000)
        writeAll(left, up)
        writeAll(right, down)
        left.connection.end()
        right.connection.end()
        clock.run(600_000, () => left.closed !== undefined && right.closed !== undefined)
        expect(sha256(right.bytes)).toBe(sha256(up))
        expect(sha256(left.bytes)).toBe(sha256(down))
        expect([left.ended, right.ended]).toEqual([true, true])
        expect([left.closed?.code, right.closed?.code]).toEqual([undefined, undefined])
        clock.run(15_000)
        expect(clock.pending).toBe(0)
      }),
      { numRuns: runs(25), examples: [[...LOST_LAST_WORDS]] },
    )
  })

  test('keeps its rate at one percent loss and 20 ms', () => {
    const rate = throughput({ delayMs: 10, bytesPerMs: 37_500, queueBytes: 512 * 1024, loss: 0.01 }, 40e6)
    expect(rate).toBeGreaterThan(25e3)
  })

  test('fills a gigabit link of 0.2 ms', () => {
    expect(throughput({ delayMs: 0.1, bytesPerMs: 125_000, queueBytes: 256 * 1024 }, 60e6)).toBeGreaterThan(100e3)
  })

  test('retransmits little more than what is lost', () => {
    const options = { delayMs: 10, bytesPerMs: 12_500, queueBytes: 256 * 1024, loss: 0.02 }
    const { clock, left, right } = simulate(3, options)
    right.keep = false
    left.connection.write([new Uint8Array(20e6)])
    clock.run(60_000, () => right.receivedBytes === 20e6)
    expect(right.receivedBytes).toBe(20e6)
    expect(left.connection.sender.retransmits).toBeLessThan(left.link.dropped * 1.05 + 5)
  })
})

/** Bytes per millisecond. */
function throughput(options: LinkOptions, bytes: number): number {
  const { clock, left, right } = simulate(7, options)
  right.keep = false
  left.connection.write([new Uint8Array(bytes)])
  const ms = clock.run(60_000, () => right.receivedBytes === bytes)
  expect(right.receivedBytes).toBe(bytes)
  return bytes / ms
}

describe('the end of a stream', () => {
  // Goal: a lost last ack leaves neither side open.
  // Method: everything that the left side sends after the right side's END has come is lost, once or for good.
  for (const [name, lose] of [
    ['once', (n: number) => n < 1],
    ['for good', () => true],
  ] as const) {
    test(`closes both sides when the last ack is lost ${name}`, () => {
      const { clock, left, right } = simulate(1, { delayMs: 5 })
      left.connection.write([noise(1, 5000)])
      left.connection.end()
      clock.run(200)
      let lost = 0
      left.link.options = { delayMs: 5, drop: () => lose(lost++) }
      right.connection.end()
      clock.run(60_000)
      expect(lost).toBeGreaterThan(0)
      expect(left.closed?.code).toBeUndefined()
      expect(right.closed).toBeDefined()
      expect(right.closed?.code).toBeUndefined()
    })
  }

  test('does not take an END that carries unanswered data behind it for heard', () => {
    const { clock, left, right } = simulate(1, { delayMs: 5 })
    right.connection.end()
    clock.run(100)
    left.link.options = { delayMs: 5, loss: 1 }
    left.connection.write([noise(1, 100)])
    left.connection.end()
    clock.run(60_000)
    expect(left.closed?.code).toBe('ETIMEDOUT')
  })

  test('tells a reset again when it is lost', () => {
    const { clock, left, right } = simulate(1, { delayMs: 5 })
    left.connection.write([noise(1, 100)])
    clock.run(100)
    let resets = 0
    left.link.options = { delayMs: 5, drop: (packet) => (flagsOf(packet) & FLAG_DESTROY) !== 0 && resets++ < 1 }
    left.connection.destroy()
    expect(left.closed).toEqual({ code: undefined, at: clock.now() })
    clock.run(1000)
    expect(resets).toBeGreaterThan(1)
    expect(right.closed?.code).toBe('ECONNRESET')
  })

  test('gives a silent remote up after about 13 s', () => {
    const { clock, left } = simulate(1, { delayMs: 5, loss: 1 })
    left.connection.write([noise(1, 100)])
    const ms = clock.run(60_000, () => left.closed !== undefined)
    expect(left.closed?.code).toBe('ETIMEDOUT')
    expect(ms).toBeGreaterThan(10_000)
    expect(ms).toBeLessThan(16_000)
    expect(clock.pending).toBe(0)
  })

  test('leaves no timer behind', () => {
    const { clock, left, right } = simulate(1, { delayMs: 5 })
    left.connection.setKeepalive(500)
    left.connection.write([noise(1, 100_000)])
    left.connection.end()
    right.connection.end()
    clock.run(30_000)
    expect(clock.pending).toBe(0)
  })
})

describe('flow control', () => {
  test('stops at a closed window, asks, and goes on when it opens', () => {
    const { clock, left, right } = simulate(1, { delayMs: 5 })
    right.reads = false
    left.connection.write([noise(1, 6_000_000)])
    clock.run(5000)
    expect(right.receivedBytes).toBeGreaterThan(4_000_000)
    expect(right.receivedBytes).toBeLessThan(4.2 * 1024 * 1024)
    const heartbeats = left.link.packets
    clock.run(5000)
    expect(left.link.packets).toBeGreaterThan(heartbeats)
    right.reads = true
    right.connection.onRead()
    clock.run(500)
    expect(right.receivedBytes).toBe(6_000_000)
  })

  test('asks again when the word that the window has opened is lost', () => {
    const { clock, left, right } = simulate(1, { delayMs: 5 })
    right.reads = false
    left.connection.write([noise(1, 6_000_000)])
    clock.run(5000)
    right.reads = true
    clock.run(5000)
    expect(right.receivedBytes).toBe(6_000_000)
    expect(left.drains).toBe(1)
  })

  test('write() returns false beyond the high watermark and drains once', () => {
    const { clock, left } = simulate(1, { delayMs: 5 })
    expect(left.connection.write([new Uint8Array(1000)])).toBe(true)
    expect(left.connection.write([new Uint8Array(1_000_000)])).toBe(false)
    clock.run(1000)
    expect(left.drains).toBe(1)
  })
})

describe('the size of packets', () => {
  for (const mtu of [1200, 1280, 1300, 1420, 1492, 1500]) {
    test(`comes within 16 bytes of a path that takes ${mtu}`, () => {
      const { clock, left, right } = simulate(1, { delayMs: 2, bytesPerMs: 12_500, mtu })
      left.connection.write([new Uint8Array(3e6)])
      clock.run(5000, () => right.receivedBytes === 3e6)
      expect(right.receivedBytes).toBe(3e6)
      const { bytes } = left.connection.sender.packetSize
      expect(bytes).toBeLessThanOrEqual(mtu)
      expect(bytes).toBeGreaterThan(mtu - 16)
    })
  }
})

// Goal: a path that comes to pass less than it did costs two timeouts, not the stream.
// Method: everything larger than 1,300 bytes is lost from the middle of a transfer on, unless it may be cut up.
test('a stream survives a path that becomes smaller', () => {
  const { clock, left, right } = simulate(1, { delayMs: 2, bytesPerMs: 12_500, mtu: 1500 })
  const bytes = noise(4, 6_000_000)
  left.connection.write([bytes])
  clock.run(200)
  expect(left.connection.sender.packetSize.bytes).toBe(1500)
  left.link.options = { ...left.link.options, mtu: 1300 }
  clock.run(20_000, () => right.receivedBytes === bytes.byteLength)
  expect(sha256(right.bytes)).toBe(sha256(bytes))
  const { bytes: size } = left.connection.sender.packetSize
  expect(size).toBeLessThanOrEqual(1300)
  expect(size).toBeGreaterThan(1300 - 16)
})

describe('keep-alive', () => {
  test('sends a heartbeat after each idle interval, and the remote answers', () => {
    const { clock, left, right } = simulate(1, { delayMs: 5 })
    left.connection.setKeepalive(1000)
    clock.run(3500)
    expect([left.link.packets, right.link.packets]).toEqual([3, 3])
    left.connection.setKeepalive(0)
    clock.run(5000)
    expect(left.link.packets).toBe(3)
  })
})

describe('another path', () => {
  test('changePath() moves a stream whose old way is gone', () => {
    const { clock, random, left, right } = simulate(1, { delayMs: 5 })
    const bytes = noise(1, 400_000)
    left.connection.write([bytes])
    clock.run(12)
    left.link.options = { delayMs: 5, loss: 1 }
    const fresh = new Link(clock, random, { delayMs: 3 })
    fresh.deliver = (packet) => right.take(packet)
    expect(left.connection.changePath(pathOver(fresh, 2))).toBe(false)
    clock.run(20_000, () => right.receivedBytes === bytes.byteLength)
    expect(sha256(right.bytes)).toBe(sha256(bytes))
    expect(left.remoteChanges).toBe(1)
  })

  test('changePath() takes effect at once when nothing is under way', () => {
    const { left } = simulate(1, { delayMs: 5 })
    expect(left.connection.changePath(pathOver(left.link, 9))).toBe(true)
  })
})

describe('packets of strangers', () => {
  // Goal: whatever comes in under our id, nothing throws, memory stays bounded, and the true remote is still heard.
  test('neither crash nor fill a stream', () => {
    const field = fc.oneof(fc.integer({ min: 0, max: 5000 }), fc.integer({ min: 0, max: 0xffffffff }))
    const packet = fc.tuple(fc.integer({ min: 0, max: 255 }), field, field, field, fc.uint8Array({ maxLength: 600 }))
    fc.assert(
      fc.property(fc.array(packet, { maxLength: 60 }), (packets) => {
        const { clock, left, right } = simulate(5, { delayMs: 1 })
        left.connection.write([new Uint8Array(20_000)])
        for (const [flags, window, seq, ack, rest] of packets) {
          const bytes = new Uint8Array(HEADER_BYTES + rest.byteLength)
          writeHeader(bytes, flags & ~(FLAG_DESTROY | FLAG_END), left.id, window, seq, ack)
          bytes.set(rest, HEADER_BYTES)
          bytes[3] = rest[0] ?? 0
          left.take(bytes)
        }
        clock.run(100)
        const { packets: held } = left.connection.inbound
        expect(held.heldBytes).toBeLessThanOrEqual(4 * 1024 * 1024)
        expect(left.connection.sender.flight.packets).toBeGreaterThanOrEqual(0)
        expect(right.closed).toBeUndefined()
        left.connection.destroy()
        clock.run(15_000)
        expect(clock.pending).toBe(0)
      }),
      { numRuns: runs(60) },
    )
  })

  test('cannot ack what was never sent', () => {
    const { clock, left, right } = simulate(5, { delayMs: 1 })
    left.connection.write([noise(2, 3000)])
    const forged = new Uint8Array(HEADER_BYTES)
    writeHeader(forged, 0, left.id, 0, 0, 1000)
    left.take(forged)
    clock.run(100)
    expect(sha256(right.bytes)).toBe(sha256(noise(2, 3000)))
  })

  test('an old reset is not obeyed', () => {
    const { clock, left, right } = simulate(5, { delayMs: 1 })
    left.connection.write([noise(2, 3000)])
    clock.run(100)
    const old = new Uint8Array(HEADER_BYTES)
    writeHeader(old, FLAG_DESTROY, right.id, 0, 0, 0)
    right.take(old)
    expect(right.closed).toBeUndefined()
  })

  test('two streams that linger do not talk for ever', () => {
    const { clock, left, right } = simulate(5, { delayMs: 1 })
    left.connection.end()
    right.connection.end()
    clock.run(50)
    const sent = left.link.packets + right.link.packets
    for (const flags of [FLAG_DATA, FLAG_END, FLAG_HEARTBEAT]) {
      const late = new Uint8Array(HEADER_BYTES)
      writeHeader(late, flags, left.id, 0, 0, 0)
      left.take(late)
    }
    clock.run(5000)
    expect(left.link.packets + right.link.packets).toBe(sent + 3)
  })
})
