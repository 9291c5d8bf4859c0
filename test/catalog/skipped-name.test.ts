import { expect, test } from 'bun:test'
import { isSkippedName } from '../../src/catalog/skipped-name.ts'

// formats.md §6: the names that the real rcc left out, and those that it kept.
test.each([
  '__pycache__',
  '__MACOSX',
  '.git',
  'repo.git',
  '.gitignore',
  'a.gitignore',
  'x.svn',
  '.hg',
  'm.pyc',
  'a.b.pyc',
])('isSkippedName() leaves out %s', (name) => expect(isSkippedName(name)).toBe(true))

test.each(['keep.PYC', 'x.__pycache__', 'git', '.github', 'pyc', 'm.pyc.bak', '.', 'x.', '__pycache__x'])(
  'isSkippedName() keeps %s',
  (name) => expect(isSkippedName(name)).toBe(false),
)
