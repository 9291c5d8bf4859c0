import { expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { followFile } from '../../src/app/follow-file.ts'
import { ManualClock } from '../support/manual-clock.ts'

test('followFile() tells of a file that comes, changes, is replaced and goes, and stays when its owner fails', async () => {
  const folder = fs.mkdtempSync(join(tmpdir(), 'follow-'))
  const path = join(folder, 'settings.yaml')
  const [clock, over] = [new ManualClock(), new AbortController()]
  let seen = 0
  const onChange = async () => {
    seen++
    throw new Error('it cannot be read')
  }
  const following = followFile(path, 100, onChange, clock, over.signal)
  await clock.advance(200)
  expect(seen).toBe(0)
  const steps = [
    () => fs.writeFileSync(path, 'one'),
    () => fs.writeFileSync(path, 'two'),
    () => {
      fs.writeFileSync(`${path}.new`, 'two')
      fs.renameSync(`${path}.new`, path)
    },
    () => fs.rmSync(path),
  ]
  for (const [index, step] of steps.entries()) {
    step()
    await clock.advance(100)
    expect(seen).toBe(index + 1)
    await clock.advance(100)
    expect(seen).toBe(index + 1)
  }
  over.abort()
  fs.writeFileSync(path, 'late')
  await following
  expect(seen).toBe(4)
  fs.rmSync(folder, { recursive: true })
})
