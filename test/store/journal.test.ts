import { describe, expect, test } from 'bun:test'
import * as fs from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { journalsDirectory } from '../../src/catalog/layout.ts'
import {
  countUse,
  dirtyness,
  eventLine,
  journalUse,
  type SpaceUse,
  statisticsLine,
  statisticsName,
} from '../../src/store/journal.ts'
import { rootsIn, TemporaryDirectory } from '../support/golden.ts'
import { runs } from '../support/runs.ts'
import { skipUnless } from '../support/skip.ts'

const onLinux = skipUnless(process.platform === 'linux', 'date(1) knows -d on Linux only')

const use: SpaceUse = {
  nowMs: 1_764_064_800_900,
  version: 'holo-peer 0.1.0',
  controller: 'User',
  space: 'a <b> & "c"',
  metaPath: '/ht/dc4d952_5a1fac3_9fcd2534.meta',
  catalogPath: '/lib/catalog/1a2a1e72d81a142av12.linux_amd64',
  blueprint: '1a2a1e72d81a142a',
  startedS: 0.05,
  restoredS: 1.25,
  dirtyness: 12.3,
}

// The lines were compared with what rcc 18.18.1 wrote: names, their order, and its escapes.
describe('the lines', () => {
  test('eventLine() is that of rcc', () => {
    expect(eventLine(use)).toBe(
      '{"when":1764064800,"controller":"rcc.user","event":"space-used","detail":"/ht/dc4d952_5a1fac3_9fcd2534.meta",' +
        '"comment":"normal holotree with blueprint 1a2a1e72d81a142a from /lib/catalog/1a2a1e72d81a142av12.linux_amd64"}\n',
    )
  })

  test('statisticsLine() is that of rcc', () => {
    expect(statisticsLine(use)).toBe(
      '{"version":"holo-peer 0.1.0","when":1764064800,"what":"variables","force":false,"build":false,"success":false,' +
        '"retry":false,"run":false,"controller":"User","space":"a \\u003cb\\u003e \\u0026 \\"c\\"",' +
        '"blueprint":"1a2a1e72d81a142a","started":0.05,"prepared":0,"micromamba":0,"pip":0,"postinstall":0,"record":0,' +
        '"restore":1.25,"prerun":0,"robotstart":0,"robotend":0,"finished":1.25,"dirtyness":12.3}\n',
    )
  })

  test('stay one line of JSON whatever the names are', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (space, metaPath) => {
        for (const line of [eventLine({ ...use, space, metaPath }), statisticsLine({ ...use, space, metaPath })]) {
          expect(line.indexOf('\n')).toBe(line.length - 1)
          expect(JSON.parse(line)).toBeObject()
        }
        expect(JSON.parse(eventLine({ ...use, metaPath })).detail).toBe(metaPath.toWellFormed())
      }),
      { numRuns: runs(300) },
    )
  })

  test('dirtyness() rounds down to a tenth of a percent, as rcc does', () => {
    expect([dirtyness(0, 10), dirtyness(10, 10), dirtyness(1, 3), dirtyness(1, 1001)]).toEqual([0, 100, 33.3, 0])
    expect(dirtyness(0, 0)).toBe(0)
  })
})

describe('statisticsName()', () => {
  test.each([
    [2026, 1, 1, '2026_01'],
    [2026, 11, 25, '2026_48'],
    [2027, 1, 3, '2026_53'],
    [2027, 1, 4, '2027_01'],
    [2024, 12, 30, '2025_01'],
    [2021, 1, 3, '2020_53'],
    [2000, 2, 29, '2000_09'],
  ])('%i-%i-%i is in week %s', (year, month, day, week) => {
    for (const hour of [0, 23])
      expect(statisticsName('dc4d952', new Date(year, month - 1, day, hour))).toBe(`stats_dc4d952_${week}.log`)
  })

  onLinux('agrees with date(1) for any day', () => {
    const days = fc.sample(
      fc.date({ min: new Date(2000, 0, 1), max: new Date(2099, 11, 31), noInvalidDate: true }),
      runs(200),
    )
    const stamps = days.map((day) => `@${Math.floor(day.getTime() / 1000)}\n`).join('')
    const { stdout } = Bun.spawnSync(['date', '-f', '-', '+stats_x_%G_%V.log'], { stdin: Buffer.from(stamps) })
    expect(stdout.toString().trim().split('\n')).toEqual(days.map((day) => statisticsName('x', day)))
  })
})

describe('journalUse()', () => {
  test('appends a line to each journal, and makes them as rcc does', () => {
    using home = new TemporaryDirectory()
    const directory = journalsDirectory(rootsIn(home.path))
    journalUse(rootsIn(home.path), use)
    journalUse(rootsIn(home.path), use)
    const name = statisticsName('dc4d952', new Date(use.nowMs))
    expect(fs.readdirSync(directory).sort()).toEqual(['event.log', name].sort())
    expect(fs.readFileSync(join(directory, 'event.log'), 'utf8')).toBe(eventLine(use).repeat(2))
    expect(fs.readFileSync(join(directory, name), 'utf8')).toBe(statisticsLine(use).repeat(2))
    expect(fs.statSync(directory).mode & 0o777).toBe(0o750)
    expect(fs.statSync(join(directory, name)).mode & 0o777).toBe(0o640)
  })

  test('leaves alone what is no regular file, and fails no restore', () => {
    using home = new TemporaryDirectory()
    const directory = journalsDirectory(rootsIn(home.path))
    const target = join(home.path, 'target')
    fs.writeFileSync(target, 'precious\n')
    const events = join(directory, 'event.log')
    fs.mkdirSync(directory)
    const plants = [
      () => fs.symlinkSync(target, events),
      () => fs.mkdirSync(events),
      () => Bun.spawnSync(['mkfifo', events]),
      () => {
        fs.rmSync(directory, { recursive: true })
        fs.writeFileSync(directory, '')
      },
    ]
    for (const plant of plants) {
      fs.rmSync(events, { recursive: true, force: true })
      plant()
      journalUse(rootsIn(home.path), use)
    }
    expect(fs.readFileSync(target, 'utf8')).toBe('precious\n')
    expect(fs.readFileSync(directory, 'utf8')).toBe('')
  })
})

test('countUse() adds one byte, and in lite mode only where the last use is old', () => {
  using home = new TemporaryDirectory()
  const path = join(home.path, 'space.use')
  const size = () => fs.statSync(path).size
  const dayMs = 24 * 60 * 60 * 1000
  countUse(path, Date.now(), dayMs)
  expect(size()).toBe(1)
  countUse(path, Date.now(), 0)
  expect(size()).toBe(2)
  countUse(path, Date.now(), dayMs)
  expect(size()).toBe(2)
  countUse(path, Date.now() + 2 * dayMs, dayMs)
  expect(size()).toBe(3)
  const link = join(home.path, 'link.use')
  fs.symlinkSync(path, link)
  countUse(link, Date.now(), 0)
  expect(size()).toBe(3)
})
