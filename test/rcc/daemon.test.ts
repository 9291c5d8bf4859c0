// Goal: a daemon and rcc work in one library at the same time, and contents that look like gzip survive both.
import { expect, setDefaultTimeout } from 'bun:test'
import * as fs from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { sha256Of } from '../../src/blob/digest.ts'
import { composeBlueprint } from '../../src/catalog/blueprint.ts'
import { encodeCatalogInfo, encodeStoredCatalog } from '../../src/catalog/encode-catalog.ts'
import { blobPath, catalogDirectory } from '../../src/catalog/layout.ts'
import { catalogName } from '../../src/catalog/names.ts'
import type { Catalog, CatalogFile } from '../../src/catalog/tree.ts'
import { fileLan } from '../support/file-lan.ts'
import { differences, rootsIn, smallCold } from '../support/golden.ts'
import { GOLDEN_BASE } from '../support/lan.ts'
import { MemoryBlobs, madeCatalog } from '../support/made-catalog.ts'
import { hasRccHosts, RccHost, rccTest } from '../support/rcc-hosts.ts'

const golden = resolve(import.meta.dir, '../golden/small/gzip')

setDefaultTimeout(120_000)

const lan = fileLan(hasRccHosts)

rccTest('a daemon serves what rcc imports beside it, and no more what rcc removes', async () => {
  const seed = RccHost.on(lan())
  const fleet = await seed.fleet.lead()
  const member = async () => {
    const host = RccHost.on(lan())
    await host.fleet.join(fleet)
    return host
  }
  const early = await member()
  expect(await early.fleet.restoreSmall(2)).toMatchObject({ ok: false, exitCode: 3 })

  const imported = await seed.rcc('holotree', 'import', join(golden, 'v2-hololib.zip'))
  expect(imported).toMatchObject({ exitCode: 0 })
  // The daemon announces it a moment after rcc is through.
  let report = await early.fleet.restoreSmall(2)
  for (const deadlineMs = Date.now() + 30_000; report.exitCode === 3 && Date.now() < deadlineMs; )
    report = await early.fleet.restoreSmall(2)
  expect(report).toMatchObject({ ok: true })
  const { listing, spacePath, name } = smallCold('gzip', 2)
  expect(differences(early.host.outside(spacePath), listing, { directoryTimes: 'settled' })).toEqual([])

  expect(await seed.rcc('holotree', 'remove', name)).toMatchObject({ exitCode: 0 })
  expect(await seed.rcc('holotree', 'check')).toMatchObject({ exitCode: 0 })
  // The check leaves no empty directory, so none at all.
  expect(fs.existsSync(join(seed.host.home, 'hololib', 'library'))).toBe(false)
  let late = await (await member()).fleet.restoreSmall(2)
  for (const deadlineMs = Date.now() + 30_000; late.exitCode !== 3 && Date.now() < deadlineMs; )
    late = await (await member()).fleet.restoreSmall(2)
  expect(late).toMatchObject({ ok: false, exitCode: 3 })
})

/** Contents that rcc, which sniffs every blob, would unpack if they lay in the library as they are; and near misses. */
const deceptive: Readonly<Record<string, Uint8Array>> = {
  'real.gz': Bun.gzipSync(Buffer.from('packed by the package itself\n')),
  'twice.gz': Bun.gzipSync(Bun.gzipSync(Buffer.from('packed twice\n'))),
  'header-only': Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 0xff),
  'header-and-junk': Buffer.concat([Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 0xff), Buffer.alloc(5000, 'junk')]),
  'header-with-name': Buffer.concat([
    Uint8Array.of(0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 4, 0xff),
    Buffer.from('name without end'),
  ]),
  'reserved-flags': Buffer.concat([Uint8Array.of(0x1f, 0x8b, 8, 0xe0, 0, 0, 0, 0, 4, 0xff), Buffer.alloc(64)]),
  'magic-only': Uint8Array.of(0x1f, 0x8b),
  'magic-and-method': Uint8Array.of(0x1f, 0x8b, 8),
  'other-method': Buffer.concat([Uint8Array.of(0x1f, 0x8b, 7), Buffer.alloc(64)]),
  plain: Buffer.from('plain\n'),
}

/** A library with one environment of such files, blobs packed as rcc packs them. @returns its robot.yaml */
function recordDeceptive(host: RccHost): string {
  const folder = join(host.host.folder, 'robot')
  fs.mkdirSync(folder)
  fs.writeFileSync(
    join(folder, 'robot.yaml'),
    'tasks: {x: {shell: "true"}}\ncondaConfigFile: conda.yaml\nartifactsDir: output\n',
  )
  fs.writeFileSync(join(folder, 'conda.yaml'), 'channels: [conda-forge]\ndependencies: [python=3.11.7]\n')
  const environment = { name: 'conda.yaml', bytes: fs.readFileSync(join(folder, 'conda.yaml')) }
  const { hash, text } = composeBlueprint([environment], { localChannel: undefined, devDependencies: false })
  const blobs = new MemoryBlobs()
  const made = madeCatalog({ 'identity.yaml': { kind: 'file', text, mode: 0o644 } }, `${GOLDEN_BASE}/made`, blobs)
  const files = new Map<string, CatalogFile>(made.tree.files)
  for (const [name, bytes] of Object.entries(deceptive))
    files.set(name, {
      name,
      symlink: undefined,
      sizeBytes: bytes.byteLength,
      goMode: 0o644,
      digest: blobs.add(bytes),
      rewrite: [],
    })
  const sorted = new Map([...files].sort(([left], [right]) => (left < right ? -1 : 1)))
  const catalog: Catalog = { ...made, blueprint: hash, tree: { ...made.tree, files: sorted } }

  const roots = rootsIn(host.host.home)
  for (const [digest, stored] of blobs.stored) {
    fs.mkdirSync(dirname(blobPath(roots, digest)), { recursive: true })
    fs.writeFileSync(blobPath(roots, digest), stored)
  }
  fs.mkdirSync(catalogDirectory(roots), { recursive: true })
  const path = join(catalogDirectory(roots), catalogName(hash, 'linux_amd64'))
  fs.writeFileSync(path, encodeStoredCatalog(catalog))
  fs.writeFileSync(`${path}.info`, encodeCatalogInfo(catalog))
  return join(folder, 'robot.yaml')
}

rccTest('contents that look like gzip come whole through a peer, the library, rcc and its check', async () => {
  const seed = RccHost.on(lan())
  const made = recordDeceptive(seed)
  const host = RccHost.on(lan())
  await host.fleet.join(await seed.fleet.lead())
  const report = await host.fleet.report('restore', made, '--space', 'ours')
  expect(report).toMatchObject({ ok: true, fetched: { blobs: Object.keys(deceptive).length + 1 } })

  expect(await host.rcc('holotree', 'check', '--retries', '0')).toMatchObject({ exitCode: 0 })
  expect(await host.restore(made, 'theirs')).toMatchObject({ exitCode: 0 })
  expect(await host.restore(made, 'ours')).toMatchObject({ exitCode: 0, dirtyness: 0 })
  const dry = await host.fleet.report('restore', made, '--space', 'theirs', '--dry-run')
  for (const { space } of [report, dry])
    for (const [name, bytes] of Object.entries(deceptive)) {
      const actual = fs.readFileSync(join(host.host.outside(space.path), name))
      expect([name, sha256Of(actual)]).toEqual([name, sha256Of(bytes)])
    }
})
