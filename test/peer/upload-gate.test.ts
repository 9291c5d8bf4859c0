/** How much is sent at once where links are slower than their senders. */
import { expect, test } from 'bun:test'
import { never, nextTurn } from '../../src/base/clock.ts'
import type { Backlog } from '../../src/base/lane.ts'
import { PIECE_CHUNK_BYTES_MAX } from '../../src/base/limits.ts'
import {
  UPLOAD_QUEUED_BYTES,
  UPLOAD_QUEUED_CHUNK_BYTES,
  UPLOAD_QUEUED_LOOK_MS,
  UPLOAD_QUEUED_MS,
  UPLOAD_WAIT_MS,
} from '../../src/base/upload-limits.ts'
import { UploadGate } from '../../src/peer/upload-gate.ts'
import { ManualClock } from '../support/manual-clock.ts'

const queued: Backlog = { bytes: UPLOAD_QUEUED_BYTES / 2, queueMs: UPLOAD_QUEUED_MS }
const quick: Backlog = { bytes: UPLOAD_QUEUED_BYTES, queueMs: UPLOAD_QUEUED_MS - 1 }

/** A gate, what its lanes tell, and the turns that it has let through. */
function gateOf(...lanes: Backlog[]) {
  const clock = new ManualClock()
  const gate = new UploadGate(clock, () => lanes)
  const through: number[] = []
  const pass = (turn: number, signal = never) => gate.pass(turn, signal).then(() => through.push(turn))
  return { clock, gate, lanes, through, pass }
}

test('UploadGate lets everything through while lanes tell of no queue, however much is under way', async () => {
  const { gate, pass, through } = gateOf(quick, quick, quick)
  for (const turn of [gate.turn(), gate.turn()]) await pass(turn)
  expect(through).toEqual([0, 1])
  expect(gate.chunkBytes).toBe(PIECE_CHUNK_BYTES_MAX)
})

test('UploadGate holds back what exceeds the bound, and lets through what was begun first', async () => {
  const { clock, gate, lanes, pass, through } = gateOf(queued, queued)
  const turns = [gate.turn(), gate.turn(), gate.turn()]
  for (const turn of [...turns].reverse()) void pass(turn)
  await clock.advance(10 * UPLOAD_QUEUED_LOOK_MS)
  expect(through).toEqual([])
  expect(gate.chunkBytes).toBe(UPLOAD_QUEUED_CHUNK_BYTES)
  lanes[0] = { ...queued, bytes: queued.bytes - 1 }
  await clock.advance(UPLOAD_QUEUED_LOOK_MS)
  await clock.advance(UPLOAD_QUEUED_LOOK_MS)
  expect(through).toEqual([0, 1, 2])
})

test('UploadGate counts what the one before has sent before it lets the next one through', async () => {
  const { clock, gate, lanes, pass, through } = gateOf(queued, queued)
  const turns = [gate.turn(), gate.turn()]
  void pass(turns[0] ?? 0).then(() => {
    lanes[0] = queued
  })
  void pass(turns[1] ?? 0)
  lanes[0] = { ...queued, bytes: 0 }
  await clock.advance(20 * UPLOAD_QUEUED_LOOK_MS)
  expect(through).toEqual([0])
})

test('UploadGate lets one that has waited for long go before what was begun earlier', async () => {
  const { clock, gate, lanes, pass, through } = gateOf(queued, queued)
  const [first, second] = [gate.turn(), gate.turn()]
  // A piece that always has more to send, as that of a fast peer.
  const goOn = () => {
    if (!through.includes(second)) void pass(first).then(goOn)
  }
  goOn()
  void pass(second)
  lanes[0] = { ...queued, bytes: 0 }
  await clock.advance(UPLOAD_WAIT_MS - 1)
  for (let turn = 0; turn < 10; turn++) await nextTurn()
  expect(through).toContain(first)
  expect(through).not.toContain(second)
  await clock.advance(1)
  for (let turn = 0; turn < 3; turn++) await nextTurn()
  expect(through).toContain(second)
})

test('UploadGate does not hold others back for one slow receiver', async () => {
  const { gate, pass, through } = gateOf({ bytes: 1e6, queueMs: 1e4 }, quick, quick)
  await pass(gate.turn())
  expect(through).toEqual([0])
})

test('UploadGate.pass() ends with its signal, and nobody waits for it', async () => {
  const { clock, gate, lanes, pass, through } = gateOf(queued, queued)
  const over = new AbortController()
  const first = pass(gate.turn(), over.signal)
  void pass(gate.turn())
  over.abort(new Error('gone'))
  await expect(first).rejects.toThrow('gone')
  lanes.length = 0
  await clock.advance(2 * UPLOAD_QUEUED_LOOK_MS)
  expect(through).toEqual([1])
})
