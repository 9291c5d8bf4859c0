// Goal: memory that was given back is used again, never by two at once, and is neither hoarded nor kept for ever.
import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { adopt, giveBack, hasWholeBuffer, spareMemory } from '../../src/base/spare-memory.ts'

const MIB = 1024 * 1024

test('gives the same memory again, for as much or less, and what was given back last first', () => {
  const first = spareMemory(300_000)
  const second = spareMemory(300_000)
  const buffers = [first.buffer, second.buffer]
  giveBack(first)
  giveBack(second)
  expect(spareMemory(200_000).buffer).toBe(second.buffer)
  const third = spareMemory(300_000)
  expect(third.buffer).toBe(first.buffer)
  expect(third.byteLength).toBe(300_000)
  expect(buffers).not.toContain(spareMemory(300_000).buffer)
})

test('never gives memory to two, not even where it is given back twice', () => {
  const bytes = spareMemory(100_000)
  giveBack(bytes)
  giveBack(bytes)
  expect(spareMemory(100_000).buffer).not.toBe(spareMemory(100_000).buffer)
})

test('uses again what came back from another thread, and nothing of what went there', () => {
  const bytes = spareMemory(100_000)
  const moved = structuredClone(bytes, { transfer: [bytes.buffer] })
  expect(bytes.byteLength).toBe(0)
  giveBack(bytes)
  expect(spareMemory(100_000).byteLength).toBe(100_000)
  giveBack(adopt(moved))
  expect(spareMemory(100_000).buffer).toBe(moved.buffer)
})

test('uses again what another thread has sent, whole or a part of its buffer, and frees what was not adopted', () => {
  const sent = () => structuredClone(new Uint8Array(131_072)).subarray(0, 100_000)
  const adopted = sent()
  adopt(adopted)
  giveBack(adopted)
  expect(spareMemory(120_000).buffer).toBe(adopted.buffer)
  const other = sent()
  giveBack(other)
  expect(spareMemory(100_000).buffer).not.toBe(other.buffer)
  const small = structuredClone(new Uint8Array(100))
  adopt(small)
  giveBack(small)
  expect(spareMemory(100).buffer).not.toBe(small.buffer)
})

test('frees other memory at once, and keeps nothing small', () => {
  const other = new Uint8Array(100_000)
  giveBack(other)
  expect(other.byteLength).toBe(0)
  const small = spareMemory(100)
  expect(small.buffer.byteLength).toBe(100)
  giveBack(small)
  expect(spareMemory(100).buffer).not.toBe(small.buffer)
})

test('tells what can be handed to another thread', () => {
  expect(hasWholeBuffer(spareMemory(100_000))).toBeTrue()
  expect(hasWholeBuffer(new Uint8Array(7))).toBeTrue()
  expect(hasWholeBuffer(new Uint8Array(7).subarray(1))).toBeFalse()
  expect(hasWholeBuffer(new Uint8Array(new SharedArrayBuffer(7)))).toBeFalse()
})

test('keeps 16 MiB at most, and nothing once a second has passed without a question', async () => {
  const taken = Array.from({ length: 20 }, () => spareMemory(MIB))
  for (const bytes of taken) giveBack(bytes)
  expect(taken.filter(({ byteLength }) => byteLength > 0).length).toBeLessThanOrEqual(16)
  await Bun.sleep(2_500)
  expect(taken.every(({ byteLength }) => byteLength === 0)).toBeTrue()
})

// Method: memory is taken, written to and given back in any order; whoever has some still finds what he wrote.
test('leaves what somebody has alone', () => {
  const step = fc.record({ take: fc.boolean(), bytes: fc.integer({ min: 0, max: MIB }), which: fc.nat() })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const held: { readonly bytes: Uint8Array; readonly mark: number }[] = []
      for (const [at, { take, bytes, which }] of steps.entries()) {
        if (take) held.push({ bytes: spareMemory(bytes).fill(at), mark: at })
        else for (const { bytes: back } of held.splice(which % Math.max(1, held.length), 1)) giveBack(back)
        for (const each of held) {
          expect([each.bytes[0] ?? each.mark, each.bytes.at(-1) ?? each.mark]).toEqual([each.mark, each.mark])
        }
      }
    }),
  )
})
