// Goal: rcc and holo-peer keep each other out of a space, and finish what the other one left half done.
// Method: the holder of the lock is stopped (SIGSTOP) inside its restore, so that nothing depends on who is faster.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout } from 'bun:test'
import * as fs from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { spacePaths } from '../../src/catalog/layout.ts'
import { userName } from '../../src/store/user-name.ts'
import { differences, smallCold, smallSwitched } from '../support/golden.ts'
import { Lan } from '../support/lan.ts'
import { hasRccHosts, RccHost, rccTest, restoreArguments } from '../support/rcc-hosts.ts'

const golden = resolve(import.meta.dir, '../golden/small/gzip')
const robot = (version: number) => join(golden, `robot${version}`, 'robot.yaml')
const cold = smallCold('gzip', 1)

setDefaultTimeout(120_000)

let lan: Lan
let host: RccHost
beforeAll(() => {
  if (!hasRccHosts) return
  lan = new Lan()
  host = RccHost.withSmallLibrary(lan, 'gzip')
})
afterAll(async () => {
  await lan?.[Symbol.asyncDispose]()
})

type Process = Bun.Subprocess<'ignore', 'pipe', 'pipe'>

const starters = {
  rcc: (version: number, space: string) => host.spawn(...restoreArguments(robot(version), space)),
  'holo-peer': (version: number, space: string) =>
    host.host.spawn([host.fleet.binary, 'restore', robot(version), '--space', space, '--offline']),
} as const
const pairs = [
  ['rcc', 'holo-peer'],
  ['holo-peer', 'rcc'],
] as const

function expectCold(): void {
  expect(differences(host.host.outside(cold.spacePath), cold.listing, { directoryTimes: 'ignored' })).toEqual([])
}

function forget(spacePath: string): void {
  const { directory, meta, metaInfo, restoring } = spacePaths(host.host.outside(spacePath))
  for (const path of [directory, meta, metaInfo, restoring]) fs.rmSync(path, { recursive: true, force: true })
}

/** Read standard error until it says `text`. */
async function said(child: Process, text: string): Promise<void> {
  const decoder = new TextDecoder()
  const reader = child.stderr.getReader()
  let all = ''
  while (!all.includes(text)) {
    const { value, done } = await reader.read()
    if (done) throw new Error(`it never said ${JSON.stringify(text)}: ${all}`)
    all += decoder.decode(value, { stream: true })
  }
  reader.releaseLock()
}

describe.each(pairs)('%s in a space', (holder, waiter) => {
  rccTest(`keeps ${waiter} waiting, which names it and then finds the space pristine`, async () => {
    forget(cold.spacePath)
    const first = starters[holder](1, 'cold1')
    await using stopped = await host.stopInside(first, cold.spacePath)
    const who = `user___${process.pid}___cold1___${first.pid}___${userName(process.env)}`
    expect(stopped.note).toBe(`${who}___${basename(cold.spacePath)}.lck`)

    const second = starters[waiter](1, 'cold1')
    // rcc speaks up after five seconds.
    await said(second, waiter === 'rcc' ? `(parent/pid: ${process.pid}/${first.pid})` : `process ${first.pid}`)
    expect(second.exitCode).toBeNull()
    expect(fs.existsSync(spacePaths(host.host.outside(cold.spacePath)).meta)).toBe(false)

    stopped.resume()
    expect(await Promise.all([first.exited, second.exited])).toEqual([0, 0])
    expectCold()
    expect(host.notes(cold.spacePath).meta).toContain(cold.spacePath)
  })

  rccTest(`killed there leaves what ${waiter} completes`, async () => {
    forget(cold.spacePath)
    {
      await using _killed = await host.stopInside(starters[holder](1, 'cold1'), cold.spacePath)
    }
    expect(fs.existsSync(spacePaths(host.host.outside(cold.spacePath)).meta)).toBe(false)

    expect(await starters[waiter](1, 'cold1').exited).toBe(0)

    expectCold()
    const after = await host.holoRestore(robot(1), 'cold1')
    expect(after.restored).toMatchObject({ filesPlaced: 0, removed: 0, linksMade: 0, directoriesMade: 0 })
    expect(await host.restore(robot(1), 'cold1')).toMatchObject({ exitCode: 0, dirtyness: 0 })
  })

  rccTest(`killed between two versions leaves what ${waiter} completes`, async () => {
    const { spacePath, listing } = smallSwitched('gzip', 2)
    forget(spacePath)
    expect(await starters[waiter](1, 'gold').exited).toBe(0)
    {
      await using _killed = await host.stopInside(starters[holder](2, 'gold'), spacePath)
    }

    expect(await starters[waiter](2, 'gold').exited).toBe(0)

    expect(differences(host.host.outside(spacePath), listing, { directoryTimes: 'ignored' })).toEqual([])
    expect(await host.restore(robot(2), 'gold')).toMatchObject({ exitCode: 0, dirtyness: 0 })
  })
})

rccTest('a crowd of both in one space ends with one tree', async () => {
  forget(cold.spacePath)
  const crowd = [1, 2, 3].flatMap(() => [starters.rcc(1, 'cold1'), starters['holo-peer'](1, 'cold1')])
  expect(await Promise.all(crowd.map(({ exited }) => exited))).toEqual([0, 0, 0, 0, 0, 0])
  expectCold()
  expect(await host.restore(robot(1), 'cold1')).toMatchObject({ exitCode: 0, dirtyness: 0 })
})
