import { expect, test } from 'bun:test'
import type { Digest } from '../../src/blob/digest.ts'
import { PlacementWriter } from '../../src/restore/placement-writer.ts'
import { DIRECTORIES_READY } from '../../src/restore/placements.ts'
import type { DirectoryStep } from '../../src/restore/plan.ts'

function step(path: string, sizes: readonly number[]): DirectoryStep {
  const digest = 'a'.repeat(64) as Digest
  const files = sizes.map((sizeBytes, at) => ({ name: `f${at}`, digest, sizeBytes, mode: 0o644, rewrite: [] }))
  return { path, make: true, remove: [], removeUndecodable: false, links: [], files, settle: false }
}

const from = { tree: { directory: '/library', nameOf: (digest: Digest) => digest }, notes: undefined }
const small = (count: number) => new Array<number>(count).fill(10)

// A thread that starts early takes a batch whose files are not packed yet, and must know by then what to wait for.
test('PlacementWriter tells the last directory of each batch before anything is packed', () => {
  const steps = [step('', []), step('a', small(30)), step('b', small(40)), step('c', []), step('d', small(600))]
  const writer = new PlacementWriter(steps, from)
  const { batchEnd, batchDirectory, fileDirectory, control } = writer.placements
  expect([...batchEnd]).toEqual([70, 326, 582, 670])
  expect([...batchDirectory]).toEqual([1, 2, 2, 2])
  for (const each of steps) writer.add(each, () => 'share')
  expect([...batchEnd].map((end) => fileDirectory[end - 1])).toEqual([...batchDirectory])
  expect(control[DIRECTORIES_READY]).toBe(3)
})

// Signals are heard between batches.
test('PlacementWriter ends a batch at a large file', () => {
  const { placements } = new PlacementWriter([step('a', [10, 40e6, 10, 20e6, 20e6, 10])], from)
  expect([...placements.batchEnd]).toEqual([2, 5, 6])
})
