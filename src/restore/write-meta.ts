/**
 * The notes beside a space by which rcc, and our next run, know what stands in it (formats.md §5, §9).
 *
 * Unlike rcc we write them by rename, flushed: a torn `.meta` never stands under its name.
 */
import * as fs from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { hostError } from '../base/errors.ts'
import { type SpacePaths, TEMPORARY_PREFIX } from '../catalog/layout.ts'
import type { SpaceNote } from '../catalog/space-note.ts'

/** Say that the space is between two environments, until `writeMeta`. @throws {HoloError} blame `host` */
export function markRestoring({ restoring }: SpacePaths): void {
  try {
    fs.writeFileSync(restoring, '')
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

function replace(path: string, bytes: Uint8Array): void {
  // The lock of the space is held, so one name is enough, and a killed run's leftover is overwritten.
  const temporary = join(dirname(path), `${TEMPORARY_PREFIX}${basename(path)}`)
  try {
    fs.rmSync(temporary, { force: true })
    const descriptor = fs.openSync(temporary, 'wx', 0o644)
    try {
      for (let at = 0; at < bytes.byteLength; ) at += fs.writeSync(descriptor, bytes, at, bytes.byteLength - at)
      fs.fsyncSync(descriptor)
    } finally {
      fs.closeSync(descriptor)
    }
    fs.renameSync(temporary, path)
  } catch (error) {
    fs.rmSync(temporary, { force: true })
    throw hostError(`write ${path}`, error)
  }
}
