/**
 * Fuzzing of packages/udx from both ends: bytes as strangers send them into a whole UDX object, and any sequence of calls,
 * packets, losses and waits on the core of a stream. A million inputs each in the long run (`npm run test:long`).
 */
import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { FLAG_DATA, FLAG_DESTROY, HEADER_BYTES, seqAdd, writeHeader } from '../../packages/udx/src/codec.ts'
import { FLIGHT_PACKETS_MAX } from '../../packages/udx/src/flight.ts'
import { HELD_BYTES_MAX, RECEIVE_WINDOW_BYTES } from '../../packages/udx/src/inbound.ts'
import { HELD_PACKETS_MAX } from '../../packages/udx/src/receive-window.ts'
import { runs } from '../support/runs.ts'
import { Network } from './support/network.ts'
import { type End, pathOver, simulate } from './support/simulation.ts'

const uint32 = fc.integer({ min: 0, max: 0xffffffff })

/** Bytes that are UDX more often than chance would have it. */
const datagram = fc.oneof(
  fc.uint8Array({ maxLength: 64 }),
  fc
    .tuple(
      fc.integer({ min: 0, max: 255 }),
      fc.integer({ min: 0, max: 255 }),
      fc.oneof(fc.constantFrom(1, 2, 3), uint32),
      ...[uint32, fc.oneof(fc.integer({ min: 0, max: 20 }), uint32), fc.oneof(fc.integer({ min: 0, max: 20 }), uint32)],
      fc.uint8Array({ maxLength: 500 }),
    )
    .map(([flags, offset, id, window, seq, ack, rest]) => {
      const bytes = new Uint8Array(HEADER_BYTES + rest.byteLength)
      writeHeader(bytes, flags, id, window, seq, ack)
      bytes[3] = offset
      bytes.set(rest, HEADER_BYTES)
      return bytes
    }),
)

// Goal: no datagram, whoever sends it, throws or makes a UDX object grow.
// Method: one object for all inputs, with a stream that is connected, one that waits behind a firewall, and one that has
// closed; each input comes in at its port.
test('UDX takes any datagram without harm', () => {
  const network = new Network(1, { delayMs: 1 })
  network.keepTrace = false
  let turnedAway = 0
  const udx = network.udx('10.0.0.1')
  const socket = udx.createSocket()
  socket.bind(4000)
  const connected = udx.createStream(1)
  connected.connect(socket, 7, 5000, '10.0.0.2')
  udx.createStream(2, { firewall: () => ++turnedAway > 0 })
  const gone = udx.createStream(3)
  gone.connect(socket, 8, 5000, '10.0.0.2')
  for (const stream of [connected, gone]) stream.on('error', () => {})
  gone.destroy()
  const stranger = network.udx('10.0.0.3').createSocket()
  stranger.bind(5000)

  fc.assert(
    fc.property(fc.array(datagram, { minLength: 100, maxLength: 100 }), (datagrams) => {
      for (const bytes of datagrams) stranger.trySend(bytes, 4000, '10.0.0.1')
      network.clock.run(2)
      expect(udx.streamCount).toBeLessThanOrEqual(2)
      expect(network.clock.pending).toBeLessThan(10)
      if (connected.connection.closed) return
      const { inbound, sender } = connected.connection
      expect(inbound.packets.heldBytes).toBeLessThanOrEqual(HELD_BYTES_MAX)
      expect(sender.flight.packets).toBe(0)
    }),
    { numRuns: runs(100) },
  )
  expect(turnedAway).toBeGreaterThan(0)
})

/** One thing that can happen to two connected streams. The first number says which side. */
type Step =
  | { kind: 'write'; side: 0 | 1; bytes: number }
  | { kind: 'message'; side: 0 | 1; bytes: number }
  | { kind: 'end' | 'destroy' | 'read' | 'stop reading' | 'new path'; side: 0 | 1 }
  | { kind: 'keepalive'; side: 0 | 1; ms: number }
  | { kind: 'forge'; side: 0 | 1; flags: number; seq: number; ack: number; window: number; rest: Uint8Array }
  | { kind: 'link'; side: 0 | 1; loss: number; delayMs: number; mtu: number }
  | { kind: 'wait' | 'sleep'; ms: number }

const side = fc.constantFrom(0 as const, 1 as const)
const near = fc.oneof({ weight: 4, arbitrary: fc.integer({ min: -5, max: 60 }) }, uint32)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('write' as const), side, bytes: fc.nat(30_000) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('message' as const), side, bytes: fc.nat(1000) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom('read' as const, 'stop reading' as const, 'new path' as const),
      side,
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('end' as const, 'destroy' as const), side }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('keepalive' as const), side, ms: fc.nat(3000) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      ...{ kind: fc.constant('forge' as const), side, flags: fc.integer({ min: 0, max: 255 }) },
      ...{ seq: near, ack: near, window: uint32, rest: fc.uint8Array({ maxLength: 500 }) },
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      ...{ kind: fc.constant('link' as const), side, loss: fc.constantFrom(0, 0.01, 0.3, 1) },
      ...{ delayMs: fc.constantFrom(0.1, 5, 300), mtu: fc.constantFrom(1228, 1500) },
    }),
  },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(200) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('sleep' as const), ms: fc.nat(40_000) }) },
)

/** What must hold whatever has happened. */
function check({ connection }: End): void {
  if (connection.closed) {
    expect([connection.sender.flight.packets, connection.pendingBytes, connection.inbound.packets.heldBytes]).toEqual([
      0, 0, 0,
    ])
    return
  }
  const { inbound, sender } = connection
  const { flight, recovery, bbr } = sender
  expect(inbound.packets.heldBytes).toBeGreaterThanOrEqual(0)
  expect(inbound.packets.heldBytes).toBeLessThanOrEqual(HELD_BYTES_MAX)
  expect(inbound.offer()).toBeLessThanOrEqual(RECEIVE_WINDOW_BYTES)
  expect(flight.packets).toBeGreaterThanOrEqual(0)
  expect(flight.packets).toBeLessThanOrEqual(Math.min(FLIGHT_PACKETS_MAX, HELD_PACKETS_MAX))
  // Every packet of the flight is under way, lost, or acked selectively.
  expect(flight.inflight.length + flight.lost.length + recovery.sacked).toBe(flight.packets)
  let bytes = 0
  for (let packet = flight.inflight.first; packet !== undefined; packet = packet.next) bytes += packet.bytes.byteLength
  expect(flight.inflight.bytes).toBe(bytes)
  expect(sender.pendingBytes).toBeGreaterThanOrEqual(0)
  expect(bbr.windowBytes).toBeGreaterThan(0)
  expect(bbr.paceBytesPerMs).toBeGreaterThan(0)
  expect(Number.isFinite(bbr.windowBytes) && Number.isFinite(bbr.paceBytesPerMs)).toBe(true)
}

type World = ReturnType<typeof simulate>

function perform(world: World, one: Step): void {
  const { clock, left, right } = world
  if (!('side' in one)) one.kind === 'wait' ? clock.run(one.ms) : clock.sleep(one.ms)
  else performOn(one, one.side === 0 ? left : right, one.side === 0 ? right : left)
}

function performOn(one: Exclude<Step, { kind: 'wait' | 'sleep' }>, end: End, other: End): void {
  const { connection } = end
  switch (one.kind) {
    case 'write':
      if (!end.closing) connection.write([new Uint8Array(one.bytes)])
      break
    case 'message':
      connection.sendMessage(new Uint8Array(one.bytes))
      break
    case 'end':
      if (!end.closing) connection.end()
      end.closing = true
      break
    case 'destroy':
      end.closing = true
      connection.destroy()
      break
    case 'read':
    case 'stop reading':
      end.reads = one.kind === 'read'
      connection.onRead()
      break
    case 'new path':
      if (!connection.closed) connection.changePath(pathOver(end.link, other.id))
      break
    case 'keepalive':
      if (!connection.closed) connection.setKeepalive(one.ms)
      break
    case 'link':
      end.link.options = { delayMs: one.delayMs, loss: one.loss, mtu: one.mtu }
      break
    case 'forge':
      end.take(forged(one, end))
  }
}

/** A packet for `end` with numbers near those that it expects. */
function forged(one: Extract<Step, { kind: 'forge' }>, end: End): Uint8Array {
  const { inbound, sender } = end.connection
  const bytes = new Uint8Array(HEADER_BYTES + one.rest.byteLength)
  // A reset is obeyed, as with the native implementation: most runs are to see more than that.
  const flags = one.window % 8 === 0 ? one.flags : one.flags & ~FLAG_DESTROY
  writeHeader(
    bytes,
    flags,
    end.id,
    one.window,
    seqAdd(inbound.expected, one.seq),
    seqAdd(sender.flight.unacked, one.ack),
  )
  bytes.set(one.rest, HEADER_BYTES)
  bytes[3] = one.rest[0] ?? 0
  return bytes
}

// Goal: no sequence of calls, packets and waits crashes a stream, breaks its bookkeeping, or leaves a timer behind.
test('a stream survives whatever happens to it', () => {
  fc.assert(
    fc.property(fc.integer(), fc.array(step, { minLength: 40, maxLength: 40 }), (seed, steps) => {
      const world = simulate(seed, { delayMs: 2 })
      const { clock, left, right } = world
      for (const end of [left, right]) end.keep = false
      for (const one of steps) {
        perform(world, one)
        check(left)
        check(right)
      }
      left.connection.destroy()
      right.connection.destroy()
      clock.run(20_000)
      expect(clock.pending).toBe(0)
    }),
    { numRuns: runs(250) },
  )
})

// Goal: without forged packets, every byte that was written arrives once the link is good again, whatever was before.
test('a stream delivers once its link is good again', () => {
  const honest = step.filter(({ kind }) => kind !== 'forge' && kind !== 'destroy' && kind !== 'sleep')
  fc.assert(
    fc.property(fc.integer(), fc.array(honest, { maxLength: 30 }), (seed, steps) => {
      const world = simulate(seed, { delayMs: 2 })
      const { clock, left, right } = world
      const written = new Map([left, right].map((end) => [end, 0]))
      for (const one of steps) {
        const end = 'side' in one && one.side === 1 ? right : left
        if (one.kind === 'write' && !end.closing) written.set(end, (written.get(end) ?? 0) + one.bytes)
        perform(world, one)
      }
      // Long silence is a lost remote: then there is nothing to deliver.
      if (left.connection.closed || right.connection.closed) return
      for (const end of [left, right]) {
        end.link.options = { delayMs: 2 }
        end.reads = true
        end.connection.onRead()
        end.connection.setKeepalive(0)
        if (!end.closing) end.connection.end()
      }
      clock.run(120_000, () => left.closed !== undefined && right.closed !== undefined)
      expect([left.closed?.code, right.closed?.code]).toEqual([undefined, undefined])
      expect([right.receivedBytes, left.receivedBytes]).toEqual([written.get(left) ?? 0, written.get(right) ?? 0])
    }),
    { numRuns: runs(150) },
  )
})

test('a forged packet of data is taken only in the window', () => {
  const { clock, left, right } = simulate(1, { delayMs: 1 })
  left.connection.write([new Uint8Array(100)])
  clock.run(50)
  for (const seq of [0, HELD_PACKETS_MAX + 2, 0x80000000]) {
    const bytes = new Uint8Array(HEADER_BYTES + 10)
    writeHeader(bytes, FLAG_DATA, right.id, 0, seq, 0)
    right.take(bytes)
  }
  expect([right.receivedBytes, right.connection.inbound.packets.heldBytes]).toEqual([100, 0])
})
