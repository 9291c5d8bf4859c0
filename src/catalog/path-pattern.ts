/**
 * Patterns that pick files of an environment by their path: `*.pyc`, `__pycache__/*`, `lib/**`.
 *
 * Compiled once to regular expressions whose time is bounded whatever the path: no quantifier is nested, and each part
 * between two stars is taken where it first fits and never tried again (an atomic group, written as a look-ahead that
 * is referred back to), which is right because a star can stand for anything up to there. Knows nothing of settings.
 */
import { PATTERN_CHARACTERS_MAX } from '../base/limits.ts'

/** What a pattern is made of; `deep` is a doubled star with its slash: any number of whole directories. */
type Token = { readonly literal: string } | 'one' | 'within' | 'across' | 'deep'

/** What is wrong with a pattern, as the end of the sentence `the pattern …`; undefined where nothing is. */
export function patternFault(pattern: string): string | undefined {
  if (pattern === '') return 'is empty'
  if (pattern.length > PATTERN_CHARACTERS_MAX) return `has more than ${PATTERN_CHARACTERS_MAX} characters`
  if (pattern.includes('\0')) return 'contains a NUL'
  if (/^\/|\/$|\/\//.test(pattern)) return 'has a slash that stands between no two names'
  return undefined
}

/**
 * Compile patterns that `patternFault` finds nothing wrong with.
 *
 * `*` stands for any characters within a name, `**` for any characters across directories, `?` for one character of a
 * name; everything else, brackets too, for itself. A pattern without a slash is held against the last name of a path,
 * at any depth; one with a slash against the end of the path, from the beginning of some name on.
 *
 * @returns whether any of the patterns fits a path, which is relative, with `/`
 */
export function pathPattern(patterns: readonly string[]): (path: string) => boolean {
  const compiled = patterns.map((pattern) => new RegExp(sourceOf(pattern), 'su'))
  return (path) => compiled.some((expression) => expression.test(path))
}

function sourceOf(pattern: string): string {
  // What follows may begin at any name anyway.
  const tokens = tokensOf(pattern.replace(/^(?:\*{2,}\/)+/, ''))
  const hasSlash = tokens.some((token) => token === 'deep' || (typeof token === 'object' && token.literal === '/'))
  // A pattern of one name is held against one name, so a doubled star does not leave it.
  const segments = split(hasSlash ? tokens : tokens.map((token) => (token === 'across' ? 'within' : token)), isJump)
  let groups = 0
  const first = (source: string) => {
    const name = `part${groups++}`
    return `(?=(?<${name}>${source}))\\k<${name}>`
  }
  const sources = segments.map(({ before, tokens: inside }, index) => {
    const last = index === segments.length - 1
    const pieces = split(inside, (token) => token === 'within').map(({ tokens: piece }) => piece.map(escaped).join(''))
    const source = pieces
      .map((piece, at) => {
        if (at === 0) return piece
        return last && at === pieces.length - 1 ? `[^/]*${piece}` : first(`[^/]*?${piece}`)
      })
      .join('')
    if (before === undefined) return `(?:^|/)${source}`
    const jump = `.*?${before === 'deep' ? '(?<=/)' : ''}${source}`
    return last ? jump : first(jump)
  })
  return `${sources.join('')}$`
}

function tokensOf(pattern: string): Token[] {
  const tokens: Token[] = []
  for (const [text] of pattern.matchAll(/(?<=\/)\*{2,}\/|\*{2,}|./gsu)) {
    if (text === '*') tokens.push('within')
    else if (text === '?') tokens.push('one')
    else if (text.startsWith('**')) tokens.push(text.endsWith('/') ? 'deep' : 'across')
    else tokens.push({ literal: text })
  }
  return tokens
}

interface Run {
  /** What parts it from the run before. */
  readonly before: Token | undefined
  readonly tokens: Token[]
}

function split(tokens: readonly Token[], isBorder: (token: Token) => boolean): Run[] {
  let run: Run = { before: undefined, tokens: [] }
  const runs = [run]
  for (const token of tokens) {
    if (!isBorder(token)) run.tokens.push(token)
    else {
      run = { before: token, tokens: [] }
      runs.push(run)
    }
  }
  return runs
}

function isJump(token: Token): boolean {
  return token === 'across' || token === 'deep'
}

function escaped(token: Token): string {
  if (typeof token !== 'object') return '[^/]'
  // Nothing else may be escaped with the flag `u`: a hyphen, for one, is a syntax error then.
  return token.literal.replace(/[\\^$.*+?()[\]{}|/]/u, '\\$&')
}
