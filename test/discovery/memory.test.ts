import { expect, test } from 'bun:test'
import { never } from '../../src/base/clock.ts'
import { FRAME_BYTES_MAX } from '../../src/base/limits.ts'
import type { FrameLink } from '../../src/base/link.ts'
import { MemoryNetwork, memoryLink } from '../../src/discovery/memory.ts'
import { keyPairFrom, randomSecret } from '../../src/trust/keys.ts'

const keys = () => keyPairFrom(randomSecret())
const frames = (link: FrameLink): string[] => {
  const got: string[] = []
  link.onFrame((frame) => got.push(Buffer.from(frame).toString()))
  return got
}

test('memoryLink() delivers frames whole and in order, also those sent before anybody listened and before a close', async () => {
  const [left, right] = memoryLink(keys(), keys())
  for (const text of ['one', 'two', '']) left.send(Buffer.from(text))
  left.close()
  const got = frames(right)
  await right.closed
  expect(got).toEqual(['one', 'two', ''])
})

test('memoryLink() asks for patience when its queue is full, and tells when there is room', async () => {
  const [left, right] = memoryLink(keys(), keys())
  while (left.send(new Uint8Array(65536)));
  const drained = left.drained(never)
  right.onFrame(() => {})
  await drained
  expect(left.send(new Uint8Array(1))).toBe(true)
})

test('memoryLink() ends where a frame is beyond the bound, and drained() does not hang then', async () => {
  const [left, right] = memoryLink(keys(), keys())
  left.send(new Uint8Array(FRAME_BYTES_MAX + 1))
  expect(await right.closed).toBeInstanceOf(Error)
  await left.drained(never)
})

test('MemoryNetwork links those who share a topic, but no two clients', async () => {
  const network = new MemoryNetwork()
  const [topic, other] = [randomSecret(), randomSecret()]
  const daemon = network.enter(keys(), 'daemon')
  const clients = [network.enter(keys(), 'client'), network.enter(keys(), 'client')]
  const stray = network.enter(keys(), 'daemon')
  const counts = [0, 0, 0, 0]
  for (const [index, each] of [daemon, ...clients, stray].entries()) {
    each.onLink(() => {
      counts[index] = (counts[index] ?? 0) + 1
    })
  }
  for (const each of [daemon, ...clients]) each.join(topic)
  stray.join(other)
  expect(counts).toEqual([2, 1, 1, 0])
})
