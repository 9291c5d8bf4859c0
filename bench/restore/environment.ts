/**
 * The environments that are restored: rcc's golden one, and a larger one made here from PyPI packages.
 *
 * The large one is made once and kept in the temporary folder: CPython copied to the stage, packages installed there by
 * pip, recorded by `holo-peer record`.
 */
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stageName } from '../../src/catalog/names.ts'
import type { Catalog } from '../../src/catalog/tree.ts'
import { Library } from '../../src/store/library.ts'
import { goldenEnvironment } from '../../test/support/fleet-hosts.ts'
import {
  environmentRoots,
  environmentVersion,
  goldenEnvironmentReason,
  hasGoldenEnvironment,
  rootsIn,
} from '../../test/support/golden.ts'
import { HOLO_PEER, ROBOT_ENVIRONMENT } from './holo-peer.ts'
import { must } from './process.ts'

export interface Environment {
  readonly name: string
  readonly robotFile: string
  readonly catalog: Catalog
  /** Holds its blobs, as gzip. */
  readonly library: Library
}

/** Wheels of these exist for every CPython that rcc still builds with; together some 12,500 files without byte code. */
const PACKAGES = [
  'numpy==2.4.6',
  'pandas==3.1.1',
  'scipy==1.17.1',
  'matplotlib==3.11.2',
  'scikit-learn==1.9.1',
  'lxml==6.1.3',
  'sympy==1.14.0',
]

/** Files that a user's environment does not have: others' packages, byte code (not recorded), static libraries. */
const LEFT_OUT = /\/(site-packages\/.+|__pycache__|[^/]+\.a)$/

/** Version 2 of the golden environment. @returns why it is not here, where it is not */
export function goldenV2(): Environment | string {
  if (!hasGoldenEnvironment) return goldenEnvironmentReason
  const library = new Library(environmentRoots())
  const found = library.catalog(environmentVersion(2).name)
  if (found === undefined) throw new Error(`${library.roots.hololib} lacks the golden environment`)
  return { name: 'golden', robotFile: join(goldenEnvironment, 'v2', 'robot.yaml'), catalog: found.catalog, library }
}

/** The large environment. @returns why it cannot be made here, where it cannot */
export function pythonEnvironment(): Environment | string {
  const folder = join(tmpdir(), 'holo-peer-bench-python')
  if (!fs.existsSync(folder)) {
    const partial = fs.mkdtempSync(`${folder}-`)
    try {
      makePython(partial)
      fs.renameSync(partial, folder)
    } catch (error) {
      return error instanceof Error ? error.message : String(error)
    } finally {
      fs.rmSync(partial, { recursive: true, force: true })
    }
  }
  const library = new Library(rootsIn(join(folder, 'home')))
  const [name] = library.catalogs()
  const found = name === undefined ? undefined : library.catalog(name)
  if (found === undefined) throw new Error(`${folder} is incomplete: remove it`)
  return { name: 'python', robotFile: robotIn(folder), catalog: found.catalog, library }
}

/** @throws {Error} there is no Python to copy, or no network */
function makePython(folder: string): void {
  const home = join(folder, 'home')
  const { userIdentity, platform } = rootsIn(home)
  const stage = join(home, 'holotree', stageName(userIdentity, platform))
  const facts = 'import sys; print(sys.base_prefix); print("%d.%d.%d" % sys.version_info[:3])'
  const [prefix = '', version = ''] = must([process.env.PYTHON ?? 'python3', '-c', facts]).stdout.split('\n')
  // A system's Python is spread over /usr.
  if (prefix === '/usr') throw new Error('PYTHON must name a CPython that has a prefix of its own')
  console.log(`making an environment of CPython ${version} and ${PACKAGES.join(' ')} in ${folder} …`)
  fs.cpSync(prefix, stage, { recursive: true, verbatimSymlinks: true, filter: (source) => !LEFT_OUT.test(source) })
  const python = (...words: string[]) =>
    must([join(stage, 'bin', 'python3'), '-m', ...words], {
      ...process.env,
      LD_LIBRARY_PATH: join(stage, 'lib'),
    })
  python('ensurepip')
  python('pip', 'install', '--quiet', '--no-compile', '--only-binary', ':all:', ...PACKAGES)
  // As rcc records it.
  fs.writeFileSync(join(home, 'settings.yaml'), 'holotree:\n  compression: gzip\n')
  writeRobot(folder, [`python=${version}`], PACKAGES)
  must([HOLO_PEER, 'record', stage, '--robot', robotIn(folder)], { ...ROBOT_ENVIRONMENT, ROBOCORP_HOME: home })
  fs.rmSync(stage, { recursive: true })
}

function robotIn(folder: string): string {
  return join(folder, 'robot.yaml')
}

/** The least that rcc takes for a robot. @returns the path of its robot.yaml */
export function writeRobot(folder: string, conda: readonly string[], pip: readonly string[]): string {
  const dependencies = [...conda.map((text) => `  - ${text}`), '  - pip:', ...pip.map((text) => `      - ${text}`)]
  fs.writeFileSync(join(folder, 'conda.yaml'), `dependencies:\n${dependencies.join('\n')}\n`)
  fs.writeFileSync(
    robotIn(folder),
    'tasks:\n  Default:\n    shell: python --version\ncondaConfigFile: conda.yaml\nartifactsDir: output\n',
  )
  return robotIn(folder)
}
