/** Files that are this user's alone: hints that an attacker could use if he could write them. */
import * as fs from 'node:fs'

const OTHERS = 0o077

/**
 * Read a file of our state folder that we trust without a proof.
 *
 * @returns undefined where there is none, it is longer than `bytesMax`, or others than this user could have written it
 */
export function readOwn(path: string, bytesMax: number): Uint8Array | undefined {
  try {
    // Not blocking: opening a pipe would wait for its writer. Windows knows neither flag.
    const { O_RDONLY, O_NOFOLLOW = 0, O_NONBLOCK = 0 } = fs.constants
    const descriptor = fs.openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
    try {
      const status = fs.fstatSync(descriptor)
      const isOwn = process.platform === 'win32' || (status.uid === process.getuid?.() && (status.mode & OTHERS) === 0)
      if (!status.isFile() || !isOwn || status.size > bytesMax) return undefined
      return fs.readFileSync(descriptor)
    } finally {
      fs.closeSync(descriptor)
    }
  } catch {
    return undefined
  }
}

/** Whether a directory stands at `path`, no link, that only this user can use. */
export function isOwnDirectory(path: string): boolean {
  const status = fs.lstatSync(path, { throwIfNoEntry: false })
  if (status?.isDirectory() !== true) return false
  return process.platform === 'win32' || (status.uid === process.getuid?.() && (status.mode & OTHERS) === 0)
}
