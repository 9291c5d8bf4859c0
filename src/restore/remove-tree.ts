/** Removing what stands in the way: anything, with all below it, following no link. */
import * as fs from 'node:fs'
import { join } from 'node:path'
import { hostError, systemCodeOf } from '../base/errors.ts'
import { spaceError } from './space-changed.ts'

const { O_DIRECTORY, O_NOFOLLOW } = fs.constants
/** Linux: a descriptor of a directory that its owner may not even read. */
const O_PATH = 0o10000000

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
    throw spaceError(`remove ${path}`, error)
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

/** By descriptor where that can be: a link that takes a directory's place meanwhile leads nowhere. */
function openUp(path: string): void {
  if (fs.lstatSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) return
  const held = process.platform === 'linux' ? fs.openSync(path, O_PATH | O_DIRECTORY | O_NOFOLLOW) : undefined
  const directory = held === undefined ? path : `/proc/self/fd/${held}`
  try {
    fs.chmodSync(directory, 0o700)
    for (const entry of fs.readdirSync(directory, { withFileTypes: true })) {
      if (entry.isDirectory()) openUp(join(directory, entry.name))
    }
  } finally {
    if (held !== undefined) fs.closeSync(held)
  }
}
