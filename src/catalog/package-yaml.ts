/** package.yaml as rcc reads it: conda-forge only, pypi's single `=` made a `==` (formats.md §4). */
import { HoloError } from '../base/errors.ts'
import { distinct, type EnvironmentSpec, leniently } from './conda-yaml.ts'
import { type Dependency, parseDependency } from './dependency.ts'
import { readYaml, type YamlField } from './yaml-read.ts'

export interface PackageYamlOptions {
  /** Whether `dev-dependencies` take part. */
  readonly devDependencies: boolean
}

/**
 * @param fileName for errors
 * @throws {HoloError} blame `input`: as `readYaml`, and `package-yaml-incomplete` where a section is missing that rcc
 *   cannot do without
 */
export function parsePackageYaml(
  bytes: Uint8Array,
  fileName: string,
  { devDependencies }: PackageYamlOptions,
): EnvironmentSpec {
  const fields = readYaml(bytes, fileName)
  const sections = [section(fields, 'dependencies', fileName)]
  if (devDependencies) sections.push(section(fields, 'dev-dependencies', fileName))
  const dependencies = leniently(
    sections.map(({ conda }) => conda),
    sections.map(({ pypi }) => pypi),
    { pip: parsePypi },
  )
  return {
    name: '',
    prefix: '',
    channels: ['conda-forge'],
    ...dependencies,
    postInstall: distinct(fields.get('post-install')?.textList() ?? []),
  }
}

function section(
  fields: ReadonlyMap<string, YamlField>,
  name: string,
  fileName: string,
): { conda: string[]; pypi: string[] } {
  const lists = fields.get(name)?.map()
  if (lists === undefined) {
    throw new HoloError(`${fileName} has no ${name}`, {
      code: 'package-yaml-incomplete',
      blame: 'input',
      hint: `add \`${name}:\` with the lists \`conda-forge:\` and \`pypi:\``,
    })
  }
  return { conda: lists.get('conda-forge')?.textList() ?? [], pypi: lists.get('pypi')?.textList() ?? [] }
}

function parsePypi(text: string): Dependency | undefined {
  const dependency = parseDependency(text)
  if (dependency?.qualifier !== '=') return dependency
  return { ...dependency, original: `${dependency.name}==${dependency.version}`, qualifier: '==' }
}
