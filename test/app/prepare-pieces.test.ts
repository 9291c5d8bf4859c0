import { expect, test } from 'bun:test'
import { preparePieces } from '../../src/app/prepare-pieces.ts'
import { PREPARE_QUIET_MS } from '../../src/base/limits.ts'
import { type Sha256Digest, sha256Of } from '../../src/blob/digest.ts'
import { madeEnvironment } from '../support/made-environment.ts'
import { ManualClock } from '../support/manual-clock.ts'

// Goal: what comes while others are made ready gets its turn, and what is ready is not read again.
test('preparePieces() sees what changes while it prepares, and loads each catalog once', async () => {
  const [first, second] = ['first', 'second'].map((name) => sha256Of(Buffer.from(name))) as [Sha256Digest, Sha256Digest]
  const { catalog } = madeEnvironment({ file: 'x' }).verified
  const held = [first]
  const [loaded, prepared]: [Sha256Digest[], Sha256Digest[]] = [[], []]
  const listeners: (() => void)[] = []
  const add = (sha256: Sha256Digest) => {
    held.push(sha256)
    for (const listener of listeners.splice(0)) listener()
  }
  const over = new AbortController()
  const clock = new ManualClock()
  const served = {
    newestFirst: () => [...held],
    load: (sha256: Sha256Digest) => {
      loaded.push(sha256)
      return catalog
    },
    changed: (signal: AbortSignal) =>
      new Promise<void>((resolve, reject) => {
        listeners.push(resolve)
        signal.addEventListener('abort', () => reject(signal.reason), { once: true })
      }),
  }
  const pieces = {
    prepare: async (sha256: Sha256Digest) => {
      prepared.push(sha256)
      if (sha256 === first) add(second)
      return new Uint8Array(32)
    },
  }
  const following = preparePieces({ served, pieces, storeBytes: 0, clock }, over.signal)
  await clock.advance(PREPARE_QUIET_MS)
  await clock.advance(PREPARE_QUIET_MS)
  expect(prepared).toEqual([first, second])
  expect(loaded).toEqual([first, second])
  over.abort(new Error('the test is over'))
  await following
})
