/**
 * Attack: while a space is restored, another process swaps its directories for links that lead out of it, files for
 * directories, and removes what it finds. Goal: nothing outside is written or removed, whatever becomes of the restore.
 */
import { afterAll, beforeAll, describe, expect } from 'bun:test'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { SECOND_THREAD_FILES_MIN } from '../../src/base/limits.ts'
import { listTree, TemporaryDirectory } from '../support/golden.ts'
import { binaryObstacle, LocalHost } from '../support/local-host.ts'
import { runs } from '../support/runs.ts'
import { skipUnless } from '../support/skip.ts'
import { wideTree } from '../support/wide-tree.ts'

const obstacle = binaryObstacle() ?? (process.platform === 'linux' ? undefined : 'it attacks by system calls of Linux')
const attacked = skipUnless(obstacle === undefined, obstacle ?? '')
const FILES = 2 * SECOND_THREAD_FILES_MIN
const attacker = join(import.meta.dir, 'swap-entries.ts')

describe('restore of a space that another process tears at', () => {
  let folder: TemporaryDirectory
  beforeAll(() => {
    folder = new TemporaryDirectory()
  })
  afterAll(() => folder[Symbol.dispose]())

  attacked('touches nothing outside, and says that the space changed or completes', async () => {
    const host = new LocalHost(folder.path)
    const versions = [1, 2].map((version) => host.add(`v${version}`, wideTree(FILES, version)))
    const outside = join(folder.path, 'outside')
    // The names that a restore would write or remove, were it led here.
    for (let at = 0; at < 400; at += 40) {
      fs.mkdirSync(join(outside, `d${at}`, 'deep', 'd0'), { recursive: true })
      fs.mkdirSync(join(outside, 'deep'), { recursive: true })
      for (let index = at; index < at + 40; index++) {
        fs.writeFileSync(join(outside, `d${at}`, 'deep', `f${index}.py`), 'precious')
        fs.writeFileSync(join(outside, 'deep', `f${index}.py`), 'precious')
      }
    }
    const before = JSON.stringify(listTree(outside))
    const outcomes: Record<string, number> = {}
    for (let round = 0; round < runs(24); round++) {
      const attack = Bun.spawn([process.execPath, attacker, host.space, outside, `${round}`], { stdout: 'pipe' })
      await attack.stdout.getReader().read()
      const version = versions[round % 2]
      const strategy = ['auto', 'hardlink', 'copy', 'symlink'][round % 4] ?? 'auto'
      const report = version === undefined ? {} : await host.restore(version, '--strategy', strategy)
      attack.kill('SIGKILL')
      await attack.exited
      const outcome = report.ok ? 'done' : report.error.code
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
      if (!report.ok) expect({ round, error: report.error }).toMatchObject({ error: { code: 'space-changed' } })
      expect(JSON.stringify(listTree(outside))).toBe(before)
    }
    console.log(`attacked: ${JSON.stringify(outcomes)}`)
    for (const version of versions) {
      expect(await host.restore(version)).toMatchObject({ ok: true })
      expect(host.wrong(version)).toEqual([])
    }
    expect(host.leftovers()).toEqual([])
  })
})
