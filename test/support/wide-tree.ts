/** Trees large enough that both threads of a restore have work. */
import { SECOND_THREAD_FILES_MIN } from '../../src/base/limits.ts'
import { type MadeTree, STAGE } from './made-catalog.ts'

/**
 * Files in directories of forty, some of them relocated, executable, empty, or of the same content as others.
 *
 * @param version trees of two versions differ in every third file, and in what some names are
 */
export function wideTree(files = 2 * SECOND_THREAD_FILES_MIN, version = 0): MadeTree {
  const directories: Record<string, MadeTree[string]> = {}
  for (let at = 0; at < files; at += 40) {
    const entries: Record<string, MadeTree[string]> = {}
    for (let index = at; index < at + 40; index++)
      entries[`f${index}.py`] = entryOf(index, index % 3 === 0 ? version : 0)
    directories[`d${at}`] = { kind: 'directory', entries: { deep: { kind: 'directory', entries } } }
  }
  return { ...directories, kind: kindOf(version), latest: { kind: 'link', target: `d${40 * (version % 3)}` } }
}

function entryOf(index: number, version: number): MadeTree[string] {
  const mode = index % 11 === 0 ? 0o755 : 0o644
  if (index % 13 === 0) return { kind: 'file', text: '', mode }
  // The size is the same in every version, so that only digests tell them apart.
  const text = index % 7 === 0 ? `#!${STAGE}\n${index} ${version}` : `${version} text ${index % 900} `.repeat(20)
  return { kind: 'file', text, mode }
}

/** A name that is a file, a directory or a link, as versions go by. */
function kindOf(version: number): MadeTree[string] {
  const file = { kind: 'file', text: `kind ${version}`, mode: 0o600 } as const
  if (version % 3 === 1) return { kind: 'directory', entries: { inner: { kind: 'directory', entries: { file } } } }
  return version % 3 === 2 ? { kind: 'link', target: 'd0/deep/f1.py' } : file
}
