/** How much is sent at once where links are slower than their senders. */
import { expect, test } from 'bun:test'
import { never, nextTurn } from '../../src/base/clock.ts'
import type { Backlog } from '../../src/base/lane.ts'
import { PIECE_CHUNK_BYTES_MAX } from '../../src/base/limits.ts'
import {
  UPLOAD_CLOGGED_BYTES,
  UPLOAD_CLOGGED_MS,
  UPLOAD_PAUSE_MS,
  UPLOAD_QUEUED_BYTES,
  UPLOAD_QUEUED_CHUNK_BYTES,
  UPLOAD_QUEUED_LOOK_MS,
  UPLOAD_QUEUED_MS,
  UPLOAD_UNKNOWN_BYTES,
  UPLOAD_UNKNOWN_LOOK_MS,
  UPLOAD_UNKNOWN_QUEUED_BYTES,
  UPLOAD_WAIT_MS,
} from '../../src/base/upload-limits.ts'
import { type Turn, UploadGate } from '../../src/peer/upload-gate.ts'
import { ManualClock } from '../support/manual-clock.ts'

const queued: Backlog = { bytes: UPLOAD_QUEUED_BYTES / 2, queueMs: UPLOAD_QUEUED_MS }
const quick: Backlog = { bytes: UPLOAD_QUEUED_BYTES, queueMs: UPLOAD_QUEUED_MS - 1 }

/** A gate, what its lanes tell, and the turns that it has let through. */
function freshGateOf(...lanes: Backlog[]) {
  const clock = new ManualClock()
  const gate = new UploadGate(clock, () => lanes)
  const through: number[] = []
  /** @param lane by number; undefined: one that tells nothing */
  const turn = (lane?: number) => gate.turn(() => (lane === undefined ? undefined : lanes[lane]))
  const pass = (each: Turn, signal = never) => gate.pass(each, signal).then(() => through.push(each.number))
  return { clock, gate, lanes, through, turn, pass }
}

/** The same, once so much was sent that it goes by what lanes tell. */
function gateOf(...lanes: Backlog[]) {
  const given = freshGateOf({ bytes: 1, queueMs: 0 })
  const before = { number: -1, backlog: () => undefined }
  for (let sent = 0; sent < UPLOAD_UNKNOWN_BYTES; sent += PIECE_CHUNK_BYTES_MAX) void given.gate.pass(before, never)
  given.lanes.splice(0, 1, ...lanes)
  return given
}

test('UploadGate lets everything through while lanes tell of no queue, however much is under way', async () => {
  const { gate, turn, pass, through } = gateOf(quick, quick, quick)
  for (const each of [turn(), turn()]) await pass(each)
  expect(through).toEqual([0, 1])
  expect(gate.chunkBytes).toBe(PIECE_CHUNK_BYTES_MAX)
})

test('UploadGate holds back what exceeds the bound, and lets through what was begun first', async () => {
  const { clock, gate, lanes, turn, pass, through } = gateOf(queued, queued)
  const turns = [turn(), turn(), turn()]
  for (const each of [...turns].reverse()) void pass(each)
  await clock.advance(10 * UPLOAD_QUEUED_LOOK_MS)
  expect(through).toEqual([])
  expect(gate.chunkBytes).toBe(UPLOAD_QUEUED_CHUNK_BYTES)
  lanes[0] = { ...queued, bytes: queued.bytes - 1 }
  await clock.advance(UPLOAD_QUEUED_LOOK_MS)
  await clock.advance(UPLOAD_QUEUED_LOOK_MS)
  expect(through).toEqual([0, 1, 2])
})

test('UploadGate counts what the one before has sent before it lets the next one through', async () => {
  const { clock, lanes, turn, pass, through } = gateOf(queued, queued)
  const turns = [turn(), turn()]
  void pass(turns[0] as Turn).then(() => {
    lanes[0] = queued
  })
  void pass(turns[1] as Turn)
  lanes[0] = { ...queued, bytes: 0 }
  await clock.advance(20 * UPLOAD_QUEUED_LOOK_MS)
  expect(through).toEqual([0])
})

test('UploadGate lets one that has waited for long go before what was begun earlier', async () => {
  const { clock, lanes, turn, pass, through } = gateOf(queued, queued)
  const [first, second] = [turn(), turn()]
  // A piece that always has more to send, as that of a fast peer.
  const goOn = () => {
    if (!through.includes(second.number)) void pass(first).then(goOn)
  }
  goOn()
  void pass(second)
  lanes[0] = { ...queued, bytes: 0 }
  await clock.advance(UPLOAD_WAIT_MS - 1)
  for (let count = 0; count < 10; count++) await nextTurn()
  expect(through).toContain(first.number)
  expect(through).not.toContain(second.number)
  await clock.advance(1)
  for (let count = 0; count < 3; count++) await nextTurn()
  expect(through).toContain(second.number)
})

test('UploadGate does not hold others back for one slow receiver', async () => {
  const { turn, pass, through } = gateOf({ bytes: 1e6, queueMs: 1e4 }, quick, quick)
  await pass(turn())
  expect(through).toEqual([0])
})

test('UploadGate sends others what is queued too long at one receiver, and that one what it has room for', async () => {
  const clogged = { bytes: UPLOAD_CLOGGED_BYTES, queueMs: UPLOAD_QUEUED_MS + UPLOAD_CLOGGED_MS }
  const { clock, lanes, turn, pass, through } = gateOf(clogged, { bytes: 1, queueMs: UPLOAD_QUEUED_MS })
  const [early, late] = [turn(0), turn(1)]
  void pass(early)
  void pass(late)
  await clock.advance(10 * UPLOAD_QUEUED_LOOK_MS)
  expect(through).toEqual([1])
  lanes[0] = { ...clogged, bytes: clogged.bytes - 1 }
  await clock.advance(UPLOAD_QUEUED_LOOK_MS)
  expect(through).toEqual([1, 0])
  // Where all lanes are as slow, the queue is our own, and what was begun first goes on first.
  lanes[0] = { bytes: clogged.bytes, queueMs: UPLOAD_QUEUED_MS + UPLOAD_CLOGGED_MS - 1 }
  void pass(early)
  await clock.advance(UPLOAD_QUEUED_LOOK_MS)
  expect(through).toEqual([1, 0, 0])
})

// All of the first pieces would else come at the same time, when lanes begin to tell of a queue.
test('UploadGate sends one piece after the other to several peers until it can tell, and again after a pause', async () => {
  const quickLane = { bytes: UPLOAD_UNKNOWN_QUEUED_BYTES / 2, queueMs: 0 }
  const { clock, lanes, turn, pass, through } = freshGateOf(quickLane, quickLane)
  const turns = [turn(), turn()]
  const both = [...turns].reverse().map((each) => pass(each))
  await clock.advance(10 * UPLOAD_UNKNOWN_LOOK_MS)
  expect(through).toEqual([])
  lanes.length = 1
  await clock.advance(UPLOAD_UNKNOWN_LOOK_MS)
  await Promise.all(both)
  expect(through).toEqual([0, 1])
  for (let sent = 0; sent < UPLOAD_UNKNOWN_BYTES; sent += PIECE_CHUNK_BYTES_MAX) await pass(turns[0] as Turn)
  lanes.push(quickLane)
  await pass(turn())
  expect(through.at(-1)).toBe(2)
  lanes.length = 0
  await clock.advance(UPLOAD_PAUSE_MS + 1)
  lanes.push(quickLane, quickLane)
  void pass(turn())
  await clock.advance(10 * UPLOAD_UNKNOWN_LOOK_MS)
  expect(through.at(-1)).toBe(2)
})

test('UploadGate lets everything through to one peer, though it cannot tell yet', async () => {
  const { turn, pass, through } = freshGateOf({ bytes: 1e6, queueMs: 0 })
  for (const each of [turn(), turn()]) await pass(each)
  expect(through).toEqual([0, 1])
})

test('UploadGate.pass() ends with its signal, and nobody waits for it', async () => {
  const { clock, lanes, turn, pass, through } = gateOf(queued, queued)
  const over = new AbortController()
  const first = pass(turn(), over.signal)
  void pass(turn())
  over.abort(new Error('gone'))
  await expect(first).rejects.toThrow('gone')
  lanes.length = 0
  await clock.advance(2 * UPLOAD_QUEUED_LOOK_MS)
  expect(through).toEqual([1])
})
