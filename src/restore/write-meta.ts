/**
 * The notes beside a space by which rcc, and our next run, know what stands in it (formats.md §5, §9).
 *
 * Unlike rcc we write them by rename, and flush nothing: after a power cut a note is whole, older, or torn, which counts
 * as none, and files whose bytes did not reach the disk show another size.
 */
import * as fs from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { hostError } from '../base/errors.ts'
import { type SpacePaths, TEMPORARY_PREFIX } from '../catalog/layout.ts'
import type { SpaceNote } from '../catalog/space-note.ts'

/** Say that the space is between two environments, until `writeMeta`. @throws {HoloError} blame `host` */
export function markRestoring({ restoring }: SpacePaths): void {
  try {
    const status = fs.lstatSync(restoring, { throwIfNoEntry: false })
    // The mark of a run that was cut off stays: it must never be away, not even for a moment.
    if (status?.isFile() === true) return
    // Exclusively: in a shared holotree anyone could have put a link there.
    if (status !== undefined) fs.rmSync(restoring, { recursive: true, force: true })
    fs.closeSync(fs.openSync(restoring, 'wx', 0o644))
  } catch (error) {
    throw hostError(`write ${restoring}`, error)
  }
}

/** Write `.meta.info`, then `.meta`, then take the mark away. @throws {HoloError} blame `host` */
export function writeMeta(paths: SpacePaths, note: SpaceNote): void {
  replace(paths.metaInfo, note.infoBytes())
  replace(paths.meta, note.bytes())
  fs.rmSync(paths.restoring, { force: true })
}

/**
 * A temporary beside a space, named for one of its notes. The lock of the space is held, so one name is enough, and a
 * killed run's leftover goes when the note is written.
 */
export function temporaryBeside(note: string): string {
  return join(dirname(note), `${TEMPORARY_PREFIX}${basename(note)}`)
}

function replace(path: string, bytes: Uint8Array): void {
  const temporary = temporaryBeside(path)
  try {
    fs.rmSync(temporary, { force: true })
    const descriptor = fs.openSync(temporary, 'wx', 0o644)
    try {
      for (let at = 0; at < bytes.byteLength; ) at += fs.writeSync(descriptor, bytes, at, bytes.byteLength - at)
    } finally {
      fs.closeSync(descriptor)
    }
    fs.renameSync(temporary, path)
  } catch (error) {
    fs.rmSync(temporary, { force: true })
    throw hostError(`write ${path}`, error)
  }
}
