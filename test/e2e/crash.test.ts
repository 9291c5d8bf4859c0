/**
 * Goal: SIGKILL at any instant of a restore leaves what the next one repairs, whatever strategy, version and form of
 * the library either has. Method: the compiled binary, on trees for which it uses its second thread, killed after a
 * random part of the time that a whole run takes; then a run to its end, whose tree is compared with the listing.
 */
import { describe, expect } from 'bun:test'
import * as fs from 'node:fs'
import { SECOND_THREAD_FILES_MIN } from '../../src/base/limits.ts'
import { seededRandom } from '../../src/base/random.ts'
import { distinctBlobs } from '../../src/catalog/walk.ts'
import { Library } from '../../src/store/library.ts'
import { TemporaryDirectory } from '../support/golden.ts'
import { binaryObstacle, LocalHost } from '../support/local-host.ts'
import { skipUnless } from '../support/skip.ts'
import { wideTree } from '../support/wide-tree.ts'

const obstacle = binaryObstacle()
const binaryTest = skipUnless(obstacle === undefined, obstacle ?? '')
const KILLED = ['auto', 'hardlink', 'copy', 'symlink', 'smart'] as const
const REPAIRING = ['auto', 'copy', 'hardlink'] as const
const FILES = 3 * SECOND_THREAD_FILES_MIN
const NOTE_BYTES = 72

describe.each(['identity', 'gzip'] as const)('restore from a library of %s blobs, killed', (form) => {
  binaryTest('is completed by the next one', async () => {
    using folder = new TemporaryDirectory()
    const host = new LocalHost(folder.path, form)
    const versions = [1, 2, 3].map((version) => host.add(`v${version}`, wideTree(FILES, version)))
    const [first = host.add('none', {})] = versions
    const startedMs = performance.now()
    expect(await host.restore(first)).toMatchObject({ ok: true })
    const wholeMs = performance.now() - startedMs
    const seed = Number(process.env.SEED ?? Date.now() % 100_000)
    const random = seededRandom(seed)
    const rounds = 25 * Number(process.env.CRASH_ROUNDS ?? 1)
    const count = { killed: 0, inside: 0 }
    for (let round = 0; round < rounds; round++) {
      const killed = versions[round % versions.length] ?? first
      // Into nothing as often as over another version.
      if (random.next() < 0.5) fs.rmSync(host.space, { recursive: true, force: true })
      const child = host.spawn(host.command(killed, '--strategy', KILLED[round % KILLED.length] ?? 'auto'))
      await Bun.sleep(random.next() * wholeMs)
      child.kill('SIGKILL')
      await child.exited
      if (child.signalCode === 'SIGKILL') count.killed++
      if (fs.existsSync(`${host.space}.restoring`)) count.inside++

      const next = random.next() < 0.5 ? killed : (versions[(round + 1) % versions.length] ?? first)
      const report = await host.restore(next, '--strategy', REPAIRING[round % REPAIRING.length] ?? 'auto')
      const where = `round ${round} of SEED=${seed}`
      expect({ where, ok: report.ok, quarantined: report.quarantined }).toEqual({ where, ok: true, quarantined: [] })
      expect({ where, wrong: host.wrong(next) }).toEqual({ where, wrong: [] })
      expect({ where, left: host.leftovers() }).toEqual({ where, left: [] })
      expect(fs.statSync(host.notesFile).size % NOTE_BYTES).toBe(0)
    }
    console.log(`killed ${count.killed} of ${rounds} runs, ${count.inside} while the space was changed (SEED=${seed})`)
    const library = new Library(host.roots)
    for (const { catalog } of versions) {
      for (const ref of distinctBlobs(catalog)) {
        expect(await library.verify(ref, new AbortController().signal)).toBeUndefined()
      }
    }
  })
})
