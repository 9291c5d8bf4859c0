/** Removing what stands in the way: anything, with all below it, following no link. */
import * as fs from 'node:fs'
import { join } from 'node:path'
import { hostError, systemCodeOf } from '../base/errors.ts'

/**
 * Remove `path` and everything below it; nothing there is fine.
 *
 * @throws {HoloError} blame `host`
 */
export function removeTree(path: string): void {
  try {
    fs.rmSync(path, { recursive: true, force: true })
    return
  } catch (error) {
    if (!['EACCES', 'EPERM', 'ENOTEMPTY'].includes(systemCodeOf(error) ?? '')) throw hostError(`remove ${path}`, error)
  }
  try {
    // A directory that its owner may not list or change keeps its content from being removed.
    openUp(path)
    fs.rmSync(path, { recursive: true, force: true })
  } catch (error) {
    throw hostError(`remove ${path}`, error)
  }
}

/** Remove the entries of `directory` whose names are not UTF-8. @throws {HoloError} blame `host` */
export function removeUndecodable(directory: string): void {
  try {
    for (const name of fs.readdirSync(directory, { encoding: 'buffer' })) {
      if (Buffer.from(name.toString('utf8')).equals(name)) continue
      fs.rmSync(Buffer.concat([Buffer.from(`${directory}/`), name]), { recursive: true, force: true })
    }
  } catch (error) {
    throw hostError(`remove names that are not UTF-8 from ${directory}`, error)
  }
}

function openUp(directory: string): void {
  if (fs.lstatSync(directory, { throwIfNoEntry: false })?.isDirectory() !== true) return
  fs.chmodSync(directory, 0o700)
  for (const entry of fs.readdirSync(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) openUp(join(directory, entry.name))
  }
}
