/**
 * The directory that a catalog was recorded for, and that all its spaces lie in (formats.md §9).
 */
import * as fs from 'node:fs'
import { HoloError, systemCodeOf } from '../base/errors.ts'
import { PRIVATE_DIRECTORY_MODE, SHARED_DIRECTORY_MODE } from '../catalog/layout.ts'

/**
 * Make the base directory where it is absent, and see that we may write there: to be called before anything is
 * fetched, since a catalog restores nowhere else.
 *
 * @param base from `spaceTarget`
 * @throws {HoloError} blame `host`, code `base-unwritable`
 */
export function ensureBaseDirectory(base: string, shared: boolean): void {
  try {
    fs.mkdirSync(base, { recursive: true, mode: shared ? SHARED_DIRECTORY_MODE : PRIVATE_DIRECTORY_MODE })
    fs.accessSync(base, fs.constants.W_OK | fs.constants.X_OK)
  } catch (error) {
    const why = systemCodeOf(error) ?? String(error)
    throw new HoloError(`The environment was recorded for ${base}, which cannot be made or written here (${why})`, {
      code: 'base-unwritable',
      blame: 'host',
      hint: `let this user write ${base}, or record it in the shared holotree or under the same home on both machines`,
      cause: error,
    })
  }
}
