import { describe, expect } from 'bun:test'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { AT_FDCWD, cString, libc, O_DIRECTORY } from '../../src/base/libc.ts'
import { FileMaker } from '../../src/restore/file-maker.ts'
import { PlacementWriter } from '../../src/restore/placement-writer.ts'
import { PlacementTexts } from '../../src/restore/placements.ts'
import { TemporaryDirectory } from '../support/golden.ts'
import { DirectoryBlobs } from '../support/made-catalog.ts'
import { skipUnless } from '../support/skip.ts'

const linux = skipUnless(process.platform === 'linux', 'system calls are made on Linux only')
const SPACE = 'dc4d952_5a1fac3_5f364f47'

/** A maker in a directory that a run made, for files of 40 bytes. */
function makerOf(home: string, files: Readonly<Record<string, readonly number[]>>) {
  const space = join(home, SPACE)
  fs.mkdirSync(space)
  const blobs = new DirectoryBlobs(join(home, 'library'), 'identity')
  const digest = blobs.add(Buffer.alloc(40))
  const step = {
    path: '',
    make: true,
    remove: [],
    removeUndecodable: false,
    links: [],
    settle: false,
    files: Object.entries(files).map(([name, rewrite]) => ({ name, digest, sizeBytes: 40, mode: 0o644, rewrite })),
  }
  const writer = new PlacementWriter([step], { tree: blobs.tree, notes: undefined })
  writer.add(step, () => 'write')
  const { placements } = writer
  const maker = new FileMaker(placements, new PlacementTexts(placements.text), SPACE, 'm', process.umask())
  maker.enter(libc().openat(AT_FDCWD, cString(space), O_DIRECTORY, 0), space, true)
  return { maker, names: () => fs.readdirSync(space).sort() }
}

describe('FileMaker', () => {
  const bytes = Buffer.alloc(40, 'x')

  // rcc takes a file of the right size and mode for right: killed between the two, we must not have left one.
  linux('gives a relocated file its name only when it is relocated', () => {
    using home = new TemporaryDirectory()
    const { maker, names } = makerOf(home.path, { plain: [], relocated: [3] })
    maker.create(0)
    expect(names()).toEqual(['plain'])
    maker.write(bytes, 0, 0)
    maker.finish(0)
    maker.create(1)
    maker.write(bytes, 0, 1)
    expect(names()).not.toContain('relocated')
    maker.finish(1)
    expect(names()).toEqual(['plain', 'relocated'])
  })

  linux('gives a file whose bytes are not proved its name only at the end', () => {
    using home = new TemporaryDirectory()
    const { maker, names } = makerOf(home.path, { large: [] })
    maker.create(0, false)
    maker.write(bytes, 0, 0)
    expect(names()).not.toContain('large')
    maker.abandon(0)
    expect(names()).toEqual([])
  })

  linux('leaves alone what bears the name that its temporary would have', () => {
    using home = new TemporaryDirectory()
    const { maker, names } = makerOf(home.path, { a: [3], b: [3] })
    maker.create(0)
    const [temporary = ''] = names()
    maker.abandon(0)
    const [stem, number] = [temporary.replace(/\d+$/, ''), Number(/\d+$/.exec(temporary)?.[0])]
    const recorded = [1, 2, 3].map((more) => `${stem}${number + more}`)
    for (const name of recorded) fs.writeFileSync(join(home.path, SPACE, name), 'recorded')
    maker.create(1)
    maker.write(bytes, 0, 1)
    maker.finish(1)
    expect(names()).toEqual([...recorded, 'b'].sort())
    for (const name of recorded) expect(fs.readFileSync(join(home.path, SPACE, name), 'utf8')).toBe('recorded')
  })
})
