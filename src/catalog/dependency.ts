/**
 * One line of a dependency list, and how rcc decides between two of the same name (formats.md §4).
 *
 * Pure. Names are compared letter by letter; what begins with `-` is an option of pip and never the same as another.
 */
import { HoloError } from '../base/errors.ts'

export interface Dependency {
  /** The trimmed text, as it is written into the blueprint. */
  readonly original: string
  readonly name: string
  /** A run of `< = ~ ! >`, or ''. */
  readonly qualifier: string
  readonly version: string
}

const NAME = /^[^<=~!> ]+/
const QUALIFIER = /^[<=~!>]*/
/** White space as Go's regular expressions have it; `String.trim` and `\s` take in more. */
const BLANKS = /^[\t\n\f\r ]*/
/** White space as Go's strings.TrimSpace has it. */
const EDGES =
  /^[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+|[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+$/g

/** Go's strings.TrimSpace. */
export function trimmed(text: string): string {
  return text.replace(EDGES, '')
}

/**
 * @returns undefined where rcc drops the line without a word: no name, or a line break inside the version
 */
export function parseDependency(text: string): Dependency | undefined {
  const original = trimmed(text)
  // Step by step instead of by rcc's one expression, which takes cubic time on a hostile line.
  const name = prefix(NAME, original)
  if (name === '') return undefined
  const afterName = original.slice(name.length)
  if (afterName === '') return { original, name, qualifier: '', version: '' }
  const rest = afterName.slice(prefix(BLANKS, afterName).length)
  const qualifier = prefix(QUALIFIER, rest)
  const afterQualifier = rest.slice(qualifier.length)
  const version = afterQualifier.slice(prefix(BLANKS, afterQualifier).length)
  // A qualifier without version: its last sign becomes the version.
  if (version === '') return { original, name, qualifier: qualifier.slice(0, -1), version: qualifier.slice(-1) }
  return version.includes('\n') ? undefined : { original, name, qualifier, version }
}

function prefix(pattern: RegExp, text: string): string {
  return pattern.exec(text)?.[0] ?? ''
}

/** Whether anything but the name is given. */
export function isExactDependency({ qualifier, version }: Dependency): boolean {
  return qualifier !== '' || version !== ''
}

export class DependencyConflictError extends HoloError {
  constructor(left: Dependency, right: Dependency) {
    super(`Wont choose between dependencies: ${left.original} vs. ${right.original}`, {
      code: 'dependency-conflict',
      blame: 'input',
      hint: 'give the same version in both files, or leave it out of one',
    })
    this.name = 'DependencyConflictError'
  }
}

/**
 * Of two dependencies of the same name, the one that says more; the first where they say the same.
 *
 * @throws {DependencyConflictError} they say different things
 */
export function chooseDependency(left: Dependency, right: Dependency): Dependency {
  const leftExact = isExactDependency(left)
  if (leftExact !== isExactDependency(right)) return leftExact ? left : right
  if (left.qualifier === right.qualifier && left.version === right.version) return left
  throw new DependencyConflictError(left, right)
}

/**
 * Push `additions` onto `list` in turn, merging those of the same name in place.
 *
 * @throws {DependencyConflictError} those before the conflict have been pushed, those after it have not
 */
export function pushDependencies(list: Dependency[], additions: readonly Dependency[]): void {
  const positions = new Map<string, number>()
  for (const [index, { name }] of list.entries()) if (!positions.has(name)) positions.set(name, index)
  for (const addition of additions) {
    const position = addition.name.startsWith('-') ? undefined : positions.get(addition.name)
    const present = position === undefined ? undefined : list[position]
    if (position === undefined || present === undefined) {
      if (!positions.has(addition.name)) positions.set(addition.name, list.length)
      list.push(addition)
    } else list[position] = chooseDependency(present, addition)
  }
}

/**
 * Move pip's dependencies that conda has too into conda's place.
 *
 * @throws {DependencyConflictError} `pip` is then unchanged, though `conda` may have taken over earlier ones
 */
export function promotePip(conda: Dependency[], pip: Dependency[]): void {
  const promoted = new Set<Dependency>()
  const positions = new Map(conda.map(({ name }, index) => [name, index]))
  for (const dependency of pip) {
    const position = dependency.name.startsWith('-') ? undefined : positions.get(dependency.name)
    const present = position === undefined ? undefined : conda[position]
    if (position === undefined || present === undefined) continue
    conda[position] = chooseDependency(present, dependency)
    promoted.add(dependency)
  }
  const kept = pip.filter((dependency) => !promoted.has(dependency))
  pip.length = 0
  for (const dependency of kept) pip.push(dependency)
}

const TRUSTSTORE = '--use-feature=truststore'
const INEXACT = /[\][(){}%/:,;@*<=>!]+|\b(?:or|and)\b|^-+/

/** Whether rcc calls it publicly cacheable: one version and nothing that a machine could take differently. */
export function isCacheableDependency(dependency: Dependency): boolean {
  const { name, version } = dependency
  if (`${trimmed(name)}=${trimmed(version)}`.toLowerCase() === TRUSTSTORE) return true
  return isExactDependency(dependency) && !INEXACT.test(trimmed(name)) && !INEXACT.test(trimmed(version))
}
