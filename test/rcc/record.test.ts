// Goal: the real rcc and holo-peer record one stage to one catalog, and rcc takes ours for its own.
// Method: rcc builds with a stand-in for uv that writes a fixed tree of odd things; that stage is put up again from
// rcc's catalog, rcc's library is emptied, and holo-peer records. What rcc left then serves as the listing to meet.
import { beforeAll, describe, expect, setDefaultTimeout } from 'bun:test'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { catalogDirectory, catalogInfoPath, libraryDirectory, noCompressMarker } from '../../src/catalog/layout.ts'
import { IDENTITY_BYTES } from '../../src/catalog/relocation.ts'
import type { Catalog } from '../../src/catalog/tree.ts'
import { eachFile } from '../../src/catalog/walk.ts'
import { Library } from '../../src/store/library.ts'
import { fileLan } from '../support/file-lan.ts'
import { listTree, rootsIn } from '../support/golden.ts'
import { STAGE } from '../support/made-catalog.ts'
import { hasRccHosts, RccHost, rccTest } from '../support/rcc-hosts.ts'
import { rebuildStage } from '../support/stage.ts'

setDefaultTimeout(120_000)

/** What rcc asks of uv: to put a Python where it can be copied from, and to list what is installed in the stage. */
const STAND_IN = `#!/bin/sh
set -e
if [ "$1 $2" = "python install" ]; then
  mkdir -p "$UV_PYTHON_INSTALL_DIR/cpython-3.11.7/bin"
  cd "$UV_PYTHON_INSTALL_DIR/cpython-3.11.7/bin"
  echo '#!/bin/sh' > python3
  chmod 755 python3
  exit 0
fi
stage=$(dirname "$(dirname "$4")")
cd "$stage"
mkdir -p lib/deep links empty/inner lib/__pycache__ lib/repo.git
chmod 700 empty/inner
printf '#!%s/bin/python3\\nprint(1)\\n' "$stage" > bin/tool
chmod 4755 bin/tool
printf '%s and %s' "$stage" "$stage" > lib/twice
basename "$stage" | tr -d '\\n' > lib/exactly
printf 'at%s' "$(basename "$stage")" > lib/missed
head -c 32744 /dev/zero > lib/boundary
printf '%s and more' "$(basename "$stage")" >> lib/boundary
printf 'ünï <&>' > 'lib/ünï <&>'
: > lib/none
echo skipped | tee lib/__pycache__/x lib/repo.git/x lib/x.pyc > /dev/null
echo deep > lib/deep/file
ln -sfn lib lib64
ln -sfn ../bin/tool links/tool
ln -sfn tool links/chain
ln -sfn "$stage/lib/deep" links/absolute
echo '[]'
`

const lan = fileLan(hasRccHosts)

function comparable(catalog: Catalog): { tree: string; rewrites: Map<string, number[]> } {
  const tree = JSON.stringify({ ...catalog, rcc: '' }, (key, value) => {
    if (key === 'rewrite') return undefined
    return value instanceof Map ? Object.fromEntries(value) : value
  })
  const rewrites = new Map<string, number[]>()
  eachFile(catalog.tree, ({ name, rewrite }, prefix) => rewrites.set(prefix + name, [...new Set(rewrite)]))
  return { tree, rewrites }
}

describe.each(['gzip', 'compress.no'] as const)('a library with %s', (form) => {
  let host: RccHost
  let robotFile: string
  let stage: string
  let rccs: Catalog
  let rccsInfo: unknown
  let rccsSpace: string
  let rccsListing: ReturnType<typeof listTree>

  const roots = () => rootsIn(host.host.home)
  const recorded = () => {
    const library = new Library(roots())
    const [name, ...others] = library.catalogs()
    const found = name === undefined ? undefined : library.catalog(name)
    if (name === undefined || found === undefined) throw new Error('nothing is recorded')
    expect(others).toEqual([])
    return {
      name,
      library,
      catalog: found.catalog,
      info: JSON.parse(fs.readFileSync(catalogInfoPath(roots(), name), 'utf8')),
    }
  }

  beforeAll(async () => {
    if (!hasRccHosts) return
    host = RccHost.on(lan())
    const uv = join(host.host.home, 'uv', '0.0.1')
    fs.mkdirSync(uv, { recursive: true })
    fs.writeFileSync(join(uv, 'uv'), STAND_IN, { mode: 0o755 })
    if (form === 'compress.no') {
      fs.mkdirSync(catalogDirectory(roots()), { recursive: true })
      fs.writeFileSync(noCompressMarker(roots()), 'present')
    }
    robotFile = join(host.host.folder, 'robot.yaml')
    fs.writeFileSync(robotFile, 'tasks: {a: {shell: ls}}\ncondaConfigFile: conda.yaml\nartifactsDir: output\n')
    fs.writeFileSync(join(host.host.folder, 'conda.yaml'), 'dependencies: [python=3.11.7, uv=0.0.1]\n')
    const built = await host.rcc('holotree', 'variables', '--robot', robotFile, '--space', 'cold', '--json')
    if (built.exitCode !== 0) throw new Error(built.stderr)
    const { library, catalog, info } = recorded()
    rccs = catalog
    rccsInfo = info
    stage = await rebuildStage(catalog, library, roots())
    const dry = await host.fleet.report('restore', robotFile, '--space', 'cold', '--dry-run', '--offline')
    rccsSpace = dry.space.path
    rccsListing = listTree(rccsSpace)
    fs.rmSync(libraryDirectory(roots()), { recursive: true })
    for (const name of fs.readdirSync(catalogDirectory(roots())))
      if (name !== 'compress.no' && name !== 'init') fs.rmSync(join(catalogDirectory(roots()), name))
  })

  rccTest('gets from holo-peer the catalog that rcc recorded', async () => {
    const report = await host.fleet.report('record', stage, '--robot', robotFile)
    expect(report).toMatchObject({ exitCode: 0, blueprint: rccs.blueprint })
    const { catalog, library, info } = recorded()
    const [ours, theirs] = [comparable(catalog), comparable(rccs)]
    expect(ours.tree).toBe(theirs.tree)
    expect(info).toEqual({ ...(rccsInfo as object), rcc: info.rcc })
    const differing = [...ours.rewrites].filter(([path, at]) => `${at}` !== `${theirs.rewrites.get(path)}`)
    expect(differing).toEqual([
      ['lib/exactly', [0]],
      ['lib/missed', [2]],
      ['lib64/exactly', [0]],
      ['lib64/missed', [2]],
    ])
    expect(catalog.tree.subdirs.get('lib')?.files.get('missed')?.sizeBytes).toBe(2 + IDENTITY_BYTES)
    expect(await library.missing(catalog, new AbortController().signal)).toEqual([])
  })

  rccTest('is sound to rcc, which lists the environment and finds a space of its own pristine', async () => {
    const catalogs = JSON.parse((await host.rcc('holotree', 'catalogs', '--json')).stdout)
    expect(catalogs[rccs.blueprint]).toMatchObject({ holotree: roots().holotree, platform: 'linux_amd64' })
    const blobs = host.blobs()
    expect(await host.rcc('holotree', 'check', '--retries', '0')).toMatchObject({ exitCode: 0, stdout: '' })
    expect(host.blobs()).toEqual(blobs)
    expect(await host.restore(robotFile, 'cold')).toMatchObject({ exitCode: 0, dirtyness: 0 })
  })

  rccTest('restores cold, by rcc, to the tree of its own recording, and better where that missed a name', async () => {
    fs.rmSync(rccsSpace, { recursive: true })
    fs.rmSync(`${rccsSpace}.meta`)
    expect(await host.restore(robotFile, 'cold')).toMatchObject({ exitCode: 0 })
    const plain = (listing: typeof rccsListing) =>
      new Map(listing.map((e) => [e.path, JSON.stringify({ ...e, mtime: 0 })]))
    const [before, after] = [plain(rccsListing), plain(listTree(rccsSpace))]
    expect([...after.keys()]).toEqual([...before.keys()])
    const differing = [...after].filter(([path, entry]) => before.get(path) !== entry).map(([path]) => path)
    expect(differing).toEqual(['lib/exactly', 'lib/missed'])
    for (const path of differing) expect(fs.readFileSync(join(rccsSpace, path), 'utf8')).not.toContain(STAGE)
  })

  // rcc's own recording of such a stage is broken: it would build again at every start (formats.md §6.5).
  rccTest('has the content of a link that leads out, so that rcc needs no build', async () => {
    const library = new Library(roots())
    stage = await rebuildStage(recorded().catalog, library, roots())
    const outside = join(host.host.folder, 'outside')
    fs.writeFileSync(outside, 'only outside')
    fs.symlinkSync(outside, join(stage, 'links', 'out'))
    const report = await host.fleet.report('record', stage, '--robot', robotFile)
    expect(report).toMatchObject({ exitCode: 0, blobs: { added: 1 } })
    expect(await host.restore(robotFile, 'other')).toMatchObject({ exitCode: 0 })
    expect(
      await host.rcc('holotree', 'export', '--robot', robotFile, '--zipfile', join(host.host.folder, 'x.zip')),
    ).toMatchObject({ exitCode: 0 })
  })
})
