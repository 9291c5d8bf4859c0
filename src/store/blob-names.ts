/** Which blobs a library holds, whatever its catalogs say: names that are digests, at the places where they belong. */
import * as fs from 'node:fs'
import { join } from 'node:path'
import { hostError, systemCodeOf } from '../base/errors.ts'
import { type Digest, parseDigest } from '../blob/digest.ts'
import { blobEntryName, libraryDirectory, type Roots } from '../catalog/layout.ts'

/**
 * Regular files only; strays and links are passed over. rcc may add and remove blobs meanwhile.
 *
 * @returns sorted
 * @throws {HoloError} blame `host`: a directory cannot be read
 */
export function blobNames(roots: Roots): Digest[] {
  const library = libraryDirectory(roots)
  const found: Digest[] = []
  const walk = (below: string, depth: number) => {
    for (const entry of entriesOf(join(library, below))) {
      const path = `${below}/${entry.name}`
      if (depth < 3) {
        if (entry.isDirectory() && /^[0-9a-f]{2}$/.test(entry.name)) walk(path, depth + 1)
        continue
      }
      const digest = entry.isFile() ? parseDigest(entry.name) : undefined
      if (digest !== undefined && blobEntryName(digest) === `library${path}`) found.push(digest)
    }
  }
  walk('', 0)
  return found.sort()
}

function entriesOf(directory: string): fs.Dirent[] {
  try {
    return fs.readdirSync(directory, { withFileTypes: true })
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return []
    throw hostError(`list ${directory}`, error)
  }
}
