/**
 * conda.yaml, and every environment file that is not a package.yaml, as rcc reads it (formats.md §4).
 *
 * What rcc drops without a word is dropped here too: the blueprint hash depends on it.
 */
import {
  type Dependency,
  DependencyConflictError,
  parseDependency,
  promotePip,
  pushDependencies,
} from './dependency.ts'
import { readYaml } from './yaml-read.ts'

/** What an environment is made of, whatever the format it was written in. */
export interface EnvironmentSpec {
  readonly name: string
  readonly prefix: string
  readonly channels: readonly string[]
  readonly conda: readonly Dependency[]
  readonly pip: readonly Dependency[]
  readonly postInstall: readonly string[]
}

export interface CondaYamlOptions {
  /** Directory of the local conda channel, where this machine has one: it comes before all others. */
  readonly localChannel: string | undefined
}

/**
 * @param fileName for errors
 * @throws {HoloError} blame `input`: as `readYaml`
 */
export function parseCondaYaml(
  bytes: Uint8Array,
  fileName: string,
  { localChannel }: CondaYamlOptions,
): EnvironmentSpec {
  const fields = readYaml(bytes, fileName)
  const condaTexts: string[] = []
  const pipTexts: string[] = []
  for (const item of fields.get('dependencies')?.looseList() ?? []) {
    if (item.kind === 'text') condaTexts.push(item.text)
    const pip = item.kind === 'map' ? item.fields.get('pip') : undefined
    if (pip?.isList() !== true) continue
    for (const pipItem of pip.looseList()) if (pipItem.kind === 'text') pipTexts.push(pipItem.text)
  }
  const channels = fields.get('channels')?.textList() ?? []
  return {
    name: fields.get('name')?.text() ?? '',
    prefix: fields.get('prefix')?.text() ?? '',
    channels: distinct(localChannel === undefined ? channels : [localChannel, ...channels]),
    ...leniently([condaTexts], [pipTexts]),
    postInstall: distinct(fields.get('rccPostInstall')?.textList() ?? []),
  }
}

/**
 * The dependencies of one file, in which rcc ignores conflicts: the rest of a list after one is dropped, and one while
 * promoting ends the promotion (vectors 08 and 15).
 *
 * @param condaLists texts; a conflict ends one list, not those after it
 */
export function leniently(
  condaLists: readonly (readonly string[])[],
  pipLists: readonly (readonly string[])[],
  parse: { pip: (text: string) => Dependency | undefined } = { pip: parseDependency },
): { conda: Dependency[]; pip: Dependency[] } {
  const conda: Dependency[] = []
  const pip: Dependency[] = []
  for (const texts of condaLists) ignoreConflict(() => pushDependencies(conda, parsed(texts, parseDependency)))
  for (const texts of pipLists) ignoreConflict(() => pushDependencies(pip, parsed(texts, parse.pip)))
  ignoreConflict(() => promotePip(conda, pip))
  return { conda, pip }
}

/** The first of each, in order. */
export function distinct(texts: readonly string[]): string[] {
  return [...new Set(texts)]
}

function parsed(texts: readonly string[], parse: (text: string) => Dependency | undefined): Dependency[] {
  return texts.map(parse).filter((dependency) => dependency !== undefined)
}

function ignoreConflict(step: () => void): void {
  try {
    step()
  } catch (error) {
    if (!(error instanceof DependencyConflictError)) throw error
  }
}
