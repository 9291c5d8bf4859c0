/** Attack: a catalog of the local library lies, so that its restore harms the library or what lies outside the space. */
import { describe, expect } from 'bun:test'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { sha256Of } from '../../src/blob/digest.ts'
import type { Catalog, CatalogDirectory, CatalogFile } from '../../src/catalog/tree.ts'
import { TemporaryDirectory } from '../support/golden.ts'
import { binaryObstacle, LocalHost } from '../support/local-host.ts'
import { type MadeTree, STAGE } from '../support/made-catalog.ts'
import { skipUnless } from '../support/skip.ts'

const obstacle = binaryObstacle()
const binaryTest = skipUnless(obstacle === undefined, obstacle ?? '')
const file = (text: string, mode = 0o644) => ({ kind: 'file', text, mode }) as const

/** The same catalog, its files and directories at the top altered. */
function altered(
  alterFile: (file: CatalogFile) => CatalogFile,
  alterDirectory: (directory: CatalogDirectory) => CatalogDirectory = (directory) => directory,
): (catalog: Catalog) => Catalog {
  return (catalog) => {
    const files = [...catalog.tree.files.values()].map(alterFile)
    const subdirs = [...catalog.tree.subdirs.values()].map(alterDirectory)
    const tree = {
      ...catalog.tree,
      files: new Map(files.map((each) => [each.name, each])),
      subdirs: new Map(subdirs.map((each) => [each.name, each])),
    }
    return { ...catalog, tree }
  }
}

describe('restore of a lying catalog', () => {
  // Sizes are the catalog's word alone: a blob that bears its digest is never taken for corrupt because of them.
  binaryTest.each([
    ['a blob longer than it is', 'one', 10],
    ['a blob shorter than it is', 'one', 2],
    ['a large blob shorter than it is', 'large '.repeat(300_000), 1_500_000],
    ['the empty blob longer than it is', '', 10],
  ])('that makes %s is refused, and the blob stays in the library', async (_what, text, sizeBytes) => {
    for (const form of ['identity', 'gzip'] as const) {
      using folder = new TemporaryDirectory()
      const host = new LocalHost(folder.path, form)
      const good = host.add('good', { a: file(text) })
      const lie = altered((each) => ({ ...each, sizeBytes }))
      const liar = host.add('liar', { a: file(text) }, lie)
      for (const strategy of ['auto', 'hardlink', 'copy']) {
        const report = await host.restore(liar, '--strategy', strategy)
        expect(report).toMatchObject({ ok: false, exitCode: 5, error: { code: 'catalog-invalid', blame: 'source' } })
        expect(report.error.message).toContain(sha256Of(Buffer.from(text)))
        expect(fs.readdirSync(host.space)).toEqual([])
      }
      expect(await host.restore(good)).toMatchObject({ ok: true, quarantined: [] })
      expect(host.wrong(good)).toEqual([])
    }
  })

  binaryTest('never gives its control characters to a terminal', async () => {
    using folder = new TemporaryDirectory()
    const host = new LocalHost(folder.path)
    const environment = host.add('odd', { '\u001b[31mred\n.so': file('one'), '\u009b2J': file('two') })
    const listed = await host.run(host.command(environment, '--strategy', 'smart'))
    expect(listed.exitCode).toBe(0)
    expect(listed.stdout).toContain('\\x1b[31mred\\x0a.so (excluded)')
    const blob = host.blobs.pathOf(sha256Of(Buffer.from('one')))
    fs.rmSync(blob)
    fs.mkdirSync(host.space, { recursive: true })
    fs.rmSync(join(host.space, '\u001b[31mred\n.so'))
    const failed = await host.run(host.command(environment))
    expect(failed.exitCode).not.toBe(0)
    for (const text of [listed.stdout, listed.stderr, failed.stdout, failed.stderr]) {
      expect(text.replaceAll('\n', '')).not.toMatch(/\p{Cc}/u)
    }
  })

  const refused: [what: string, alter: (catalog: Catalog) => Catalog][] = [
    ['relocates beyond the end of a file', altered((each) => ({ ...each, rewrite: [each.sizeBytes - 23] }))],
    ['relocates far beyond it', altered((each) => ({ ...each, rewrite: [2 ** 53 - 1] }))],
    ['names a file ..', altered((each) => ({ ...each, name: '..' }))],
    ['names a file with a slash', altered((each) => ({ ...each, name: '../a' }))],
    [
      'names a directory ..',
      altered(
        (each) => each,
        (directory) => ({ ...directory, name: '..' }),
      ),
    ],
    [
      'names a directory .',
      altered(
        (each) => each,
        (directory) => ({ ...directory, name: '.' }),
      ),
    ],
    ['names nothing', altered((each) => ({ ...each, name: '' }))],
    ['has a name with NUL', altered((each) => ({ ...each, name: 'a\0b' }))],
  ]
  binaryTest.each(refused)('that %s is refused before anything is written', async (_what, alter) => {
    using folder = new TemporaryDirectory()
    const host = new LocalHost(folder.path)
    const tree: MadeTree = { a: file('one '.repeat(20)), d: { kind: 'directory', entries: { b: file('two') } } }
    const liar = host.add('liar', tree, alter)
    const { exitCode, stderr } = await host.run(host.command(liar))
    expect(exitCode).toBe(3)
    expect(stderr).toContain('of library is refused')
    expect(fs.existsSync(host.space)).toBe(false)
  })

  binaryTest('with a million and with overlapping relocations writes what rcc would, and nothing outside', async () => {
    using folder = new TemporaryDirectory()
    const host = new LocalHost(folder.path)
    const content = Buffer.alloc(1_000_100, 'x')
    const offsets = Array.from({ length: 1_000_000 }, (_, at) => at)
    const many = host.add(
      'many',
      { a: file(content.toString()) },
      altered((each) => ({ ...each, rewrite: offsets })),
    )
    for (const offset of offsets) content.write(host.spaceName, offset)
    expect(await host.restore(many)).toMatchObject({ ok: true, restored: { relocated: 1 } })
    expect(fs.readFileSync(join(host.space, 'a')).equals(content)).toBe(true)
    const rewrite = [30, 10, 10, 20]
    const some = host.add(
      'some',
      { a: file('y'.repeat(90)) },
      altered((each) => ({ ...each, rewrite })),
    )
    const wanted = Buffer.alloc(90, 'y')
    for (const offset of rewrite) wanted.write(host.spaceName, offset)
    expect(await host.restore(some)).toMatchObject({ ok: true, restored: { relocated: 1 } })
    expect(fs.readFileSync(join(host.space, 'a'))).toEqual(wanted)
  })

  binaryTest(
    'with names like our temporaries, special modes and one blob in many modes is restored as it says',
    async () => {
      using folder = new TemporaryDirectory()
      const host = new LocalHost(folder.path)
      const modes = [0o644, 0o755, 0o600, 0, 0o4755, 0o222]
      const names = ['.holo-peer-1-m0', '.holo-peer-2-link', 'new\nline', 'ü'.repeat(127), '\u001b[31mred', ' ', '-rf']
      const tree: Record<string, MadeTree[string]> = {}
      for (const mode of modes) tree[`mode${mode}`] = file('one', mode)
      for (const name of names) tree[name] = file(`named ${STAGE}`)
      const environment = host.add('odd', tree)
      for (const strategy of ['auto', 'hardlink', 'copy', 'smart']) {
        fs.rmSync(host.space, { recursive: true, force: true })
        expect(await host.restore(environment, '--strategy', strategy)).toMatchObject({ ok: true })
        expect(host.wrong(environment)).toEqual([])
        const again = await host.restore(environment, '--strategy', strategy, '--deep', '--keep-extra')
        expect(again.restored.filesPlaced).toBe(0)
      }
    },
  )
})
