/**
 * Where the control socket is, as the kernel wants to hear it: a socket's path may have 107 bytes, a library's path
 * more. On Linux a longer one is reached through a descriptor of its folder.
 */
import { closeSync, constants, openSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { HoloError } from '../base/errors.ts'

/** `sun_path` on macOS and the BSDs, less the final NUL; Linux has 107. */
const SOCKET_PATH_BYTES_MAX = 103

/**
 * @returns the path to bind or connect, to be used before disposal
 * @throws {HoloError} blame `host`, where the path is too long and this system offers no way round
 */
export function controlAddress(socketPath: string): Disposable & { readonly path: string } {
  if (Buffer.byteLength(socketPath) <= SOCKET_PATH_BYTES_MAX) return { path: socketPath, [Symbol.dispose]: () => {} }
  if (process.platform !== 'linux')
    throw new HoloError(`The path of the control socket is too long for this system: ${socketPath}`, {
      code: 'socket-path-too-long',
      blame: 'host',
      hint: 'set ROBOCORP_HOME to a shorter path',
    })
  const folder = openSync(dirname(socketPath), constants.O_RDONLY | constants.O_DIRECTORY)
  return {
    path: `/proc/self/fd/${folder}/${basename(socketPath)}`,
    [Symbol.dispose]: () => closeSync(folder),
  }
}
