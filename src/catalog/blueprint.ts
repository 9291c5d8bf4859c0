/**
 * From environment files to the blueprint: the canonical text of an environment and the hash that names its catalog
 * (formats.md §4).
 *
 * Guarantees rcc's text, letter by letter. Pure: files come in as bytes.
 */
import { HoloError } from '../base/errors.ts'
import { distinct, type EnvironmentSpec, parseCondaYaml } from './conda-yaml.ts'
import { type Dependency, isCacheableDependency, promotePip, pushDependencies, trimmed } from './dependency.ts'
import { parsePackageYaml } from './package-yaml.ts'
import { blueprintHash } from './siphash.ts'
import { emitScalar } from './yaml-emit.ts'

/** A blueprint text and its hash, 16 hex digits. */
export interface Layer {
  readonly text: string
  readonly hash: string
}

export interface Blueprint extends Layer {
  /** Conda alone; conda and pip; everything. rcc may restore an earlier one and build on it. */
  readonly layers: readonly [conda: Layer, pip: Layer, full: Layer]
  /** False where rcc warns that it is not publicly cacheable: some version is inexact. */
  readonly publiclyCacheable: boolean
  /** No channels, and conda's `python` and `uv`: rcc builds it with uv instead of micromamba. */
  readonly uvNative: boolean
}

export interface EnvironmentFile {
  /** Path or name: its base name tells the format, and errors name it. */
  readonly name: string
  readonly bytes: Uint8Array
}

export interface EnvironmentOptions {
  /** Directory of the local conda channel (`localChannel` in layout.ts), undefined where it has no channeldata.json. */
  readonly localChannel: string | undefined
  /** rcc's `--devdeps`. */
  readonly devDependencies: boolean
}

/**
 * Compute the blueprint of files that are merged from left to right.
 *
 * @throws {HoloError} blame `input`: as `parseEnvironment` and `mergeEnvironments`; code `no-environment` without files
 */
export function composeBlueprint(files: readonly EnvironmentFile[], options: EnvironmentOptions): Blueprint {
  const [first, ...others] = files.map((file) => parseEnvironment(file, options))
  if (first === undefined) {
    throw new HoloError('Missing environment specification(s).', {
      code: 'no-environment',
      blame: 'input',
      hint: 'name a robot.yaml or a conda.yaml',
    })
  }
  return blueprintOf(others.reduce(mergeEnvironments, first))
}

/**
 * Parse one file by its base name: `package.yaml`, or else conda's format.
 *
 * @throws {HoloError} blame `input`: as the two parsers; code `devdeps-without-package`
 */
export function parseEnvironment({ name, bytes }: EnvironmentFile, options: EnvironmentOptions): EnvironmentSpec {
  const isPackage = /(?:^|[/\\])package\.yaml$/i.test(name)
  if (!isPackage && options.devDependencies) {
    throw new HoloError(`Dev dependencies are only known to a package.yaml, not to ${name}`, {
      code: 'devdeps-without-package',
      blame: 'input',
      hint: 'leave out --devdeps',
    })
  }
  if (!isPackage) return parseCondaYaml(bytes, name, options)
  try {
    return parsePackageYaml(bytes, name, options)
  } catch (error) {
    // rcc takes a package.yaml of another shape for a conda.yaml.
    if (options.devDependencies || !(error instanceof HoloError) || error.code !== 'yaml-type') throw error
    return parseCondaYaml(bytes, name, options)
  }
}

/**
 * Two environments as one.
 *
 * @throws {DependencyConflictError} they want different versions of the same
 */
export function mergeEnvironments(left: EnvironmentSpec, right: EnvironmentSpec): EnvironmentSpec {
  const conda: Dependency[] = []
  const pip: Dependency[] = []
  pushDependencies(conda, left.conda)
  pushDependencies(conda, right.conda)
  pushDependencies(pip, left.pip)
  pushDependencies(pip, right.pip)
  promotePip(conda, pip)
  return {
    name: left.name === '' && right.name === '' ? '' : `${left.name}+${right.name}`,
    prefix: '',
    channels: distinct([...left.channels, ...right.channels]),
    conda,
    pip,
    postInstall: distinct([...left.postInstall, ...right.postInstall]),
  }
}

export function blueprintOf(environment: EnvironmentSpec): Blueprint {
  const full = layerOf(environment)
  const pip = layerOf({ ...environment, postInstall: [] })
  const conda = layerOf({ ...environment, pip: [], postInstall: [] })
  const hasConda = (name: string) => environment.conda.some((dependency) => dependency.name.toLowerCase() === name)
  return {
    ...full,
    layers: [conda, pip, full],
    publiclyCacheable: [...environment.conda, ...environment.pip].every(isCacheableDependency),
    uvNative: environment.channels.length === 0 && hasConda('python') && hasConda('uv'),
  }
}

function layerOf(environment: EnvironmentSpec): Layer {
  const text = trimmed(environmentText(environment))
  return { text, hash: blueprintHash(text) }
}

/** Places of a scalar behind `- `, behind `  - `, and how far its further lines are indented. */
const LIST_PLACE = { column: 2, indent: 2 }
const NESTED_PLACE = { column: 4, indent: 4 }

/** yaml.v2's text of rcc's environment struct: lists are not indented below their key. */
function environmentText({ name, prefix, channels, conda, pip, postInstall }: EnvironmentSpec): string {
  const items = conda.map(({ original }) => `- ${emitScalar(original, LIST_PLACE)}`)
  if (pip.length > 0) {
    items.push('- pip:', ...pip.map(({ original }) => `  - ${emitScalar(original, NESTED_PLACE)}`))
  }
  return (
    [
      ...field('name', name),
      ...list('channels', scalars(channels)),
      ...list('dependencies', items),
      ...field('prefix', prefix),
      ...(postInstall.length > 0 ? list('rccPostInstall', scalars(postInstall)) : []),
    ]
      // A literal block may bring its own line break.
      .map((line) => (line.endsWith('\n') ? line : `${line}\n`))
      .join('')
  )
}

function field(key: string, text: string): string[] {
  return text === '' ? [] : [`${key}: ${emitScalar(text, { column: key.length + 2, indent: 2 })}`]
}

function list(key: string, items: readonly string[]): string[] {
  return items.length === 0 ? [`${key}: []`] : [`${key}:`, ...items]
}

function scalars(texts: readonly string[]): string[] {
  return texts.map((text) => `- ${emitScalar(text, LIST_PLACE)}`)
}
