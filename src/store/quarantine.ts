/** Blobs whose bytes proved wrong: moved out of the library, so that they can be fetched again and looked at. */
import * as fs from 'node:fs'
import { join } from 'node:path'
import { hostError, systemCodeOf } from '../base/errors.ts'
import type { Digest } from '../blob/digest.ts'
import * as layout from '../catalog/layout.ts'

/**
 * @param nowMs wall clock, for its new name
 * @returns its new path, or undefined where it was gone already
 * @throws {HoloError} blame `host`
 */
export function quarantineBlob(roots: layout.Roots, digest: Digest, nowMs: number): string | undefined {
  const { directory, quarantine } = layout.statePaths(roots)
  const from = layout.blobPath(roots, digest)
  const to = join(quarantine, `${digest}.${new Date(nowMs).toISOString().replaceAll(':', '')}`)
  try {
    fs.mkdirSync(directory, { recursive: true, mode: layout.STATE_DIRECTORY_MODE })
    fs.mkdirSync(quarantine, { recursive: true, mode: layout.STATE_DIRECTORY_MODE })
    moveFile(from, to)
    return to
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return undefined
    throw hostError(`move the corrupt blob ${from} to ${quarantine}`, error)
  }
}

/** A shared library and our state may lie on different disks, where rename does not reach. */
function moveFile(from: string, to: string): void {
  try {
    fs.renameSync(from, to)
  } catch (error) {
    if (systemCodeOf(error) !== 'EXDEV') throw error
    fs.copyFileSync(from, to)
    fs.unlinkSync(from)
  }
}
