import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { applyRewrites, chunkRewriter, spaceTarget } from '../../src/catalog/relocation.ts'
import { numRuns, thrownBy } from './support.ts'

const spaceName = 'dc4d952_5a1fac3_9fcd2534'

test('spaceTarget() keeps the base that the catalog was recorded for', () => {
  const identity = 'hdc4d952_493f813dad24d3t'
  const linux = { identity, path: `/opt/robocorp/ht/${identity}`, platform: 'linux_amd64' }
  expect(spaceTarget(linux, spaceName)).toEqual({ base: '/opt/robocorp/ht', path: `/opt/robocorp/ht/${spaceName}` })
  const windows = { identity, path: `C:\\ht\\${identity}`, platform: 'windows_amd64' }
  expect(spaceTarget(windows, spaceName)).toEqual({ base: 'C:\\ht', path: `C:\\ht\\${spaceName}` })
  const error = thrownBy(() => spaceTarget(linux, 'short'))
  expect(error.code).toBe('relocation-length')
  expect(error.message).toStartWith('Base name length mismatch')
})

test('applyRewrites() changes the 24 bytes at each offset and nothing else', () => {
  const bytes = new Uint8Array(100).fill(0x2e)
  applyRewrites(bytes, [10, 76, 76], spaceName)
  expect(Buffer.from(bytes).toString()).toBe(`${'.'.repeat(10)}${spaceName}${'.'.repeat(42)}${spaceName}`)
  expect(() => applyRewrites(bytes, [77], spaceName)).toThrow(RangeError)
})

test('chunkRewriter() does the same however the blob is cut, overlapping offsets included', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 24, maxLength: 300 }),
      fc.array(fc.nat(276), { maxLength: 6 }),
      fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 1, maxLength: 40 }),
      (bytes, candidates, cuts) => {
        // Ascending, as rcc records them: where two overlap, the later one is written last.
        const offsets = candidates.filter((offset) => offset + 24 <= bytes.length).sort((left, right) => left - right)
        const whole = bytes.slice()
        applyRewrites(whole, offsets, spaceName)
        const rewrite = chunkRewriter(offsets, spaceName)
        const chunked: Uint8Array[] = []
        for (let at = 0, cut = 0; at < bytes.length; cut++) {
          const chunk = bytes.slice(at, at + (cuts[cut] ?? bytes.length))
          rewrite(chunk)
          chunked.push(chunk)
          at += chunk.length
        }
        expect(Buffer.concat(chunked).equals(whole)).toBe(true)
      },
    ),
    { numRuns: numRuns(300) },
  )
})
