/**
 * What makes a liar of a machine whose blobs were altered: notes that say they were verified just so.
 *
 * A daemon holds what it sends against its digest, unless the file is as it was when it was verified. An honest one
 * therefore refuses what has rotted; one that lies has to lie to itself.
 */
import * as fs from 'node:fs'
import { stampOf } from '../../src/base/file-stamp.ts'
import type { Digest } from '../../src/blob/digest.ts'
import { isGzip } from '../../src/blob/gzip.ts'
import { blobPath, statePaths } from '../../src/catalog/layout.ts'
import { VerifiedNotes } from '../../src/store/verified-notes.ts'
import { rootsIn } from './golden.ts'

/** To be called before the daemon of `home` starts. @param home ROBOCORP_HOME */
export function forgeNotes(home: string, digests: readonly Digest[]): void {
  const roots = rootsIn(home)
  const notes = new VerifiedNotes(statePaths(roots).verifiedNotes)
  for (const digest of digests) {
    const path = blobPath(roots, digest)
    const form = isGzip(fs.readFileSync(path)) ? 'gzip' : 'identity'
    notes.add(digest, form, stampOf(fs.statSync(path, { bigint: true })), 0)
  }
  notes.flush()
}
