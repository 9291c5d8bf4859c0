import { describe, expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { never } from '../../src/base/clock.ts'
import { HoloError } from '../../src/base/errors.ts'
import { acquireLock } from '../../src/store/lock.ts'
import { failureOf } from '../support/failure-of.ts'
import { TemporaryDirectory } from '../support/golden.ts'
import { skipUnless } from '../support/skip.ts'

const once = { waitMs: 0, shared: false }
const flockTest = skipUnless(Bun.which('flock') !== null, 'flock(1) of util-linux is not installed')

/** Whether flock(1), which stands for rcc, could take the lock now. */
function takenByFlock(path: string): boolean {
  return Bun.spawnSync(['flock', '-n', '-x', path, 'true']).exitCode === 0
}

/** flock(1) that holds the lock until its standard input ends. */
async function holdByFlock(path: string): Promise<AsyncDisposable> {
  const holder = Bun.spawn(['flock', '-x', path, 'sh', '-c', 'echo held; cat'], { stdin: 'pipe', stdout: 'pipe' })
  await holder.stdout.getReader().read()
  return {
    [Symbol.asyncDispose]: async () => {
      holder.stdin.end()
      await holder.exited
    },
  }
}

describe('acquireLock()', () => {
  flockTest('keeps flock(1) out until it is released', async () => {
    using home = new TemporaryDirectory()
    const path = join(home.path, 'a', 'space.lck')
    {
      await using _lock = await acquireLock(path, once, never)
      expect(takenByFlock(path)).toBe(false)
    }
    expect(takenByFlock(path)).toBe(true)
    expect(fs.existsSync(path)).toBe(true)
  })

  flockTest('fails as locked while flock(1) holds it, and succeeds after', async () => {
    using home = new TemporaryDirectory()
    const path = join(home.path, 'space.lck')
    {
      await using _holder = await holdByFlock(path)
      const error = await failureOf(acquireLock(path, { waitMs: 120, shared: false }, never))
      expect(error).toBeInstanceOf(HoloError)
      expect(error).toMatchObject({ blame: 'locked', code: 'lock-held' })
    }
    await using lock = await acquireLock(path, once, never)
    expect(lock.path).toBe(path)
  })

  flockTest('gets a lock that is released while it waits', async () => {
    using home = new TemporaryDirectory()
    const path = join(home.path, 'space.lck')
    const holder = await holdByFlock(path)
    const waits = Promise.withResolvers<void>()
    const acquiring = acquireLock(path, { waitMs: 30_000, shared: false, onWait: () => waits.resolve() }, never)
    await waits.promise
    await holder[Symbol.asyncDispose]()
    await using lock = await acquiring
    expect(lock.path).toBe(path)
  })

  test('excludes a second holder in the same process', async () => {
    using home = new TemporaryDirectory()
    const path = join(home.path, 'space.lck')
    await using _first = await acquireLock(path, once, never)
    expect(await failureOf(acquireLock(path, once, never))).toMatchObject({ code: 'lock-held' })
  })

  test('ends a wait with the reason of the signal', async () => {
    using home = new TemporaryDirectory()
    const path = join(home.path, 'space.lck')
    await using _first = await acquireLock(path, once, never)
    const controller = new AbortController()
    const reason = new Error('called off')
    const waiting = acquireLock(
      path,
      { waitMs: 30_000, shared: false, onWait: () => controller.abort(reason) },
      controller.signal,
    )
    expect(await failureOf(waiting)).toBe(reason)
  })

  test('names the holder that left a note, and takes its own note away', async () => {
    using home = new TemporaryDirectory()
    const path = join(home.path, 'global.lck')
    const directory = join(home.path, 'pids')
    fs.mkdirSync(directory)
    const note = { directory, controller: 'user', space: ' gold space', username: 'robot' }
    {
      await using _first = await acquireLock(path, { ...once, note }, never)
      expect(fs.readdirSync(directory)).toEqual([
        `user___${process.ppid}___gold_space___${process.pid}___robot___global.lck`,
      ])
      const error = await failureOf(acquireLock(path, { ...once, note }, never))
      expect(String(error)).toContain(`controller user (process ${process.pid}, user robot)`)
    }
    expect(fs.readdirSync(directory)).toEqual([])
  })

  // Goal: a robot that is started under the lock does not keep it.
  const procTest = skipUnless(fs.existsSync('/proc/self/fd'), 'there is no /proc here')
  procTest('is not inherited by a child', async () => {
    using home = new TemporaryDirectory()
    const path = join(home.path, 'space.lck')
    await using _lock = await acquireLock(path, once, never)
    const { stdout } = Bun.spawnSync(['sh', '-c', 'ls -l /proc/$$/fd'])
    expect(stdout.toString()).not.toContain('space.lck')
  })

  test('neither follows a link nor truncates what is there', async () => {
    using home = new TemporaryDirectory()
    const victim = join(home.path, 'victim')
    fs.writeFileSync(victim, 'precious')
    const link = join(home.path, 'space.lck')
    fs.symlinkSync(victim, link)
    expect(await failureOf(acquireLock(link, once, never))).toMatchObject({ blame: 'host' })
    await using _lock = await acquireLock(victim, once, never)
    expect(fs.readFileSync(victim, 'utf8')).toBe('precious')
  })
})
