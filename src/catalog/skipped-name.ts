/** Names that rcc leaves out when it records (formats.md §6): caches and version control. Pure. */

const SKIPPED: ReadonlySet<string> = new Set(['__MACOSX', '__pycache__', '.pyc', '.git', '.hg', '.svn', '.gitignore'])

/**
 * Whether a file or directory of this base name is left out: where the whole name, or its extension, is one of the list,
 * case counting. So `repo.git` is left out, as with rcc, and `keep.PYC` is not.
 */
export function isSkippedName(name: string): boolean {
  if (SKIPPED.has(name)) return true
  const dot = name.lastIndexOf('.')
  return dot >= 0 && SKIPPED.has(name.slice(dot))
}
