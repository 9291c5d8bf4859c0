/**
 * An environment of any number of small files, made up: what shows how restoring scales, and what a catalog that no real
 * environment reaches costs in memory.
 *
 * Always the same for the same number. As in real ones, a directory holds some ten files, one file in twenty has the
 * content of another or is relocated, and one in sixty is empty.
 */
import * as fs from 'node:fs'
import { dirname, join } from 'node:path'
import { never } from '../../src/base/clock.ts'
import { sha256Of } from '../../src/blob/digest.ts'
import { compareBytewise } from '../../src/catalog/bytewise.ts'
import { blobPath } from '../../src/catalog/layout.ts'
import { stageName } from '../../src/catalog/names.ts'
import type { CatalogDirectory, CatalogFile } from '../../src/catalog/tree.ts'
import { loadBlueprint } from '../../src/config/environment.ts'
import { rootsIn } from '../../test/support/golden.ts'
import { writeRobot } from './environment.ts'
import { type Home, withCatalog } from './home.ts'

const FILES_PER_DIRECTORY = 10
/** A package has subdirectories in two levels, so many at each. */
const SUBDIRECTORIES = 4
const DIRECTORIES_PER_PACKAGE = 1 + SUBDIRECTORIES + SUBDIRECTORIES ** 2
const SITE_PACKAGES = ['lib', 'python3.11', 'site-packages']
const LINE = 'def answer(question: str) -> int:\n    return len(question)\n'

/** Make a home at `path` whose raw library holds an environment of `files` files. */
export async function synthesized(files: number, path: string): Promise<Home> {
  const roots = rootsIn(path)
  const stage = stageName(roots.userIdentity, roots.platform)
  const folder = join(path, 'robot')
  fs.mkdirSync(folder, { recursive: true })
  const robotFile = writeRobot(folder, ['python=3.11.7'], [`synthetic==${files}`])
  const { blueprint } = await loadBlueprint({ robotFile, robocorpHome: path, platform: roots.platform }, never)
  let made = 0
  const nextFile = (): CatalogFile => {
    const number = made++
    const content = Buffer.from(contentOf(number, stage))
    const digest = sha256Of(content)
    const blob = blobPath(roots, digest)
    if (!fs.existsSync(blob)) {
      fs.mkdirSync(dirname(blob), { recursive: true })
      fs.writeFileSync(blob, content)
    }
    const offset = content.indexOf(stage)
    const rewrite = offset < 0 ? [] : [offset]
    const name = `module_${number}.py`
    return { name, symlink: undefined, sizeBytes: content.byteLength, goMode: 0o644, digest, rewrite }
  }
  const filled = (name: string, levels: number): CatalogDirectory => {
    const here = Array.from({ length: Math.min(FILES_PER_DIRECTORY, files - made) }, nextFile)
    const names = levels === 0 ? [] : Array.from({ length: SUBDIRECTORIES }, (_, index) => `part_${index}`)
    return directory(
      name,
      names.map((subdir) => filled(subdir, levels - 1)),
      here,
    )
  }
  const packages = Math.ceil(files / FILES_PER_DIRECTORY / DIRECTORIES_PER_PACKAGE)
  const subdirs = Array.from({ length: packages }, (_, index) => filled(`package_${index}`, 2))
  const inner = SITE_PACKAGES.reduceRight((below, name) => [directory(name, below, [])], subdirs)
  return withCatalog(
    roots,
    {
      rcc: 'v18.18.1',
      identity: stage,
      path: join(roots.holotree, stage),
      controller: '',
      space: '',
      platform: 'linux_amd64',
      blueprint: blueprint.hash,
      lifted: true,
      tree: directory('', inner, []),
    },
    path,
    robotFile,
  )
}

/** 40 bytes to 6 KiB, most of them small. */
function contentOf(number: number, stage: string): string {
  if (number % 60 === 0) return ''
  const of = number % 20 === 7 ? number - 1 : number
  const shebang = of % 20 === 3 ? `#!/opt/holotree/${stage}/bin/python3\n` : ''
  const lines = Math.floor(100 * (((of * 7919) % 1000) / 1000) ** 3)
  return `${shebang}"""Module ${of}."""\n${LINE.repeat(lines)}`
}

function directory(name: string, subdirs: CatalogDirectory[], files: CatalogFile[]): CatalogDirectory {
  return {
    name,
    symlink: undefined,
    goMode: 2 ** 31 + 0o755,
    shadow: false,
    subdirs: byName(subdirs),
    files: byName(files),
  }
}

function byName<Entry extends { readonly name: string }>(entries: Entry[]): ReadonlyMap<string, Entry> {
  entries.sort((left, right) => compareBytewise(left.name, right.name))
  return new Map(entries.map((entry) => [entry.name, entry]))
}
