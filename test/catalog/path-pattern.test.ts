import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { pathPattern, patternFault } from '../../src/catalog/path-pattern.ts'
import { runs } from '../support/runs.ts'

describe('pathPattern()', () => {
  const cases: [pattern: string, fits: string[], fitsNot: string[]][] = [
    ['*.pyc', ['a.pyc', 'lib/deep/a.pyc', '.pyc'], ['a.pyc/b', 'a.pyco', 'a.PYC']],
    ['*.so', ['lib/x.so', 'x.1.so'], ['x.so.1', 'xso']],
    [
      '__pycache__/*',
      ['__pycache__/a', 'lib/__pycache__/a.pyc'],
      ['my__pycache__/a', '__pycache__/a/b', '__pycache__'],
    ],
    ['lib/**', ['lib/a', 'lib/a/b', 'usr/lib/a'], ['mylib/a', 'lib']],
    ['a/**/b', ['a/b', 'a/x/b', 'z/a/x/y/b'], ['a/xb', 'ab', 'a/b/c', 'a/xa/by']],
    ['a/x**y/b', ['a/xy/b', 'a/x/1/2y/b'], ['a/x/b', 'a/xyb']],
    ['**/x', ['x', 'a/x'], ['ax']],
    ['**', ['x', 'a/x'], []],
    ['a**b', ['ab', 'x/axb'], ['a/b']],
    ['?.py', ['a.py', 'lib/a.py', '\u{1f600}.py'], ['.py', 'ab.py']],
    ['a?b/c', ['axb/c'], ['a/b/c']],
    ['[ab].(c|d)+$', ['x/[ab].(c|d)+$'], ['a.c', 'a.(c|d)+$']],
    ['*', ['a', 'a/b'], []],
    // A hyphen once made an expression that did not compile.
    ['site-packages/*-info', ['lib/site-packages/x-info'], ['site_packages/x-info', 'site-packages/info']],
  ]
  test.each(cases)('%s', (pattern, fits, fitsNot) => {
    const matches = pathPattern([pattern])
    expect(fits.filter((path) => !matches(path))).toEqual([])
    expect(fitsNot.filter((path) => matches(path))).toEqual([])
  })

  test('takes a path that any of several patterns fits, and none for none', () => {
    const matches = pathPattern(['*.pyc', 'bin/*'])
    expect(['a.pyc', 'bin/x', 'lib/y'].map(matches)).toEqual([true, true, false])
    expect(pathPattern([])('a')).toBe(false)
  })

  // Method: few letters, so that stars have many ways to fail; a matcher that tries every one of them decides.
  test('agrees with a matcher that tries everything', () => {
    const letters = (most: number, ...of: string[]) =>
      fc.array(fc.constantFrom(...of), { minLength: 1, maxLength: most }).map((parts) => parts.join(''))
    const patterns = letters(9, 'a', 'b', '/', '*', '**', '?', '/**/').filter(
      (text) => patternFault(text) === undefined,
    )
    const paths = letters(12, 'a', 'b', '/').filter((text) => !/^\/|\/$|\/\//.test(text))
    fc.assert(
      fc.property(patterns, paths, (pattern, path) => pathPattern([pattern])(path) === naive(pattern, path)),
      { numRuns: runs(5_000) },
    )
  })

  // Method: patterns that a backtracking matcher would need the age of the universe for; that the test ends is the proof.
  test('comes to an end on paths made to delay it', () => {
    const path = `${'a'.repeat(255)}/`.repeat(15) + 'a'.repeat(255)
    for (const pattern of [
      '*a'.repeat(100),
      '**a'.repeat(80),
      'a/**/'.repeat(20),
      '*?'.repeat(100),
      '**/*a'.repeat(20),
    ])
      expect(pathPattern([`${pattern}b`])(path)).toBe(false)
  })

  test('compiles whatever has no fault, and fits a path by itself', () => {
    const units = ['binary', 'grapheme-ascii'] as const
    const text = fc.oneof(...units.map((unit) => fc.string({ unit, minLength: 1, maxLength: 20 })))
    fc.assert(
      fc.property(
        text.filter((each) => patternFault(each) === undefined),
        (pattern) => {
          const matches = pathPattern([pattern])
          if (!pattern.includes('*')) expect(matches(`lib/${pattern}`)).toBe(true)
        },
      ),
      { numRuns: runs(1_000) },
    )
  })
})

test('patternFault() names what is wrong', () => {
  expect(patternFault('*.pyc')).toBeUndefined()
  for (const wrong of ['', 'a'.repeat(257), 'a\0', '/a', 'a/', 'a//b']) expect(patternFault(wrong)).toBeString()
})

/** Tries every length of every star, from every name on. */
function naive(pattern: string, path: string): boolean {
  const bare = pattern.replace(/^(?:\*{2,}\/)+/, '')
  const from = path.split('/').map((_name, index, names) => names.slice(index).join('/'))
  return (bare.includes('/') ? from : from.slice(-1)).some((text) => fits(bare, text))
}

function fits(pattern: string, text: string, afterSlash = true): boolean {
  if (pattern === '') return text === ''
  const deep = afterSlash ? /^\*{2,}\//.exec(pattern) : null
  if (deep !== null) {
    const rest = pattern.slice(deep[0].length)
    for (let at = 0; at <= text.length; at++)
      if ((at === 0 || text[at - 1] === '/') && fits(rest, text.slice(at))) return true
    return false
  }
  const stars = /^\*+/.exec(pattern)?.[0].length ?? 0
  if (stars > 0) {
    for (let at = 0; at <= text.length; at++) {
      if (fits(pattern.slice(stars), text.slice(at), false)) return true
      if (stars === 1 && text[at] === '/') return false
    }
    return false
  }
  if (text === '') return false
  const [letter] = pattern
  if (letter === '?' ? text[0] === '/' : text[0] !== letter) return false
  return fits(pattern.slice(1), text.slice(1), letter === '/')
}
