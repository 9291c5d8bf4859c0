/**
 * The stage on disk: whether a directory is it, and the note of its blueprint that rcc leaves there.
 *
 * Only rcc's own build place can be recorded: the name of that directory, which stands in its files, is what relocation
 * replaces (formats.md §3, §6).
 */
import * as fs from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { HoloError, hostError } from '../base/errors.ts'
import { type Roots, stagePath } from '../catalog/layout.ts'
import { writeAll } from './library-files.ts'

/**
 * @param directory as the user named it; another way to write the stage's path is as good
 * @returns the stage's path, under the name that rcc gives it
 * @throws {HoloError} blame `input`: `stage-elsewhere`, `stage-missing`, or `stage-no-directory` where a link or a file
 *   stands there
 */
export function requireStage(directory: string, roots: Roots): string {
  const wanted = stagePath(roots)
  const given = resolve(directory)
  if (!isSamePlace(given, wanted)) {
    throw new HoloError(`Only rcc's own build place can be recorded, ${wanted}, not ${given}`, {
      code: 'stage-elsewhere',
      blame: 'input',
      hint: `build the environment there, or bring it there with \`cp -a ${given} ${wanted}\` if its files do not contain their own path`,
    })
  }
  const status = fs.lstatSync(wanted, { throwIfNoEntry: false })
  if (status === undefined) {
    throw new HoloError(`There is no directory ${wanted}`, {
      code: 'stage-missing',
      blame: 'input',
      hint: 'build the environment there first; rcc removes that directory after each build of its own',
    })
  }
  if (!status.isDirectory()) {
    throw new HoloError(`${wanted} is ${status.isSymbolicLink() ? 'a link' : 'a file'}, not a directory`, {
      code: 'stage-no-directory',
      blame: 'input',
      hint: 'remove it, and put the environment itself there with `mv` or `cp -a`',
    })
  }
  return wanted
}

/** The same directory, though its parents may be written in another way: through a link, say. */
function isSamePlace(given: string, wanted: string): boolean {
  if (given === wanted) return true
  if (basename(given) !== basename(wanted)) return false
  try {
    return fs.realpathSync(dirname(given)) === fs.realpathSync(dirname(wanted))
  } catch {
    return false
  }
}

/**
 * Write the blueprint text to the stage's `identity.yaml`, as rcc does before it records.
 *
 * Unlike rcc we write through no link, hard or symbolic: what stands there is left alone if it is a file of that text,
 * else replaced. A replaced file keeps its mode, as with rcc.
 *
 * @throws {HoloError} blame `input`, code `entry-special`: a directory stands there; blame `host` when writing fails
 */
export function writeStageIdentity(stage: string, blueprint: string): void {
  const path = join(stage, 'identity.yaml')
  const bytes = Buffer.from(blueprint)
  try {
    const status = fs.lstatSync(path, { throwIfNoEntry: false })
    if (status?.isDirectory() === true) {
      throw new HoloError(`${path} is a directory, where rcc notes the blueprint`, {
        code: 'entry-special',
        blame: 'input',
        hint: 'remove it',
      })
    }
    const isFile = status?.isFile() === true
    if (isFile && status.size === bytes.byteLength && fs.readFileSync(path).equals(bytes)) return
    if (status !== undefined) fs.unlinkSync(path)
    const descriptor = fs.openSync(path, 'wx', 0o644)
    try {
      writeAll(descriptor, bytes, path)
      if (isFile) fs.fchmodSync(descriptor, status.mode & 0o7777)
    } finally {
      fs.closeSync(descriptor)
    }
  } catch (error) {
    throw hostError(`write ${path}`, error)
  }
}
